// ending.c - see core/escape.h for what may be left, and when.
//
// Memory. An arena calls before it grows beyond a threshold. The next step of the
// code then collects all garbage. Where that helps, the next threshold is half way
// to the limit; else the code gets an error, and the next threshold is half way to
// the hard limit. Where it is past the limit still when the turn is over, the isolate
// ends. At the hard limit the allocator leaves the code: Lua is never told that there is
// no memory, as it does not always survive that (5.4.4).

#include "binding/ending.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/doing.h"
#include "binding/files.h"
#include "core/escape.h"
#include "core/limits.h"

enum {
  STACK_ROOM = 64 << 10,  // more than any function of C in Lua needs
  STEP_MIN = 64 << 10,    // between two thresholds
  END_BYTES = 2048        // of the words for an end
};

static const char body_key;  // registry: the body

// --- Ends in words ----------------------------------------------------------

static void describe_bytes(size_t bytes, char text[32]) {
  static const char *const units[] = {"bytes", "KB", "MB", "GB"};
  size_t unit = 0;
  while (unit < 3 && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    unit++;
  }
  snprintf(text, 32, "%zu %s", bytes, units[unit]);
}

static void describe_cpu(const ic_isolate *isolate, char *out, size_t size) {
  const ic_limits *limits = &isolate->limits;
  bool in_all = limits->cpu_total_ns > 0 &&
                (limits->cpu_ns == 0 ||
                 atomic_load(&isolate->cpu_used_ns) >= limits->cpu_total_ns);
  snprintf(out, size, "over its limit of %g s of CPU time%s",
           (double)(in_all ? limits->cpu_total_ns : limits->cpu_ns) / 1e9,
           in_all ? " in all" : " for one message");
}

// What waits in the mailbox is named where it is the larger part, as the script has
// not made that.
static void describe_memory(const ic_lua_body *body, char *out, size_t size) {
  size_t limit = body->base.isolate->limits.memory_bytes;
  char bytes[32];
  if (limit == 0) {
    snprintf(out, size, "the system has no memory");
    return;
  }
  describe_bytes(limit, bytes);
  snprintf(out, size, "over its limit of %s of memory%s", bytes,
           ic_weight_outside_bytes(&body->base.isolate->mailbox) > limit / 2
               ? ", most of which waits in its mailbox"
               : "");
}

// The sentence for [reason], with the line that was ended in front, and what the
// isolate was on behind, where that is known.
static void describe_end(const ic_lua_body *body, const char *reason,
                         bool was_running, char *out, size_t size) {
  char cause[128] = "C stack overflow";
  char doing[END_BYTES / 2] = ",";
  const char *at = body->stopped_at;
  if (strcmp(reason, IC_REASON_CPU) == 0) {
    describe_cpu(body->base.isolate, cause, sizeof cause);
  } else if (strcmp(reason, IC_REASON_MEMORY) == 0) {
    describe_memory(body, cause, sizeof cause);
  }
  if (was_running) {
    ic_doing_describe(body, doing + 1, sizeof doing - 1);
  } else {
    doing[0] = '\0';
  }
  snprintf(out, size, "%s%s%s%s", at, at[0] ? ": " : "", cause, doing);
}

static bool name_end(ic_lua_body *body, bool was_running) {
  const char *reason = atomic_load(&body->base.isolate->killed);
  if (!reason) return false;
  body->base.reason = reason;
  if (strcmp(reason, IC_REASON_KILLED) == 0) return true;
  char text[END_BYTES];
  describe_end(body, reason, was_running, text, sizeof text);
  ic_body_set_error(&body->base, text, strlen(text), text, strlen(text));
  return true;
}

bool ic_ending_name(ic_lua_body *body) {
  return name_end(body, body->stopped_at[0] != '\0');
}

void ic_ending_note_line(ic_lua_body *body, lua_State *L) {
  lua_Debug frame;
  if (body->stopped_at[0] || !ic_doing_find_line(L, "Sl", &frame)) return;
  snprintf(body->stopped_at, sizeof body->stopped_at, "%s:%d", frame.short_src,
           frame.currentline);
}

// Likewise of what runs; where that is our code, which tells of an error for which
// there is not memory enough, of what has raised that.
static void note_lines(ic_lua_body *body) {
  if (body->running) ic_ending_note_line(body, body->running);
  if (body->failed) ic_ending_note_line(body, body->failed);
}

// An overflow is told by a fault, at a call: the frames of Lua are whole. So they
// are not where code was left in the middle of an instruction.
static void name_left(ic_lua_body *body) {
  const char *reason = atomic_load(&body->base.isolate->killed);
  bool is_overflow = reason && strcmp(reason, IC_REASON_STACK) == 0;
  if (is_overflow) note_lines(body);
  name_end(body, true);
}

// --- Running and leaving ----------------------------------------------------

void ic_ending_drop_state(ic_lua_body *body) {
  body->L = NULL;
  body->running = NULL;
  ic_files_end_programs(body);
  ic_owned_release_all(&body->owned);
}

static void note_foreign(ic_lua_body *body);

static bool run_escapable(ic_lua_body *body, void (*part)(ic_lua_body *body)) {
  ic_escape escape;
  ic_output *outer = ic_output_enter(&body->output);
  ic_escape_enter(&escape, body->base.isolate);
  if (body->has_foreign_code) note_foreign(body);
  bool is_whole = sigsetjmp(escape.place, 0) == 0;
  if (is_whole) {
    part(body);
  } else {
    ic_escape_land();
  }
  ic_escape_leave(&escape);
  ic_output_enter(outer);
  return is_whole;
}

bool ic_ending_run(ic_lua_body *body, void (*part)(ic_lua_body *body)) {
  ic_isolate *isolate = body->base.isolate;
  ic_watchdog *watchdog =
      ic_turn_current() == isolate ? &isolate->cluster->watchdog : NULL;
  body->meter = watchdog ? ic_watchdog_enter(watchdog, isolate) : NULL;
  bool is_whole = run_escapable(body, part);
  ic_watchdog_leave(body->meter);
  // A driver's thread may run another cluster next.
  if (body->meter && isolate->simulator) ic_watchdog_thread_ends(watchdog);
  body->meter = NULL;
  if (!is_whole) {
    name_left(body);
    ic_ending_drop_state(body);
  }
  return is_whole;
}

void ic_ending_check_stack(ic_lua_body *body) {
  if (ic_escape_stack_room() >= STACK_ROOM) return;
  ic_isolate *isolate = body->base.isolate;
  if (!ic_escape_is_open(isolate)) return;
  ic_isolate_condemn(isolate, IC_REASON_STACK);
  note_lines(body);
  ic_escape_now();
}

// --- Memory -----------------------------------------------------------------

// There is no memory. Apart from the usual way, whose frame is at the end of each deep
// stack, and of which every page counts.
__attribute__((noinline)) static void *allocate_in_need(ic_lua_body *body,
                                                        void *block,
                                                        size_t old_size,
                                                        size_t new_size) {
  ic_isolate *isolate = body->base.isolate;
  if (!body->L) return NULL;  // while the state is made: Lua bears that
  ic_isolate_condemn(isolate, IC_REASON_MEMORY);
  note_lines(body);
  if (ic_escape_is_open(isolate)) ic_escape_now();
  // It ends a little later, at the next instruction of Lua.
  ic_body_interrupt(&body->base);
  ic_arena_set_limit(body->arena, &(ic_arena_limit){0});
  return ic_arena_realloc(body->arena, block, old_size, new_size);
}

void *ic_ending_allocate(void *context, void *block, size_t old_size,
                         size_t new_size) {
  ic_lua_body *body = context;
  // The arena goes as a whole in a moment; until then userdata are on a list.
  if (new_size == 0 && body->is_closing) return NULL;
  void *result = ic_arena_realloc(body->arena, block, old_size, new_size);
  if (result || new_size == 0) return result;
  return allocate_in_need(body, block, old_size, new_size);
}

ic_lua_body *ic_ending_body_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &body_key);
  ic_lua_body *body = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return body;
}

static size_t half_way(size_t from, size_t to) {
  size_t step = to > from ? (to - from) / 2 : 0;
  return from + (step < STEP_MIN ? STEP_MIN : step);
}

static void restore_hook(ic_lua_body *body) {
  body->is_pressed = false;
  if (body->pressed == NULL) return;
  lua_sethook(body->pressed, body->hook, body->hook_mask, body->hook_count);
  body->pressed = NULL;
}

// What of the limit is not the state's.
static size_t outside_bytes(void *context) {
  const ic_lua_body *body = context;
  return ic_weight_outside_bytes(&body->base.isolate->mailbox);
}

// Collects all garbage, and sets the next threshold; false: it is past its limit all
// the same.
static bool recover(ic_lua_body *body, lua_State *L) {
  const ic_limits *limits = &body->base.isolate->limits;
  size_t soft = ic_limits_soft_bytes(limits);
  lua_gc(L, LUA_GCCOLLECT);
  ic_arena_tidy(body->arena);
  ic_ending_weigh(body);
  size_t held = ic_arena_held_bytes(body->arena) + outside_bytes(body);
  body->is_over_memory = held + STEP_MIN >= soft;
  size_t next = half_way(
      held, body->is_over_memory ? ic_limits_hard_bytes(limits) : soft);
  if (!body->is_over_memory && next > soft) next = soft;
  ic_arena_set_threshold(body->arena, next);
  return !body->is_over_memory;
}

void ic_ending_review(ic_lua_body *body, lua_State *L) {
  if (!body->is_over_memory || body->stopping || ic_body_is_killed(body))
    return;
  if (!recover(body, L)) {
    ic_isolate_condemn(body->base.isolate, IC_REASON_MEMORY);
  }
}

// The hook of a code whose memory is at its threshold.
static void relieve(lua_State *L, lua_Debug *activation) {
  (void)activation;
  ic_lua_body *body = ic_ending_body_of(L);
  if (body->pressed != L) lua_sethook(L, NULL, 0, 0);
  restore_hook(body);
  const ic_limits *limits = &body->base.isolate->limits;
  if (recover(body, L)) return;
  char bytes[32];
  describe_bytes(limits->memory_bytes, bytes);
  luaL_where(L, 0);  // a hook is no level of its own
  lua_pushfstring(L, "not enough memory: the isolate is at its limit of %s",
                  bytes);
  lua_concat(L, 2);
  lua_error(L);
}

void ic_ending_press(ic_lua_body *body, lua_State *L) {
  if (ic_body_is_killed(body)) return;
  if (body->pressed == L) return;
  restore_hook(body);
  body->is_pressed = true;
  body->pressed = L;
  body->hook = lua_gethook(L);
  body->hook_mask = lua_gethookmask(L);
  body->hook_count = lua_gethookcount(L);
  lua_sethook(L, relieve, LUA_MASKCALL | LUA_MASKCOUNT, 1);
}

static void on_threshold(void *context) {
  ic_lua_body *body = context;
  body->is_pressed = true;
  if (body->running) ic_ending_press(body, body->running);
}

// Of what a script can make without end: each watch, request and ref of it is
// one of another isolate.
static size_t bytes_apart(const ic_lua_body *body) {
  return body->kept_bytes + ic_watching_bytes(&body->watching) +
         ic_requests_bytes(&body->requests) +
         ic_value_scratch_bytes(&body->scratch);
}

void ic_ending_weigh(ic_lua_body *body) {
  if (body->is_host || body->base.isolate->limits.memory_bytes == 0) return;
  size_t bytes = bytes_apart(body);
  size_t before = body->apart_bytes;
  if (bytes == before) return;
  body->apart_bytes = bytes;
  ic_weight_hold(&body->base.isolate->mailbox, bytes - before);
  if (bytes < before || ic_arena_may_stay(body->arena)) return;
  ic_isolate_condemn(body->base.isolate, IC_REASON_MEMORY);
  note_lines(body);
  ic_body_interrupt(&body->base);
}

size_t ic_ending_room(const ic_lua_body *body) {
  return body->is_host ? SIZE_MAX : ic_arena_room(body->arena);
}

void ic_ending_set_limits(ic_lua_body *body) {
  ic_isolate *isolate = body->base.isolate;
  const ic_limits *limits = &isolate->limits;
  if (limits->memory_bytes == 0) return;
  size_t soft = ic_limits_soft_bytes(limits);
  ic_arena_limit limit = {.hard_bytes = ic_limits_hard_bytes(limits),
                          .threshold_bytes = half_way(0, soft),
                          .on_threshold = on_threshold,
                          .context = body,
                          .other_bytes = outside_bytes,
                          .held_bytes = &isolate->weight.state_bytes};
  ic_arena_set_limit(body->arena, &limit);
}

// --- Foreign code -----------------------------------------------------------

// Pushes a closure of [function] over the body and the function on the top, in
// place of that.
static void wrap_top(lua_State *L, ic_lua_body *body, lua_CFunction function) {
  lua_pushlightuserdata(L, body);
  lua_insert(L, -2);
  lua_pushcclosure(L, function, 2);
}

// Calls the wrapped function; how many results.
static int call_wrapped(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static void note_foreign(ic_lua_body *body) {
  body->has_foreign_code = true;
  if (body->is_never_left) ic_escape_forbid();  // until the escape is left
  ic_escape_guard();
}

// A searcher, or package.loadlib: what it finds is a function of C.
static int find_foreign(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  int results = call_wrapped(L);
  if (lua_iscfunction(L, 1)) note_foreign(body);
  return results;
}

static int open_foreign(lua_State *L) {
  note_foreign(ic_body_of(L));
  return call_wrapped(L);
}

void ic_ending_push_foreign(lua_State *L, ic_lua_body *body,
                            lua_CFunction open) {
  // A program that holds both this library and the module: its addresses say not
  // which of them they are.
  body->is_never_left |= ic_escape_trusts((const void *)(uintptr_t)open);
  lua_pushcfunction(L, open);
  wrap_top(L, body, open_foreign);
}

static void wrap_searchers(lua_State *L, ic_lua_body *body) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loadlib");
  wrap_top(L, body, find_foreign);
  lua_setfield(L, -2, "loadlib");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = 3; i <= 4; i++) {
    lua_rawgeti(L, -1, i);
    wrap_top(L, body, find_foreign);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 2);
}

// --- All of it --------------------------------------------------------------

// Where Lua's code is: between its first and its last function. They come from one
// library, or from an archive that the program was linked with, in one piece.
static void find_lua(void) {
  static const lua_CFunction libraries[] = {
      luaopen_base,  luaopen_coroutine, luaopen_table, luaopen_io,
      luaopen_os,    luaopen_string,    luaopen_utf8,  luaopen_math,
      luaopen_debug, luaopen_package};
  uintptr_t functions[] = {
      (uintptr_t)lua_newstate,    (uintptr_t)lua_close,
      (uintptr_t)lua_absindex,    (uintptr_t)lua_checkstack,
      (uintptr_t)lua_upvaluejoin, (uintptr_t)lua_gc,
      (uintptr_t)luaL_openlibs,   (uintptr_t)luaL_traceback,
      (uintptr_t)luaL_newstate,   (uintptr_t)lua_resume};
  uintptr_t first = UINTPTR_MAX, last = 0;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    if (functions[i] < first) first = functions[i];
    if (functions[i] > last) last = functions[i];
  }
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
    uintptr_t function = (uintptr_t)libraries[i];
    if (function < first) first = function;
    if (function > last) last = function;
  }
  uintptr_t ours[] = {(uintptr_t)ic_ending_run, (uintptr_t)ic_body_new,
                      (uintptr_t)ic_arena_new, (uintptr_t)ic_cluster_new};
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
    if (ours[i] > first && ours[i] < last) return;  // then nothing is left
  }
  ic_escape_set_range((const void *)first, (const void *)last);
  ic_escape_trust((const void *)first);
  ic_escape_trust((const void *)ours[0]);
  ic_escape_trust((const void *)(uintptr_t)strlen);  // the C library's
}

void ic_ending_install(ic_lua_body *body, lua_State *L) {
  find_lua();
  lua_pushlightuserdata(L, body);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &body_key);
  wrap_searchers(L, body);
}
