// sending.c - values on the stack into messages, and messages into mailboxes.

#include "binding/sending.h"

#include <string.h>

#include "binding/ending.h"
#include "binding/module.h"
#include "binding/ref.h"
#include "binding/request.h"
#include "core/escape.h"

// --- Encoding ---------------------------------------------------------------

void ic_sending_tell_askers(ic_lua_body *body, ic_isolate *to) {
  if (body->handed.askers.count == 0) return;
  ic_handed_tell(&body->handed, body->base.isolate, to);
}

static ic_status append_extras(lua_State *L, ic_lua_body *body,
                               const ic_extras *behind, ic_buffer *out,
                               ic_message_parts *parts) {
  size_t before = out->size;
  ic_status status = IC_OK;
  if (behind->correlation != 0) {
    status = ic_value_encode_at(L, behind->correlation, &body->scratch,
                                &body->hooks, "correlationId", out);
    if (status != IC_OK) return status;
  } else if (behind->answered) {
    const ic_message *answered = behind->answered;
    status = ic_buffer_append(out, answered->bytes + answered->value_size,
                              answered->correlation_size);
  }
  if (out->size - before > UINT32_MAX) status = IC_MEMORY;
  parts->correlation_size = (uint32_t)(out->size - before);
  if (status == IC_OK && behind->type != 0) {
    size_t size;
    const char *bytes = lua_tolstring(L, behind->type, &size);
    parts->type_size = (uint32_t)size + 1;
    status = ic_buffer_append(out, bytes, size + 1);
  }
  if (status != IC_OK) strcpy(body->scratch.text, ic_status_text(status));
  return status;
}

static ic_status encode_into(lua_State *L, ic_lua_body *body, int index,
                             const char *name, ic_buffer *out) {
  ic_sending_tell_askers(body, NULL);  // of what was not sent by a send
  return ic_value_encode_at(L, index, &body->scratch, &body->hooks, name, out);
}

static ic_status encode(lua_State *L, ic_lua_body *body, int index,
                        const char *name, const ic_extras *behind,
                        ic_message **out) {
  ic_buffer buffer;
  ic_message_parts parts = {0};
  ic_buffer_init(&buffer, sizeof(ic_message));
  buffer.most = ic_ending_room(body);
  buffer.killed = body->hooks.killed;
  // The buffer is ours alone; nothing of this raises.
  ic_escape_forbid();
  ic_status status = encode_into(L, body, index, name, &buffer);
  if (status == IC_OK) status = append_extras(L, body, behind, &buffer, &parts);
  ic_escape_permit();
  if (status == IC_OK) {
    *out = ic_message_wrap(&buffer, parts, &body->refs);
    return IC_OK;
  }
  ic_buffer_fini(&buffer);
  ic_ref_list_fini(&body->refs);
  ic_handed_forget(&body->handed);
  return status;
}

ic_status ic_sending_encode_bytes(lua_State *L, ic_lua_body *body, int index) {
  ic_buffer *out = &body->scratch.encoded;
  out->size = 0;
  out->most = ic_ending_room(body);
  out->killed = body->hooks.killed;
  ic_escape_forbid();
  ic_status status = encode_into(L, body, index, "message", out);
  if (body->refs.items) ic_ref_list_fini(&body->refs);
  if (status != IC_OK) ic_buffer_fini(out);
  ic_escape_permit();
  ic_ending_weigh(body);
  if (status != IC_OK) ic_handed_forget(&body->handed);
  return status;
}

ic_status ic_sending_encode(lua_State *L, ic_lua_body *body, int index,
                            const char *name, ic_message **out) {
  return encode(L, body, index, name, &(ic_extras){0}, out);
}

ic_status ic_sending_encode_with(lua_State *L, ic_lua_body *body, int index,
                                 const ic_extras *behind, ic_message **out) {
  return encode(L, body, index, "message", behind, out);
}

ic_status ic_sending_answer(lua_State *L, ic_lua_body *body, int index,
                            uint64_t request, const ic_message *question,
                            ic_message **out) {
  ic_extras behind = {.answered = question};
  ic_status status = encode(L, body, index, "message", &behind, out);
  if (status != IC_OK) return status;
  ic_message *answer = *out;
  if (!body->is_host) answer->sender = ic_body_hold_isolate(body);
  if (request != 0) {
    answer->kind = IC_MESSAGE_REPLY;
    answer->request = request;
  }
  return IC_OK;
}

// --- Sending ----------------------------------------------------------------

// The results of a send that has gone well, or not; then it frees [message].
static int push_outcome(lua_State *L, ic_lua_body *body, ic_isolate *to,
                        ic_message *message, ic_status status) {
  if (status == IC_OK) {
    ic_count(&body->base.isolate->sent);
    ic_sending_tell_askers(body, to);
    lua_pushboolean(L, 1);
    return 1;
  }
  if (status == IC_GONE) {
    ic_death_bury(to, message, body->base.isolate->cluster);
  } else {
    ic_message_free(message);
  }
  ic_handed_forget(&body->handed);
  lua_pushnil(L);
  if (status == IC_GONE) {
    lua_pushfstring(L, "the isolate %s has ended", to->path);
  } else if (status == IC_FULL) {
    lua_pushfstring(L, "the mailbox of %s is full", to->path);
  } else {
    lua_pushstring(L, ic_status_text(status));
  }
  lua_pushstring(L, ic_status_name(status));
  return 3;
}

// What the wait has given is all that is above [top].
static int finish_wait(lua_State *L, int status, lua_KContext top) {
  (void)status;
  return lua_gettop(L) - (int)top;
}

// Loads what waits, in a state that had no need of it.
static void prepare_wait(lua_State *L, ic_lua_body *body, ic_message *message) {
  if (body->events[IC_EVENT_FULL] != LUA_NOREF) return;
  body->current = message;  // freed by the body, should the next line raise
  ic_module_rest(L, body);
  lua_pop(L, 1);
  body->current = NULL;
}

// The mailbox is full, and the sender waits for room.
static int send_later(lua_State *L, ic_lua_body *body, ic_isolate *to,
                      ic_message *message) {
  prepare_wait(L, body, message);
  bool in_coroutine = !body->is_host || body->in_turn;
  bool can_wait = !in_coroutine || lua_isyieldable(L);
  ic_message *notice = can_wait ? ic_message_new_event(IC_MESSAGE_ROOM) : NULL;
  if (!notice) {
    ic_message_free(message);
    ic_handed_forget(&body->handed);
    if (!can_wait) return luaL_error(L, IC_CANNOT_WAIT);
    return ic_lua_ref_fail(L, IC_MEMORY, ic_status_text(IC_MEMORY));
  }
  uint64_t number = ++body->last_wait_for_room;
  notice->request = number;
  notice->reply_to = ic_isolate_hold(body->base.isolate);
  bool waits;
  ic_status status = ic_isolate_push_later(to, message, notice, &waits);
  if (!waits) ic_message_free(notice);
  int results = push_outcome(L, body, to, message, status);
  if (!waits) return results;
  int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->events[IC_EVENT_FULL]);
  lua_pushinteger(L, (lua_Integer)number);
  lua_callk(L, 1, LUA_MULTRET, top, finish_wait);
  return lua_gettop(L) - top;
}

int ic_sending_send(lua_State *L, ic_lua_body *body, ic_isolate *to,
                    ic_message *message) {
  ic_status status = ic_isolate_push(to, message);
  if (status == IC_FULL && ic_bound_waits(to->bound)) {
    return send_later(L, body, to, message);
  }
  return push_outcome(L, body, to, message, status);
}

int ic_sending_ask(lua_State *L, ic_lua_body *body, ic_isolate *to,
                   ic_message *message, bool *waits) {
  *waits = false;
  ic_status status = ic_isolate_push(to, message);
  if (status == IC_FULL && ic_bound_waits(to->bound)) {
    status = ic_isolate_push_later(to, message, NULL, waits);
  }
  return push_outcome(L, body, to, message, status);
}
