// envelope.c - a userdata that owns the message.

#include "binding/envelope.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "binding/ref.h"

#define ENVELOPE_TYPE "isolate_cluster.message"

static const char envelope_type;  // its address is in each envelope

typedef struct {
  const void *type;
  ic_owned owned;
  ic_message *message;
} envelope;

static void release_message(ic_owned *owned) {
  envelope *some =
      (envelope *)(void *)((char *)owned - offsetof(envelope, owned));
  ic_message_free(some->message);
  some->message = NULL;
}

static int free_envelope(lua_State *L) {
  envelope *some = lua_touserdata(L, 1);
  ic_lua_body *body = ic_body_of(L);
  if (body->is_closing) return 0;
  if (body->doing.message == some->message) body->doing.message = NULL;
  ic_owned_release(&some->owned);
  return 0;
}

// By the userdata's size and first word, as refs are told (ref.c). One that has
// been finalized is none.
static envelope *test_envelope(lua_State *L, int index) {
  envelope *some = lua_touserdata(L, index);
  if (!some || lua_rawlen(L, index) != sizeof(envelope)) return NULL;
  return some->type == &envelope_type && some->message ? some : NULL;
}

static ic_message *check_message(lua_State *L) {
  envelope *some = test_envelope(L, 1);
  if (!some) {
    luaL_error(L, "message:reply wants a message before the colon, got %s",
               luaL_typename(L, 1));
  }
  return some->message;
}

// message:reply(value) -> true | nil, message, code
static int reply(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  const ic_message *message = check_message(L);
  if (lua_isnone(L, 2)) {
    return luaL_error(L, "message:reply wants a value, got nothing");
  }
  ic_isolate *to = ic_message_reply_to(message);
  if (!to) {
    return ic_lua_ref_fail(L, IC_NOT_FOUND,
                           "the message has no sender to reply to");
  }
  ic_isolate_fetch_mailbox(to);
  ic_message *answer;
  ic_status status = ic_lua_ref_answer(L, body, 2, message, &answer);
  if (status != IC_OK) return ic_lua_ref_fail(L, status, body->scratch.text);
  return ic_lua_ref_send(L, body, to, answer);
}

static void push_correlation_id(lua_State *L, const ic_message *message) {
  if (message->correlation_size == 0) {
    if (message->request != 0) {
      lua_pushinteger(L, (lua_Integer)message->request);
    } else {
      lua_pushnil(L);
    }
    return;
  }
  ic_lua_body *body = ic_body_of(L);
  body->decoding = message;
  ic_status status = ic_value_decode(L, &body->scratch, &body->hooks,
                                     message->bytes + message->value_size,
                                     message->correlation_size);
  body->decoding = NULL;
  if (status != IC_OK) luaL_error(L, "%s", body->scratch.text);
}

static void push_ref(lua_State *L, ic_isolate *isolate, uint64_t request) {
  if (isolate) {
    ic_lua_ref_push(L, ic_body_of(L), isolate, request);
  } else {
    lua_pushnil(L);
  }
}

// The index of envelopes; the method is the second upvalue.
static int get_field(lua_State *L) {
  const ic_message *message = check_message(L);
  const char *name = luaL_checkstring(L, 2);
  if (strcmp(name, "content") == 0) {
    lua_getiuservalue(L, 1, 1);
  } else if (strcmp(name, "sender") == 0) {
    push_ref(L, message->sender, 0);
  } else if (strcmp(name, "reply") == 0) {
    lua_pushvalue(L, lua_upvalueindex(2));
  } else if (strcmp(name, "replyTo") == 0) {
    push_ref(L, ic_message_reply_to(message), message->request);
  } else if (strcmp(name, "type") == 0) {
    if (message->type_size > 0) {
      lua_pushlstring(L, ic_message_type_bytes(message),
                      message->type_size - 1);
    } else {
      lua_pushnil(L);
    }
  } else if (strcmp(name, "correlationId") == 0) {
    push_correlation_id(L, message);
  } else {
    return luaL_error(L, "a message has no field '%s'", name);
  }
  return 1;
}

// Pushes the metatable of envelopes, which the first of a state makes.
static void push_type(lua_State *L, ic_lua_body *body) {
  if (body->envelope_type != LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, body->envelope_type);
    return;
  }
  luaL_newmetatable(L, ENVELOPE_TYPE);
  lua_pushlightuserdata(L, body);
  ic_body_push_function(L, -1, free_envelope);
  lua_setfield(L, -3, "__gc");
  ic_body_push_function(L, -1, reply);
  lua_pushcclosure(L, get_field, 2);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "isolate message");
  lua_setfield(L, -2, "__metatable");
  lua_pushvalue(L, -1);
  body->envelope_type = luaL_ref(L, LUA_REGISTRYINDEX);
}

void ic_envelope_push(lua_State *L, ic_lua_body *body) {
  envelope *some = lua_newuserdatauv(L, sizeof *some, 1);
  *some = (envelope){.type = &envelope_type};
  push_type(L, body);
  lua_setmetatable(L, -2);
  some->message = body->current;
  body->current = NULL;
  ic_owned_add(&body->owned, &some->owned, release_message);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 1);
}
