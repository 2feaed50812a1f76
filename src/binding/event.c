// event.c - one case for each kind of message but values.

#include "binding/event.h"

#include <lauxlib.h>

#include "binding/letter.h"
#include "binding/ref.h"
#include "binding/stuck.h"

ic_event ic_event_of(ic_message_kind kind) {
  switch (kind) {
    case IC_MESSAGE_REPLY:
      return IC_EVENT_REPLY;
    case IC_MESSAGE_SPAWNED:
      return IC_EVENT_SPAWNED;
    case IC_MESSAGE_ROOM:
      return IC_EVENT_ROOM;
    case IC_MESSAGE_UP:
      return IC_EVENT_UP;
    case IC_MESSAGE_DOWN:
      return IC_EVENT_DOWN;
    case IC_MESSAGE_ENDED:
      return IC_EVENT_ENDED;
    case IC_MESSAGE_DEAD:
      return IC_EVENT_DEAD_LETTER;
    case IC_MESSAGE_STUCK:
      return IC_EVENT_STUCK;
    case IC_MESSAGE_SHUTDOWN:
      return IC_EVENT_SHUTDOWN;
    case IC_MESSAGE_COMMAND:
      return IC_EVENT_COMMAND;
    case IC_MESSAGE_NODE_EMPTY:
      return IC_EVENT_EMPTY;
    case IC_MESSAGE_NODE_DOWN:
      return IC_EVENT_NODE_DOWN;
    default:
      return IC_EVENT_COUNT;
  }
}

static int push_failure(lua_State *L, ic_status status, const char *text) {
  lua_pushnil(L);
  lua_pushstring(L, text ? text : ic_status_text(status));
  lua_pushstring(L, ic_status_name(status));
  return 3;
}

// Pushes { message =, traceback = } for the error that [ended] ended by, or nil.
static void push_error(lua_State *L, const ic_isolate *ended) {
  const ic_error *error = ended->error;
  if (!error) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 0, 2);
  lua_pushlstring(L, error->bytes, error->message_size);
  lua_setfield(L, -2, "message");
  lua_pushlstring(L, ic_error_traceback(error), error->traceback_size);
  lua_setfield(L, -2, "traceback");
}

// Pushes the ref of who has ended, the reason, and the error or nil.
static int push_end(lua_State *L, ic_lua_body *body,
                    const ic_message *message) {
  luaL_checkstack(L, 8, "an end");
  ic_lua_ref_push(L, body, message->sender, 0);
  // Unknown where the isolate is known from bytes alone.
  lua_pushstring(L, message->reason ? message->reason : "gone");
  push_error(L, message->sender);
  return 3;
}

static int push_reply(lua_State *L, ic_lua_body *body,
                      const ic_message *message) {
  const ic_isolate *sender = message->sender;
  lua_pushinteger(L, sender ? (lua_Integer)sender->cluster_key : 0);
  if (message->status != IC_OK) {
    return 1 + push_failure(L, message->status, message->text);
  }
  if (!ic_body_push_value(body, L, message)) {
    return 1 + push_failure(L, IC_MALFORMED, body->scratch.text);
  }
  return 2;
}

// What came of a spawn, or of a wait for room.
static int push_outcome(lua_State *L, ic_lua_body *body,
                        const ic_message *message) {
  if (message->status != IC_OK) {
    return push_failure(L, message->status, message->text);
  }
  if (message->kind == IC_MESSAGE_SPAWNED) {
    ic_lua_ref_push(L, body, message->sender, 0);
  } else {
    lua_pushboolean(L, 1);
  }
  return 1;
}

// Events that begin with the number of what was waited for.
static int push_numbered(lua_State *L, ic_lua_body *body,
                         const ic_message *message) {
  lua_pushinteger(L, (lua_Integer)message->request);
  if (message->kind == IC_MESSAGE_REPLY) {
    return 1 + push_reply(L, body, message);
  }
  if (message->kind == IC_MESSAGE_ENDED) {
    ic_watching_end(&body->watching, message->request);
    return 1 + push_end(L, body, message);
  }
  return 1 + push_outcome(L, body, message);
}

// Events that end with the key of the cluster that they are of.
static int push_keyed(lua_State *L, ic_lua_body *body,
                      const ic_message *message) {
  int count = 0;
  if (message->kind == IC_MESSAGE_UP) {
    ic_lua_ref_push(L, body, message->sender, 0);
    count = 1;
  } else if (message->kind == IC_MESSAGE_DOWN) {
    count = push_end(L, body, message);
  } else if (message->kind == IC_MESSAGE_STUCK) {
    ic_stuck_push(L, body, message);
    count = 1;
  } else if (message->kind == IC_MESSAGE_DEAD) {
    ic_letter_push(L, body, message);
    count = 1;
  }
  lua_pushinteger(L, (lua_Integer)message->cluster_key);
  return count + 1;
}

int ic_event_push(lua_State *L, ic_lua_body *body, const ic_message *message) {
  switch (ic_event_of(message->kind)) {
    case IC_EVENT_REPLY:
    case IC_EVENT_SPAWNED:
    case IC_EVENT_ROOM:
    case IC_EVENT_ENDED:
      return push_numbered(L, body, message);
    case IC_EVENT_COMMAND:
      if (!ic_body_push_value(body, L, message)) lua_pushnil(L);
      ic_lua_ref_push(L, body, message->reply_to, message->request);
      return 2;
    case IC_EVENT_UP:
    case IC_EVENT_DOWN:
    case IC_EVENT_STUCK:
    case IC_EVENT_DEAD_LETTER:
    case IC_EVENT_EMPTY:
    case IC_EVENT_NODE_DOWN:
      return push_keyed(L, body, message);
    default:
      return 0;
  }
}
