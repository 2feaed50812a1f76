// doing.c - the words of reports.

#include "binding/doing.h"

#include <stdio.h>
#include <string.h>

int ic_doing_describe(const ic_lua_body *body, char *out, size_t size) {
  const ic_doing *doing = &body->doing;
  switch (doing->what) {
    case IC_DOING_ENTRY:
      return snprintf(out, size, " in its entry");
    case IC_DOING_TIMER:
      return snprintf(out, size, " on a timer");
    case IC_DOING_EVENT:
      return snprintf(out, size, " on an event");
    case IC_DOING_ANSWER:
      return snprintf(out, size, " after an answer");
    case IC_DOING_END:
      return snprintf(out, size, " in finalizers, at its end");
    default:
      break;
  }
  const ic_isolate *sender =
      doing->message ? doing->message->sender : doing->sender;
  return snprintf(out, size, " on a message%s%s%s%s%s",
                  doing->has_type ? " of type \"" : "",
                  doing->has_type ? body->doing_type : "",
                  doing->has_type ? "\"" : "", sender ? " from " : "",
                  sender ? sender->path : "");
}

// Our own code has no lines but in the state that has compiled it.
static bool is_script(const lua_Debug *frame) {
  static const char ours[] = "isolate_cluster.";
  return *frame->what != 'C' && frame->currentline >= 0 &&
         strncmp(frame->short_src, ours, sizeof ours - 1) != 0;
}

bool ic_doing_find_line(lua_State *L, const char *what, lua_Debug *out) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (!is_script(&frame)) continue;
    lua_getinfo(L, what, &frame);
    *out = frame;
    return true;
  }
  return false;
}
