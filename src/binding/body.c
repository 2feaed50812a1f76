// body.c - from its memory to its end; errors that nobody caught.

#include "binding/body.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/ending.h"
#include "binding/files.h"
#include "binding/load.h"
#include "binding/module.h"
#include "binding/queue.h"
#include "binding/ref.h"
#include "binding/request.h"
#include "binding/stuck.h"
#include "binding/template.h"
#include "binding/turns.h"
#include "core/dead_letters.h"

_Static_assert(sizeof(ic_lua_body) <= 2048, "an arena gives the next one 2560");

// --- Messages in hand ---------------------------------------------------------

bool ic_body_push_value(ic_lua_body *body, lua_State *L,
                        const ic_message *message) {
  body->decoding = message;
  ic_status status = ic_value_decode(L, &body->scratch, &body->hooks,
                                     message->bytes, message->value_size);
  body->decoding = NULL;
  if (status == IC_GONE) ic_body_give_up(body, L);
  return status == IC_OK;
}

void ic_body_pay_sender(ic_lua_body *body) {
  if (body->owed_count == 0) return;
  if (body->doing.sender == body->owed_sender) body->doing.sender = NULL;
  ic_isolate_release_many(body->owed_sender, body->owed_count);
  body->owed_count = 0;
}

// Takes the sender's user over from the message: those of one sender in a row
// are released at once, before the isolate falls asleep at the latest: who has just
// been answered is changing the same line of the cache.
static void owe_sender(ic_lua_body *body, ic_message *message) {
  ic_isolate *sender = message->sender;
  if (!sender) return;
  if (body->owed_sender != sender || body->owed_count == UINT32_MAX) {
    ic_body_pay_sender(body);
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

int64_t ic_body_now_ns(const ic_lua_body *body) {
  return ic_simulator_now_ns(body->base.isolate->simulator);
}

int64_t ic_body_next_deadline(const ic_lua_body *body) {
  const ic_request *first = ic_requests_first(&body->requests);
  return first && first->deadline_ns < body->deadline_ns ? first->deadline_ns
                                                         : body->deadline_ns;
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

void ic_body_count_memory(ic_lua_body *body) {
  uint64_t bytes = body->arena ? ic_arena_bytes(body->arena)
                               : (uint64_t)lua_gc(body->L, LUA_GCCOUNT) * 1024 +
                                     (uint64_t)lua_gc(body->L, LUA_GCCOUNTB);
  atomic_store_explicit(&body->base.isolate->memory_bytes, bytes,
                        memory_order_relaxed);
}

static bool run(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  ic_lua_body *body = (ic_lua_body *)base;
  body->was_waiting = body->is_waiting;
  ic_request_wake(body);
  body->only_asks = false;
  ic_queue_put(body, chain);
  if (!ic_ending_run(body, ic_turns_run)) return false;
  // Looked at once: it can come at any moment, and an end has a reason.
  if (ic_ending_name(body) || body->stopping) return false;
  bool has_more = ic_queue_has_more(body) || ic_turns_has_due_timer(body);
  *deadline_ns = has_more ? 0 : ic_body_next_deadline(body);
  return true;
}

static void rest(ic_body *base) {
  ic_lua_body *body = (ic_lua_body *)base;
  ic_body_pay_sender(body);
  if (body->only_asks) ic_request_settle(body);
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
  if (is_killed) ic_files_end_programs(body);  // or finalizers wait for each
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
                        .full_envelope_type = LUA_NOREF,
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
  ic_body_pay_sender(body);
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
                                      .rest = rest,
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
  ic_queue_put(body, ic_isolate_take(isolate, deadline_ns));
  return may_come;
}

bool ic_body_pump(ic_lua_body *body, lua_State *L, int64_t deadline_ns) {
  int64_t wanted_ns = ic_body_next_deadline(body);
  if (wanted_ns < deadline_ns) deadline_ns = wanted_ns;
  bool may_come = wait_for_more(body, deadline_ns);
  body->in_turn = true;
  ic_turns_take(body, L);
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

int ic_body_write(lua_State *L, const void *bytes, size_t size, void *buffer) {
  (void)L;
  return ic_buffer_append(buffer, bytes, size) == IC_OK ? 0 : 1;
}

void ic_body_set_functions(lua_State *L, int index, const luaL_Reg *functions) {
  int upvalues = is_host(L, index) ? 1 : 0;
  if (upvalues > 0) lua_pushvalue(L, index);
  luaL_setfuncs(L, functions, upvalues);
}
