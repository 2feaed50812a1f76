// letter.c - all of a letter is built: who listens wants to see it.

#include "binding/letter.h"

#include <lauxlib.h>

#include "binding/ref.h"
#include "core/dead_letters.h"

// First of all, so that an error leaves the count right.
static void note_heard(const ic_message *event) {
  ic_cluster *cluster = ic_cluster_find(event->cluster_key);
  if (!cluster) return;
  ic_dead_letters_read(&cluster->registry, event);
  ic_cluster_release(cluster);
}

void ic_letter_push(lua_State *L, ic_lua_body *body, const ic_message *event) {
  note_heard(event);
  luaL_checkstack(L, 8, "a dead letter");
  lua_createtable(L, 0, 6);
  if (ic_body_push_value(body, L, event)) lua_setfield(L, -2, "content");
  ic_lua_ref_push(L, body, event->reply_to, 0);
  lua_setfield(L, -2, "to");
  if (event->sender) {
    ic_lua_ref_push(L, body, event->sender, 0);
    lua_setfield(L, -2, "sender");
  }
  if (event->type_size > 0) {
    lua_pushlstring(L, ic_message_type_bytes(event), event->type_size - 1);
    lua_setfield(L, -2, "type");
  }
  lua_pushstring(L, event->reason);
  lua_setfield(L, -2, "reason");
  lua_pushinteger(L, (lua_Integer)event->request);
  lua_setfield(L, -2, "missed");
}
