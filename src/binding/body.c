// body.c - turns: take what came, run the Lua code that handles it.
//
// All of it runs in coroutines. One of them, the dispatcher, handles message
// after message for as long as no handler waits. A handler that waits keeps the
// coroutine that it runs in, and the turn goes on with a new one; so a handler
// costs a coroutine only where it really waits. An error ends the dispatcher
// that it happened in, whose stack then still shows where.

#include "binding/body.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/context.h"
#include "binding/ending.h"
#include "binding/envelope.h"
#include "binding/event.h"
#include "binding/load.h"
#include "binding/module.h"
#include "binding/ref.h"
#include "binding/request.h"
#include "binding/stuck.h"
#include "binding/template.h"
#include "core/dead_letters.h"
#include "core/ref.h"

// The clock is read once for this many messages of a full queue.
enum { MESSAGES_PER_CLOCK = 64 };

// After so many calls without a wait an isolate lets others have their turn.
enum { CALLS_PER_TURN = 256 };

_Static_assert(sizeof(ic_lua_body) <= 2048, "an arena gives the next one 2560");

// --- The queue --------------------------------------------------------------

static void append(ic_message ***end, ic_message *chain) {
  while (chain) {
    **end = chain;
    *end = &chain->next;
    chain = chain->next;
  }
}

static ic_message *shift(ic_message **first, ic_message ***end) {
  ic_message *message = *first;
  if (!message) return NULL;
  *first = message->next;
  if (!*first) *end = first;
  // The next one's bytes come from another core: fetched while this is handled.
  __builtin_prefetch(message->next);
  __builtin_prefetch((const char *)message->next + IC_CACHE_LINE);
  message->next = NULL;
  return message;
}

// The mailbox knows the chain's end: in a flood it would be long to walk.
void ic_body_enqueue(ic_lua_body *body, ic_message *chain) {
  if (!chain) return;
  *body->queue_end = chain;
  body->queue_end = &body->base.isolate->mailbox.last->next;
}

// Whether it was sent before the change that [event] tells of. What came once the
// isolate hears of changes by messages has no moment.
static bool is_before(const ic_message *message, const ic_message *event) {
  if (message->kind == IC_MESSAGE_UP || message->kind == IC_MESSAGE_DOWN) {
    return false;
  }
  return message->moment > 0 && message->moment < event->request;
}

// So each is behind what led to it, as what its isolate had sent before it ended, and
// in front of what it led to, as what its isolate sent once it was up.
void ic_body_enqueue_missed(ic_lua_body *body, ic_message *events) {
  ic_body_enqueue(body, ic_isolate_take(body->base.isolate, 0));
  ic_message **at = &body->queue;
  uint64_t count = 0;
  while (events) {
    ic_message *event = events;
    events = event->next;
    while (*at && is_before(*at, event))
      at = &(*at)->next;
    event->next = *at;
    *at = event;
    at = &event->next;
    count++;
  }
  if (!*at) body->queue_end = at;
  ic_mailbox_count(&body->base.isolate->mailbox, count);
}

static bool has_handler(const ic_lua_body *body) {
  return body->handler != LUA_NOREF;
}

static bool is_value(const ic_message *message) {
  return message->kind == IC_MESSAGE_VALUE || message->kind == IC_MESSAGE_TOKEN;
}

// The next message that can be handled now. Values that nobody listens for are
// held back, and come first once somebody does.
static ic_message *next_queued(ic_lua_body *body) {
  if (body->held && has_handler(body)) {
    return shift(&body->held, &body->held_end);
  }
  ic_message *message;
  while ((message = shift(&body->queue, &body->queue_end)) != NULL) {
    if (!is_value(message) || has_handler(body)) break;
    append(&body->held_end, message);
  }
  return message;
}

// Likewise, and it leaves the mailbox's bound.
static ic_message *next_message(ic_lua_body *body) {
  ic_message *message;
  do {
    message = next_queued(body);
    if (!message) return NULL;
    ic_count(&body->base.isolate->handled);
    message = ic_isolate_admit(body->base.isolate, message);
  } while (!message);
  return message;
}

// What next_message would give.
static const ic_message *peek_message(const ic_lua_body *body) {
  if (body->held && has_handler(body)) return body->held;
  const ic_message *message = body->queue;
  while (message && is_value(message) && !has_handler(body)) {
    message = message->next;
  }
  return message;
}

// --- Calling ----------------------------------------------------------------

bool ic_body_push_value(ic_lua_body *body, lua_State *L,
                        const ic_message *message) {
  body->decoding = message;
  ic_status status = ic_value_decode(L, &body->scratch, &body->hooks,
                                     message->bytes, message->value_size);
  body->decoding = NULL;
  return status == IC_OK;
}

static void pay_sender(ic_lua_body *body) {
  if (body->owed_count == 0) return;
  if (body->doing.sender == body->owed_sender) body->doing.sender = NULL;
  ic_isolate_release_many(body->owed_sender, body->owed_count);
  body->owed_count = 0;
}

// Takes the sender's user over from the message: those of one sender in a row
// are released at once, at the end of the turn at the latest.
static void owe_sender(ic_lua_body *body, ic_message *message) {
  ic_isolate *sender = message->sender;
  if (!sender) return;
  if (body->owed_sender != sender || body->owed_count == UINT32_MAX) {
    pay_sender(body);
    body->owed_sender = sender;
  }
  body->owed_count++;
  message->sender = NULL;
}

ic_isolate *ic_body_hold_isolate(ic_lua_body *body) {
  enum { STOCK = 256 };
  if (body->stock == 0) {
    ic_isolate_hold_many(body->base.isolate, STOCK);
    body->stock = STOCK;
  }
  body->stock--;
  return body->base.isolate;
}

void ic_body_free_current(ic_lua_body *body) {
  if (!body->current) return;
  owe_sender(body, body->current);
  ic_message_free(body->current);
  body->current = NULL;
}

// Notes what the isolate is on. The sender of a message that is about to be freed is
// owed from then on.
static void note_message(ic_lua_body *body) {
  ic_doing *doing = &body->doing;
  const ic_message *message = body->current;
  doing->what = IC_DOING_MESSAGE;
  doing->sender = body->handler_wants_message ? NULL : message->sender;
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
  body->doing.message = body->current;
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

int64_t ic_body_now_ns(const ic_lua_body *body) {
  return ic_simulator_now_ns(body->base.isolate->simulator);
}

// When the body wants to run though nothing comes.
static int64_t next_deadline(const ic_lua_body *body) {
  const ic_request *first = ic_requests_first(&body->requests);
  return first && first->deadline_ns < body->deadline_ns ? first->deadline_ns
                                                         : body->deadline_ns;
}

static bool is_due(const ic_lua_body *body) {
  return body->deadline_ns != IC_NEVER &&
         body->deadline_ns <= ic_body_now_ns(body);
}

static bool timer_is_due(ic_lua_body *body) {
  if (!is_due(body)) return false;
  body->deadline_ns = IC_NEVER;  // its handler sets the next
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
  if (!timer_first) body->current = next_message(body);
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
    ic_watchdog_count_call(body->meter);
    int arguments = push_next(body, L, &calls, &done);
    if (arguments >= 0) {
      call(body, L, arguments);
    } else {
      lua_settop(L, 0);
    }
  }
  return 0;
}

// --- Errors -----------------------------------------------------------------

static int load_rest(lua_State *L) {
  ic_module_rest(L, lua_touserdata(L, 1));
  return 0;
}

// The code that an error is reported by is loaded when there is one.
static void load_handler(ic_lua_body *body, lua_State *L, ic_event event) {
  if (event != IC_EVENT_ERROR || body->is_host) return;
  lua_pushcfunction(L, load_rest);
  lua_pushlightuserdata(L, body);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

bool ic_body_call(ic_lua_body *body, lua_State *L, ic_event event,
                  int arguments, int results) {
  if (body->events[event] == LUA_NOREF) load_handler(body, L, event);
  if (body->events[event] == LUA_NOREF) {
    lua_pop(L, arguments);
    return false;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->events[event]);
  lua_insert(L, -(arguments + 1));
  if (lua_pcall(L, arguments, results, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

void ic_body_report(ic_lua_body *body, const char *text) {
  ic_isolate *isolate = body->base.isolate;
  const char *path = isolate ? isolate->path : "?";
  if (isolate && isolate->cluster &&
      ic_cluster_report(isolate->cluster, path, text)) {
    return;
  }
  flockfile(stderr);
  fprintf(stderr, "isolate-cluster: error in %s: %s\n", path, text);
  funlockfile(stderr);
}

void ic_body_report_error(ic_lua_body *body, lua_State *L, lua_State *co) {
  if (ic_body_is_killed(body)) return;
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_pushvalue(co, -1);
  lua_xmove(co, L, 1);
  body->failed = co;
  bool was_told = ic_body_call(body, L, IC_EVENT_ERROR, 2, 0);
  body->failed = NULL;
  if (body->entry_co == co) body->entry_co = NULL;
  if (was_told) return;
  const char *text = lua_tostring(co, -1);
  ic_body_report(body,
                 text ? text : "an error, and another while reporting it");
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
  const ic_message *next = peek_message(body);
  if (next) {
    ic_simulator_note(isolate->simulator, isolate, IC_NOTE_MESSAGE, next);
  } else if (!body->is_host && next_deadline(body) <= ic_body_now_ns(body)) {
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
  // The words for an end by force name the sender.
  if (!ic_body_is_killed(body)) pay_sender(body);
}

void ic_body_turn(ic_lua_body *body, lua_State *L) {
  luaL_checkstack(L, 8, "a turn");
  begin_turn(body);
  if (!body->stopping && !ic_body_is_killed(body)) {
    end_turn(body, L, NULL, LUA_OK);
  }
}

void ic_body_stop(ic_lua_body *body, const char *reason) {
  if (body->stopping) return;
  body->stopping = true;
  body->base.reason = reason;
}

void ic_body_set_error(ic_body *body, const char *message, size_t message_size,
                       const char *traceback, size_t traceback_size) {
  if (body->error) return;
  body->error = ic_error_new(message, message_size, traceback, traceback_size);
}

// --- The body of an isolate -------------------------------------------------

// Whether something is there that will call the isolate's code. Raises nothing.
static bool lives_on(ic_lua_body *body, lua_State *L) {
  if (has_handler(body) || body->queue) return true;
  if (!ic_request_any(body, L)) return false;
  ic_request_settle(body);
  return true;
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

void ic_body_count_memory(ic_lua_body *body) {
  uint64_t bytes = body->arena ? ic_arena_bytes(body->arena)
                               : (uint64_t)lua_gc(body->L, LUA_GCCOUNT) * 1024 +
                                     (uint64_t)lua_gc(body->L, LUA_GCCOUNTB);
  atomic_store_explicit(&body->base.isolate->memory_bytes, bytes,
                        memory_order_relaxed);
}

static void run_turn(ic_lua_body *body) {
  if (ic_body_is_killed(body)) return;
  turn self = {body, body->dispatcher, LUA_OK};
  body->running = body->L;
  begin_turn(body);
  if (self.co) self.status = resume_dispatcher(body, body->L, self.co);
  bool is_over = self.co && self.status == LUA_OK && !body->stopping &&
                 !body->is_over_memory;
  if (is_over && !ic_body_is_killed(body) && lives_on(body, body->L)) {
    pay_sender(body);
  } else {
    end_turn_protected(&self);
  }
  body->running = NULL;
  ic_body_count_memory(body);
}

static bool run(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  ic_lua_body *body = (ic_lua_body *)base;
  body->was_waiting = body->is_waiting;
  ic_request_wake(body);
  ic_body_enqueue(body, chain);
  if (!ic_ending_run(body, run_turn)) return false;
  // Looked at once: it can come at any moment, and an end has a reason.
  if (ic_ending_name(body) || body->stopping) return false;
  bool has_more = body->queue || (body->held && has_handler(body));
  *deadline_ns = has_more ? 0 : next_deadline(body);
  return true;
}

// Finalizers run in no order that scripts know, so each of them finds all that it
// uses as it was: what userdata own is let go of behind the last of them.
static void close_state(ic_lua_body *body) {
  body->running = body->L;
  body->doing.what = IC_DOING_END;
  body->is_closing = true;
  lua_close(body->L);
  body->running = NULL;
}

// Of a state that is ended by force no code runs any more; but finalizers of
// foreign C functions do, and may be left.
static void close_body(ic_body *base) {
  ic_lua_body *body = (ic_lua_body *)base;
  if (!body->L) return;
  if (!base->isolate) {  // it has not begun, so no code of it has run
    ic_ending_drop_state(body);
    return;
  }
  bool is_killed = atomic_load(&base->isolate->killed) != NULL;
  bool closes = !is_killed || body->has_foreign_code;
  if (!closes || ic_ending_run(body, close_state)) ic_ending_drop_state(body);
}

void ic_entry_fini(ic_entry *entry) {
  free(entry->bytes);
  free(entry->chunk_name);
  ic_message_free(entry->plan);
  free(entry->package_path);
  free(entry->package_cpath);
  free(entry->sandbox.data);
  *entry = (ic_entry){0};
}

void ic_body_init(ic_lua_body *body) {
  *body = (ic_lua_body){.dispatch = LUA_NOREF,
                        .envelope_type = LUA_NOREF,
                        .handler = LUA_NOREF,
                        .function = LUA_NOREF,
                        .deadline_ns = IC_NEVER};
  body->queue_end = &body->queue;
  body->held_end = &body->held;
  for (int i = 0; i < IC_EVENT_COUNT; i++)
    body->events[i] = LUA_NOREF;
  ic_owned_init(&body->owned);
  ic_value_scratch_init(&body->scratch);
  body->hooks = ic_lua_ref_hooks(body);
}

void ic_body_fini(ic_lua_body *body) {
  ic_isolate *isolate = body->base.isolate;
  ic_cluster *cluster = isolate ? isolate->cluster : NULL;
  ic_message *left[] = {body->current, body->held, body->queue};
  for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
    if (cluster) {
      ic_dead_letters_drop(&cluster->registry, isolate, left[i]);
    } else {
      ic_message_free_chain(left[i]);
    }
  }
  pay_sender(body);
  if (body->stock > 0) ic_isolate_release_many(isolate, body->stock);
  ic_isolate_release(body->pinned);
  ic_watching_fini(&body->watching);
  ic_requests_fini(&body->requests);
  ic_handed_fini(&body->handed);
  ic_ref_list_fini(&body->refs);
  ic_value_scratch_fini(&body->scratch);
  ic_entry_fini(&body->entry);
  ic_reach_fini(&body->reach);
  free(body->base.error);
}

// The body lies in the arena, its own memory.
static void free_body(ic_body *base) {
  ic_lua_body *body = (ic_lua_body *)base;
  close_body(base);
  ic_output_fini(&body->output);
  ic_body_fini(body);
  ic_arena_free(body->arena);
}

ic_lua_body *ic_body_new_in(ic_arena *arena) {
  static const ic_body_class class = {.load = ic_load_body,
                                      .run = run,
                                      .interrupt = ic_body_interrupt,
                                      .free = free_body,
                                      .close = close_body,
                                      .sample = ic_stuck_sample,
                                      .complain = ic_stuck_complain};
  ic_lua_body *body = ic_arena_realloc(arena, NULL, 0, sizeof *body);
  if (!body) return NULL;
  ic_body_init(body);
  body->base.class = &class;
  body->is_starting = true;
  body->arena = arena;
  return body;
}

// Without a state, which its load makes. NULL: no memory.
static ic_lua_body *new_plain_body(void) {
  ic_arena *arena = ic_arena_new();
  if (!arena) return NULL;
  ic_lua_body *body = ic_body_new_in(arena);
  if (!body) ic_arena_free(arena);
  return body;
}

ic_lua_body *ic_body_new(ic_entry *entry) {
  ic_lua_body *body = ic_template_copy();
  if (!body) body = new_plain_body();
  if (!body) {
    ic_entry_fini(entry);
    return NULL;
  }
  body->entry = *entry;
  *entry = (ic_entry){0};
  return body;
}

// --- For who drives it -------------------------------------------------------

void ic_body_end_start(ic_lua_body *body, lua_State *L) {
  if (!body->is_starting) return;
  body->is_starting = false;
  if (body->events[IC_EVENT_FIRST_WAIT] != LUA_NOREF) {
    ic_body_call(body, L, IC_EVENT_FIRST_WAIT, 0, 0);
  } else {
    ic_isolate *isolate = body->base.isolate;
    ic_registry_watch(&isolate->cluster->registry, isolate, 0, NULL);
  }
}

void ic_body_await(ic_lua_body *body, lua_State *L) {
  ic_body_end_start(body, L);
  body->awaiting = true;
}

// The host script is none of the isolates that a cluster adds up, so the cluster
// counts for it.
void ic_body_count_late_reply(ic_lua_body *body, uint64_t cluster_key) {
  if (!body->is_host) {
    ic_count(&body->base.isolate->late_replies);
    return;
  }
  ic_cluster *cluster = ic_cluster_find(cluster_key);
  if (!cluster) return;
  ic_mutex_lock(&cluster->registry.mutex);
  cluster->registry.totals.late_replies++;
  ic_mutex_unlock(&cluster->registry.mutex);
  ic_cluster_release(cluster);
}

// Waits for something to come, or the deadline; false: nothing ever will.
static bool wait_for_more(ic_lua_body *body, int64_t deadline_ns) {
  ic_isolate *isolate = body->base.isolate;
  bool may_come = true;
  if (isolate->simulator) {
    may_come = ic_simulator_run(isolate->simulator, isolate,
                                body->queue != NULL, deadline_ns);
    deadline_ns = 0;
  } else if (body->queue) {
    return true;
  }
  ic_body_enqueue(body, ic_isolate_take(isolate, deadline_ns));
  return may_come;
}

bool ic_body_pump(ic_lua_body *body, lua_State *L, int64_t deadline_ns) {
  int64_t wanted_ns = next_deadline(body);
  if (wanted_ns < deadline_ns) deadline_ns = wanted_ns;
  bool may_come = wait_for_more(body, deadline_ns);
  body->in_turn = true;
  ic_body_turn(body, L);
  body->in_turn = false;
  return may_come;
}

static bool is_host(lua_State *L, int index) {
  const ic_lua_body *body = lua_touserdata(L, index);
  return body->is_host;
}

void ic_body_push_function(lua_State *L, int index, lua_CFunction function) {
  if (is_host(L, index)) {
    lua_pushvalue(L, index);
    lua_pushcclosure(L, function, 1);
  } else {
    lua_pushcfunction(L, function);
  }
}

void ic_body_set_functions(lua_State *L, int index, const luaL_Reg *functions) {
  int upvalues = is_host(L, index) ? 1 : 0;
  if (upvalues > 0) lua_pushvalue(L, index);
  luaL_setfuncs(L, functions, upvalues);
}

void ic_body_install(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, -1);
  if (!body->is_host) return;
  ic_body_push_function(L, -1, dispatch);
  body->dispatch = luaL_ref(L, LUA_REGISTRYINDEX);
}
