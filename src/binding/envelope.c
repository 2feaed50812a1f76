// envelope.c - a userdata. That of most messages holds the value, the ref of who sent it
// and the number of the request; so it owns nothing and needs no finalizer, and the
// message is freed before its handler runs. One with more to say owns the message.

#include "binding/envelope.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "binding/ref.h"
#include "binding/sending.h"

#define ENVELOPE_TYPE "isolate_cluster.message"

static const char envelope_type;  // its address is in each envelope

typedef struct {
  const void *type;
  uint64_t request;     // 0: none
  ic_message *message;  // of a full one
} envelope;

typedef struct {
  envelope base;
  ic_owned owned;  // NULL for base.message once it was released
} full_envelope;

// User values; the second is that of one that is not full.
enum { CONTENT = 1, SENDER };

static void release_message(ic_owned *owned) {
  full_envelope *full =
      (full_envelope *)(void *)((char *)owned - offsetof(full_envelope, owned));
  ic_message_free(full->base.message);
  full->base.message = NULL;
}

static int free_envelope(lua_State *L) {
  full_envelope *full = lua_touserdata(L, 1);
  ic_lua_body *body = ic_body_of(L);
  if (body->is_closing) return 0;
  if (body->doing.message == full->base.message) body->doing.message = NULL;
  ic_owned_release(&full->owned);
  return 0;
}

// --- What it says -----------------------------------------------------------

// The one at index 1, by the userdata's size and first word, as refs are told (ref.c).
// One that has been finalized is none.
static const envelope *check_envelope(lua_State *L) {
  const envelope *self = lua_touserdata(L, 1);
  size_t size = self ? lua_rawlen(L, 1) : 0;
  bool is_full = size == sizeof(full_envelope);
  if ((is_full || size == sizeof(envelope)) && self->type == &envelope_type &&
      (self->message || !is_full)) {
    return self;
  }
  luaL_error(L, "message:reply wants a message before the colon, got %s",
             luaL_typename(L, 1));
  return NULL;
}

// Who sent the one at index 1 that is not full; NULL where its ref was finalized, and
// another finalizer has it still. Borrowed from the envelope.
static ic_isolate *sender_of(lua_State *L) {
  lua_getiuservalue(L, 1, SENDER);
  const ic_lua_ref *ref = ic_lua_ref_test(L, -1);
  lua_pop(L, 1);
  return ref ? ref->isolate : NULL;
}

static ic_isolate *reply_to_of(lua_State *L, const envelope *self) {
  return self->message ? ic_message_reply_to(self->message) : sender_of(L);
}

// message:reply(value) -> true | nil, message, code
static int reply(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  const envelope *self = check_envelope(L);
  if (lua_isnone(L, 2)) {
    return luaL_error(L, "message:reply wants a value, got nothing");
  }
  ic_isolate *to = reply_to_of(L, self);
  if (!to) {
    return ic_lua_ref_fail(L, IC_NOT_FOUND,
                           "the message has no sender to reply to");
  }
  ic_isolate_fetch_mailbox(to);
  ic_message *answer;
  ic_status status =
      ic_sending_answer(L, body, 2, self->request, self->message, &answer);
  if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  return ic_sending_send(L, body, to, answer);
}

static void push_correlation_id(lua_State *L, const envelope *self) {
  const ic_message *message = self->message;
  if (!message || message->correlation_size == 0) {
    if (self->request != 0) {
      lua_pushinteger(L, (lua_Integer)self->request);
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

static void push_sender(lua_State *L, const envelope *self) {
  if (self->message) {
    push_ref(L, self->message->sender, 0);
  } else {
    lua_getiuservalue(L, 1, SENDER);
  }
}

static void push_type_of(lua_State *L, const ic_message *message) {
  if (message && message->type_size > 0) {
    lua_pushlstring(L, ic_message_type_bytes(message), message->type_size - 1);
  } else {
    lua_pushnil(L);
  }
}

// The index of envelopes; the method is the second upvalue, and told by its name's
// address: of a short string there is one in a state.
static int get_field(lua_State *L) {
  const char *name = lua_tostring(L, 2);
  if (name && name == ic_body_of(L)->reply_key) {
    lua_pushvalue(L, lua_upvalueindex(2));
    return 1;
  }
  const envelope *self = check_envelope(L);
  name = luaL_checkstring(L, 2);
  if (strcmp(name, "content") == 0) {
    lua_getiuservalue(L, 1, CONTENT);
  } else if (strcmp(name, "sender") == 0) {
    push_sender(L, self);
  } else if (strcmp(name, "replyTo") == 0) {
    push_ref(L, reply_to_of(L, self), self->request);
  } else if (strcmp(name, "type") == 0) {
    push_type_of(L, self->message);
  } else if (strcmp(name, "correlationId") == 0) {
    push_correlation_id(L, self);
  } else {
    return luaL_error(L, "a message has no field '%s'", name);
  }
  return 1;
}

// --- Making -----------------------------------------------------------------

// Pushes a metatable for envelopes. It has the method, whose name so stays.
static void make_type(lua_State *L, ic_lua_body *body) {
  lua_createtable(L, 0, 5);
  lua_pushliteral(L, ENVELOPE_TYPE);
  lua_setfield(L, -2, "__name");
  lua_pushlightuserdata(L, body);
  lua_pushliteral(L, "reply");
  body->reply_key = lua_tostring(L, -1);
  ic_body_push_function(L, -2, reply);
  lua_pushvalue(L, -3);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, get_field, 2);
  lua_setfield(L, -5, "__index");
  lua_rawset(L, -4);
  lua_pop(L, 1);
  lua_pushliteral(L, "isolate message");
  lua_setfield(L, -2, "__metatable");
}

// Likewise the one that [place] keeps, which the first such envelope of a state makes.
// True if it is new.
static bool push_type(lua_State *L, ic_lua_body *body, int *place) {
  bool is_new = *place == LUA_NOREF;
  if (is_new) {
    make_type(L, body);
    lua_pushvalue(L, -1);
    *place = luaL_ref(L, LUA_REGISTRYINDEX);
  } else {
    lua_rawgeti(L, LUA_REGISTRYINDEX, *place);
  }
  return is_new;
}

// The value is on the top.
static envelope *new_envelope(lua_State *L, size_t size, int values) {
  envelope *self = lua_newuserdatauv(L, size, values);
  *self = (envelope){.type = &envelope_type};
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, CONTENT);
  return self;
}

static void push_full(lua_State *L, ic_lua_body *body) {
  full_envelope *full =
      (full_envelope *)new_envelope(L, sizeof(full_envelope), 1);
  full->owned = (ic_owned){0};
  if (push_type(L, body, &body->full_envelope_type)) {
    lua_pushlightuserdata(L, body);
    ic_body_push_function(L, -1, free_envelope);
    lua_setfield(L, -3, "__gc");
    lua_pop(L, 1);
  }
  lua_setmetatable(L, -2);
  full->base.request = body->current->request;
  full->base.message = body->current;
  body->current = NULL;
  ic_owned_add(&body->owned, &full->owned, release_message);
  body->doing.message = full->base.message;
  body->doing.sender = NULL;
}

// Whether it has nothing to say but who sent it and for which request.
static bool is_plain(const ic_message *message) {
  return message->sender && !message->reply_to && message->type_size == 0 &&
         message->correlation_size == 0;
}

void ic_envelope_push(lua_State *L, ic_lua_body *body) {
  const ic_message *message = body->current;
  if (!is_plain(message)) {
    push_full(L, body);
    return;
  }
  envelope *self = new_envelope(L, sizeof(envelope), 2);
  self->request = message->request;
  push_type(L, body, &body->envelope_type);
  lua_setmetatable(L, -2);
  ic_lua_ref_push(L, body, message->sender, 0);
  lua_setiuservalue(L, -2, SENDER);
}
