// turns.c - take what came, run the Lua code that handles it.
//
// All of it runs in coroutines. One of them, the dispatcher, handles message
// after message for as long as no handler waits. A handler that waits keeps the
// coroutine that it runs in, and the turn goes on with a new one; so a handler
// costs a coroutine only where it really waits. An error ends the dispatcher
// that it happened in, whose stack then still shows where.

#include "binding/turns.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/context.h"
#include "binding/ending.h"
#include "binding/envelope.h"
#include "binding/event.h"
#include "binding/module.h"
#include "binding/queue.h"
#include "binding/ref.h"
#include "binding/request.h"
#include "binding/stuck.h"
#include "core/ref.h"

// The clock is read once for this many messages of a full queue.
enum { MESSAGES_PER_CLOCK = 64 };

// After so many calls without a wait an isolate lets others have their turn.
enum { CALLS_PER_TURN = 256 };

// --- Calling ----------------------------------------------------------------

// Notes what the isolate is on. The sender of a message that is about to be freed is
// owed from then on.
static void note_message(ic_lua_body *body) {
  ic_doing *doing = &body->doing;
  const ic_message *message = body->current;
  doing->what = IC_DOING_MESSAGE;
  doing->sender = message->sender;
  doing->message = NULL;
  doing->has_type = message->type_size > 0;
  if (doing->has_type) {
    snprintf(body->doing_type, sizeof body->doing_type, "%s",
             ic_message_type_bytes(message));
  }
}

// Pushes the message handler and its arguments; how many, or -1.
static int push_value_call(ic_lua_body *body, lua_State *L) {
  ic_count(&body->base.isolate->received);
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->handler);
  if (!ic_body_push_value(body, L, body->current)) {
    ic_body_report(body, body->scratch.text);
    return -1;
  }
  note_message(body);
  if (!body->handler_wants_message) return 1;
  ic_envelope_push(L, body);
  return 2;
}

// What is told to requests is handled here; true if it was that.
static bool take_news_of_requests(ic_lua_body *body, lua_State *L) {
  const ic_message *news = body->current;
  body->doing.what = news->kind == IC_MESSAGE_START   ? IC_DOING_ENTRY
                     : news->kind == IC_MESSAGE_REPLY ? IC_DOING_ANSWER
                                                      : IC_DOING_EVENT;
  if (news->kind == IC_MESSAGE_REPLY) return ic_request_answer(body, L);
  if (news->kind == IC_MESSAGE_HANDED) {
    ic_request_handed(body);
    return true;
  }
  if (news->kind == IC_MESSAGE_PROBE) {
    ic_stuck_answer(body, L, news);
    return true;
  }
  if (news->kind != IC_MESSAGE_ENDED) return false;
  uint64_t number = news->request;
  const ic_watching_slot *slot = ic_watching_find(&body->watching, number);
  if (slot && !slot->is_shared) return false;
  if (!slot) return true;  // cancelled
  ic_watching_end(&body->watching, number);
  ic_request_holder_ended(body, L, number);
  return true;
}

// What becomes of an event that the isolate has no code for yet.
static void take_unhandled(ic_lua_body *body, lua_State *L, ic_event event) {
  if (event == IC_EVENT_COMMAND) ic_ref_refuse(body->current);
  if (event == IC_EVENT_SHUTDOWN) ic_body_stop(body, "shutdown");
  if (event == IC_EVENT_REPLY) ic_module_rest(L, body);  // which counts it
}

// Pushes the entry and the context.
static int push_entry_call(ic_lua_body *body, lua_State *L) {
  body->entry_co = L;
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->function);
  luaL_unref(L, LUA_REGISTRYINDEX, body->function);
  body->function = LUA_NOREF;
  ic_context_push(L);
  return 1;
}

static int push_event_call(ic_lua_body *body, lua_State *L) {
  if (take_news_of_requests(body, L)) return -1;
  if (body->current->kind == IC_MESSAGE_START) return push_entry_call(body, L);
  ic_event event = ic_event_of(body->current->kind);
  if (event == IC_EVENT_COUNT) return -1;
  if (body->events[event] == LUA_NOREF) take_unhandled(body, L, event);
  if (body->events[event] == LUA_NOREF) return -1;
  bool tells_of_another = event == IC_EVENT_UP || event == IC_EVENT_DOWN;
  if (tells_of_another &&
      !ic_reach_covers(&body->reach, body->current->sender->path)) {
    return -1;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->events[event]);
  return ic_event_push(L, body, body->current);
}

static bool is_due(const ic_lua_body *body) {
  return body->deadline_ns != IC_NEVER &&
         body->deadline_ns <= ic_body_now_ns(body);
}

// The time is read for this only where timers ran, and may have set the next.
bool ic_turns_has_due_timer(const ic_lua_body *body) {
  return body->timers_had_turn && !body->base.isolate->simulator &&
         is_due(body);
}

static bool timer_is_due(ic_lua_body *body) {
  if (!is_due(body)) return false;
  body->deadline_ns = IC_NEVER;  // its handler sets the next
  ic_watchdog_count_call(body->meter);
  return true;
}

// Pushes the next function to call, and its arguments; how many, or -1 if there
// is nothing to call for this message. [*done]: there is no more to do.
static int push_next(ic_lua_body *body, lua_State *L, unsigned *calls,
                     bool *done) {
  ic_body_free_current(body);  // left by an error that the code has caught
  bool looks = ++*calls % MESSAGES_PER_CLOCK == 0;
  if (looks && ic_request_expire(body, L)) return -1;
  bool timer_first = looks && timer_is_due(body);
  if (!timer_first) body->current = ic_queue_next(body);
  if (body->current) {
    int arguments = body->current->kind == IC_MESSAGE_VALUE
                        ? push_value_call(body, L)
                        : push_event_call(body, L);
    ic_body_free_current(body);
    return arguments;
  }
  if (timer_first || (!body->timers_had_turn && timer_is_due(body))) {
    body->doing.what = IC_DOING_TIMER;
    body->timers_had_turn |= !timer_first;
    lua_rawgeti(L, LUA_REGISTRYINDEX, body->events[IC_EVENT_TIMER]);
    return 0;
  }
  *done = !ic_request_expire(body, L);
  return -1;
}

// The handler has waited: another dispatcher has taken over, this one is done.
static int after_wait(lua_State *L, int status, lua_KContext context) {
  (void)L;
  (void)status;
  (void)context;
  return 0;
}

// The entry has returned; that of a file may have returned another one, on the top.
static int after_entry(lua_State *L, int status, lua_KContext may_return) {
  (void)status;
  ic_lua_body *body = ic_body_of(L);
  if (may_return && lua_isfunction(L, -1)) {
    ic_context_push(L);
    lua_callk(L, 1, 0, 0, after_entry);
  }
  body->entry_co = NULL;
  ic_body_end_start(body, L);
  return 0;
}

static void call(ic_lua_body *body, lua_State *L, int arguments) {
  if (body->entry_co != L) {
    lua_callk(L, arguments, 0, 0, after_wait);
    return;
  }
  lua_callk(L, arguments, 1, body->may_return_entry, after_entry);
  after_entry(L, LUA_OK, body->may_return_entry);
}

// The function of the dispatcher.
static int dispatch(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  unsigned calls = 0;
  bool done = false;
  while (!done && !body->stopping && calls < body->calls_per_turn) {
    int arguments = push_next(body, L, &calls, &done);
    if (arguments >= 0) {
      call(body, L, arguments);
    } else {
      lua_settop(L, 0);
    }
  }
  return 0;
}

// --- Turns ------------------------------------------------------------------

static const char dispatcher_key;

static lua_State *new_dispatcher(ic_lua_body *body, lua_State *L) {
  lua_State *co = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &dispatcher_key);
  body->dispatcher = co;
  return co;
}

// A coroutine that is ready to dispatch: the last one, if it is free. It is found
// without a look-up, which would cost each turn some lines of the cache.
static lua_State *get_dispatcher(ic_lua_body *body, lua_State *L) {
  return body->dispatcher ? body->dispatcher : new_dispatcher(body, L);
}

// Leaves it at the top of [L], so that it lives on for a while.
static void forget_dispatcher(ic_lua_body *body, lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &dispatcher_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &dispatcher_key);
  body->dispatcher = NULL;
}

// The dispatcher [co] has yielded: its handler waits for an event, which knows
// the coroutine, or it called coroutine.yield, and nobody would ever resume it.
static void let_wait(ic_lua_body *body, lua_State *L, lua_State *co) {
  forget_dispatcher(body, L);
  if (body->awaiting) {
    body->awaiting = false;
    return;
  }
  lua_settop(co, 0);
  lua_pushliteral(co, "coroutine.yield outside of a coroutine of your own");
  ic_body_report_error(body, L, co);
  lua_resetthread(co);
}

// For the trace: what the simulated turn that begins will handle.
static void note_next(const ic_lua_body *body) {
  const ic_isolate *isolate = body->base.isolate;
  const ic_message *next = ic_queue_peek(body);
  if (next) {
    ic_simulator_note(isolate->simulator, isolate, IC_NOTE_MESSAGE, next);
  } else if (!body->is_host &&
             ic_body_next_deadline(body) <= ic_body_now_ns(body)) {
    ic_simulator_note(isolate->simulator, isolate, IC_NOTE_TIMER, NULL);
  }
}

static void begin_turn(ic_lua_body *body) {
  bool is_simulated = body->base.isolate->simulator != NULL;
  body->timers_had_turn = false;
  body->calls_per_turn = is_simulated ? 1 : CALLS_PER_TURN;
  if (is_simulated) note_next(body);
}

// Handles messages until the dispatcher [co] is done, fails or waits. Raises
// nothing.
static int resume_dispatcher(ic_lua_body *body, lua_State *L, lua_State *co) {
  int results = 0;
  if (body->is_host) {
    lua_rawgeti(co, LUA_REGISTRYINDEX, body->dispatch);
  } else {
    lua_pushcfunction(co, dispatch);
  }
  ic_value_scratch_reset(&body->scratch);
  int status = ic_body_resume(body, co, L, 0, &results);
  ic_body_free_current(body);
  return status;
}

// Sees to what became of the dispatcher; true if the turn goes on with another.
static bool goes_on(ic_lua_body *body, lua_State *L, lua_State *co,
                    int status) {
  // What it left open stays so: no more of its code is to run.
  if (ic_body_is_killed(body)) return false;
  if (status == LUA_YIELD) {
    let_wait(body, L, co);
  } else if (status != LUA_OK) {
    forget_dispatcher(body, L);
    ic_body_report_error(body, L, co);
    lua_resetthread(co);
  }
  return status != LUA_OK && !body->base.isolate->simulator &&
         !body->stopping && !ic_body_is_killed(body);
}

// The rest of a turn whose first dispatcher was [co], if it had one.
static void end_turn(ic_lua_body *body, lua_State *L, lua_State *co,
                     int status) {
  int top = lua_gettop(L);
  while (!co || goes_on(body, L, co, status)) {
    lua_settop(L, top);
    co = get_dispatcher(body, L);
    status = resume_dispatcher(body, L, co);
  }
  lua_settop(L, top);
}

void ic_turns_take(ic_lua_body *body, lua_State *L) {
  luaL_checkstack(L, 8, "a turn");
  begin_turn(body);
  if (!body->stopping && !ic_body_is_killed(body)) {
    end_turn(body, L, NULL, LUA_OK);
  }
  ic_body_pay_sender(body);
}

// --- An isolate's turns -------------------------------------------------------

// Whether something is there that will call the isolate's code. Raises nothing.
static bool lives_on(ic_lua_body *body, lua_State *L) {
  if (ic_queue_has_handler(body) || body->queue) return true;
  body->only_asks = ic_request_any(body, L);
  return body->only_asks;
}

// Ends an isolate whose code nothing can call any more.
static void look_for_end(ic_lua_body *body, lua_State *L) {
  if (body->stopping || lives_on(body, L)) return;
  // Nothing but messages can call what has nothing of isolate.lua.
  if (body->events[IC_EVENT_ALIVE] == LUA_NOREF) {
    ic_body_stop(body, "done");
    return;
  }
  if (ic_body_call(body, L, IC_EVENT_ALIVE, 0, 1) && !lua_toboolean(L, -1)) {
    ic_body_stop(body, "done");
  }
}

typedef struct {
  ic_lua_body *body;
  lua_State *co;
  int status;
} turn;

static int protected_end(lua_State *L) {
  const turn *self = lua_touserdata(L, 1);
  end_turn(self->body, L, self->co, self->status);
  ic_ending_review(self->body, L);
  look_for_end(self->body, L);
  return 0;
}

// Where the code waits, fails or is to end, there is more to do that may raise.
static void end_turn_protected(turn *self) {
  ic_lua_body *body = self->body;
  lua_State *L = body->L;
  lua_pushcfunction(L, protected_end);
  lua_pushlightuserdata(L, self);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK && !ic_body_is_killed(body)) {
    const char *text = lua_tostring(L, -1);
    if (!text) text = "an error without a text";
    ic_body_report(body, text);
    ic_body_set_error(&body->base, text, strlen(text), text, strlen(text));
    ic_body_stop(body, "memory");
  }
  if (!ic_body_is_killed(body) && body->stopping) {
    ic_body_call(body, L, IC_EVENT_END, 0, 0);
  }
  lua_settop(L, 0);
}

void ic_turns_run(ic_lua_body *body) {
  if (ic_body_is_killed(body)) return;
  turn self = {body, body->dispatcher, LUA_OK};
  body->running = body->L;
  begin_turn(body);
  if (self.co) self.status = resume_dispatcher(body, body->L, self.co);
  bool is_over = self.co && self.status == LUA_OK && !body->stopping &&
                 !body->is_over_memory;
  if (!is_over || ic_body_is_killed(body) || !lives_on(body, body->L)) {
    end_turn_protected(&self);
  }
  body->running = NULL;
  ic_body_count_memory(body);
}

void ic_turns_install(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, -1);
  if (!body->is_host) return;
  ic_body_push_function(L, -1, dispatch);
  body->dispatch = luaL_ref(L, LUA_REGISTRYINDEX);
}
