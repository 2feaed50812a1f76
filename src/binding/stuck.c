// stuck.c - a hook that fires once, at the next instruction of the code that was
// interrupted, and says where that is.

#include "binding/stuck.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/doing.h"
#include "binding/ref.h"

enum { TEXT_BYTES = 2048 };

// --- In words ---------------------------------------------------------------

// Writes the innermost line of the script that [L] is in, as
// ": import.lua:88 in function 'parse'"; nothing where there is none.
static void describe_place(lua_State *L, char *out, size_t size) {
  lua_Debug frame;
  if (!ic_doing_find_line(L, "Sln", &frame)) return;
  if (*frame.what == 'm') {
    snprintf(out, size, ": %s:%d in the main chunk", frame.short_src,
             frame.currentline);
  } else if (*frame.namewhat) {
    snprintf(out, size, ": %s:%d in function '%s'", frame.short_src,
             frame.currentline, frame.name);
  } else {
    snprintf(out, size, ": %s:%d in function <%s:%d>", frame.short_src,
             frame.currentline, frame.short_src, frame.linedefined);
  }
}

// --- The sample -------------------------------------------------------------

// The body whose code runs on this thread, and the hook that the sample replaced.
static _Thread_local ic_lua_body *sampled;
static _Thread_local lua_Hook old_hook;
static _Thread_local int old_mask, old_count;

static void take_sample(lua_State *L, lua_Debug *activation) {
  (void)activation;
  ic_lua_body *body = sampled;
  sampled = NULL;
  if (!body) {  // in a coroutine that was made meanwhile, and inherited it
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  lua_sethook(L, old_hook, old_mask, old_count);
  char text[TEXT_BYTES];
  int size = ic_doing_describe(body, text, sizeof text);
  if (size < 0 || (size_t)size >= sizeof text) return;
  describe_place(L, text + size, sizeof text - (size_t)size);
  free(atomic_exchange(&body->base.isolate->post.sample, strdup(text)));
}

// In a signal handler. A hook that gives up the code stays as it is.
void ic_stuck_sample(ic_body *base) {
  ic_lua_body *body = (ic_lua_body *)base;
  lua_State *running = body->running;
  if (!running || ic_body_is_killed(body)) return;
  if (lua_gethook(running) == take_sample) return;
  sampled = body;
  old_hook = lua_gethook(running);
  old_mask = lua_gethookmask(running);
  old_count = lua_gethookcount(running);
  lua_sethook(running, take_sample, LUA_MASKCOUNT, 1);
}

void ic_stuck_complain(ic_isolate *isolate, const char *text) {
  (void)isolate;
  flockfile(stderr);
  fprintf(stderr, "isolate-cluster: %s\n", text);
  funlockfile(stderr);
}

// --- Waiting ----------------------------------------------------------------

void ic_stuck_answer(ic_lua_body *body, lua_State *L, const ic_message *probe) {
  char text[TEXT_BYTES];
  const ic_requests *requests = &body->requests;
  ic_isolate *isolate = body->base.isolate;
  (void)L;
  if (!body->was_waiting) return;  // it has gone on meanwhile
  for (size_t i = 0; i < requests->count; i++) {
    const ic_request *request = &requests->slots[i];
    if (!request->number || !request->co) continue;
    uint64_t unread =
        ic_counted(&isolate->mailbox.pushed) - ic_counted(&isolate->handled);
    int size = snprintf(text, sizeof text,
                        "for an answer from %s, with %llu message%s unread",
                        request->asked->path, (unsigned long long)unread,
                        unread == 1 ? "" : "s");
    if (size < 0 || (size_t)size >= sizeof text) return;
    describe_place(request->co, text + size, sizeof text - (size_t)size);
    ic_sentry_tell_waiting(&isolate->cluster->sentry, probe, isolate, text);
    return;
  }
}

void ic_stuck_push(lua_State *L, ic_lua_body *body, const ic_message *event) {
  luaL_checkstack(L, 8, "a report");
  lua_createtable(L, 0, 4);
  ic_lua_ref_push(L, body, event->sender, 0);
  lua_setfield(L, -2, "ref");
  lua_pushstring(L, event->reason);
  lua_setfield(L, -2, "kind");
  lua_pushnumber(L, (double)event->request / 1e9);
  lua_setfield(L, -2, "seconds");
  lua_pushstring(L, event->text);
  lua_setfield(L, -2, "text");
}
