// body.h - an isolate's body in Lua: its state, and what belongs to it.
//
// The host script has one too, without a thread: it takes its turns while the
// script waits for something.
//
// One state has one body; how functions find it: ic_body_of.

#ifndef IC_BODY_H
#define IC_BODY_H

#include <lua.h>
#include <stdio.h>

#include "binding/handed.h"
#include "binding/output.h"
#include "binding/owned.h"
#include "binding/reach.h"
#include "binding/requests.h"
#include "binding/value.h"
#include "binding/watching.h"
#include "core/arena.h"
#include "core/cluster.h"

// What isolates can be told of; each has a Lua function that handles it.
typedef enum {
  IC_EVENT_REPLY,        // (request, cluster key, value | nil, message, code)
  IC_EVENT_SPAWNED,      // (request, ref | nil, message, code)
  IC_EVENT_ROOM,         // (number, true | nil, message, code)
  IC_EVENT_FULL,         // (number): waits for that ROOM, and returns it; it is
                         // called where a send has to
  IC_EVENT_UP,           // (ref, cluster key)
  IC_EVENT_DOWN,         // (ref, reason, error | nil, cluster key)
  IC_EVENT_ENDED,        // (number, ref, reason, error | nil)
  IC_EVENT_DEAD_LETTER,  // (letter, cluster key)
  IC_EVENT_STUCK,        // (report, cluster key)
  IC_EVENT_SHUTDOWN,     // ()
  IC_EVENT_COMMAND,      // (value, ref to reply to)
  IC_EVENT_TIMER,        // () the deadline has passed
  IC_EVENT_EMPTY,        // (cluster key)
  IC_EVENT_NODE_DOWN,    // (cluster key)
  IC_EVENT_ERROR,        // (coroutine, error value): not in a coroutine
  IC_EVENT_FIRST_WAIT,   // () the entry has returned, or waits
  IC_EVENT_ALIVE,        // () -> boolean: may anything still happen?
  IC_EVENT_END,          // () the isolate ends: close what waits
  IC_EVENT_COUNT
} ic_event;

// What a new isolate's state is made of; the texts are the body's own copies.
typedef enum {
  IC_ENTRY_FUNCTION,   // bytecode of a function that takes the context
  IC_ENTRY_SOURCE,     // Lua text, called with the context
  IC_ENTRY_FILE,       // a path, likewise
  IC_ENTRY_MODULE,     // a name, which must return a function
  IC_ENTRY_SUPERVISOR  // a plan, which lua/isolate_cluster/supervisor.lua reads
} ic_entry_kind;

typedef struct {
  ic_entry_kind kind;
  char *bytes;
  size_t size;
  char *chunk_name;        // or NULL
  ic_message *plan;        // of a supervisor, or NULL
  char *package_path;      // or NULL: Lua's default
  char *package_cpath;     // or NULL
  ic_bytes sandbox;        // what sandbox.lua applies; no data: nothing
  bool sandbox_is_option;  // as a spawn says it, and has not been read
} ic_entry;

// What the isolate is on, for people; see doing.h.
typedef enum {
  IC_DOING_MESSAGE,
  IC_DOING_ENTRY,
  IC_DOING_TIMER,
  IC_DOING_EVENT,
  IC_DOING_ANSWER,
  IC_DOING_END  // its finalizers
} ic_doing_what;

typedef struct {
  const ic_message *message;  // the envelope's, as long as that lives; or NULL
  const ic_isolate *sender;   // else: one that is owed, or NULL
  ic_doing_what what;
  bool has_type;  // in the body's [doing_type]
} ic_doing;

typedef struct ic_lua_body {
  ic_body base;

  // What every turn and message uses comes first, in as few lines of the cache as
  // it takes: an isolate that was asleep finds none of them there. ic_isolate_fetch
  // asks for five.

  lua_State *L;     // the state's main thread; NULL before load
  ic_arena *arena;  // this body and all memory of the state; NULL for a host
  // The innermost coroutine that runs; read by the signal handler.
  lua_State *volatile running;
  ic_meter *meter;  // of the thread that runs it, or NULL

  ic_message *queue;  // came and not handled; oldest first
  ic_message **queue_end;
  ic_message *held;     // values that came while nobody listened; oldest first
  ic_message *current;  // in use by C code that may raise; the body frees it
  lua_State *dispatcher;    // the one that is free, anchored; NULL: none is
  int dispatch;             // registry ref of what a host's dispatcher runs
  int handler;              // registry ref of the message handler, or LUA_NOREF
  int64_t deadline_ns;      // of the nearest timer
  unsigned calls_per_turn;  // without a wait; then others have theirs
  // So that messages don't count their sender one by one.
  uint32_t stock;  // users of its own isolate, counted in advance

  ic_isolate *owed_sender;  // for its messages, which were freed last
  uint32_t owed_count;      // how often a sender is still counted
  bool is_host;
  bool handler_wants_message;
  bool timers_had_turn;  // timers that are always due wait for the next turn
  bool only_asks;        // nothing but answers can call the code: see request.h
  bool is_waiting;       // has a record in core/wait.h
  bool was_waiting;      // up to this turn
  bool is_starting;      // the entry has neither returned nor waited yet
  bool awaiting;  // the coroutine that yields does it to wait for an event
  bool in_turn;
  bool stopping;     // ends after what runs now; base.reason says why
  bool exiting;      // ends in the middle of what runs now
  bool is_closing;   // its state: the last finalizers run, and nothing is freed
  bool is_confined;  // by a sandbox
  bool is_pressed;   // the memory is at its threshold: see ending.c
  bool has_foreign_code;       // functions of C that are neither Lua's nor ours
  bool is_over_memory;         // the code has had an error for it
  lua_State *entry_co;         // the coroutine that the entry runs in; or NULL
  const ic_message *decoding;  // whose refs are being decoded
  ic_ref_list refs;            // of the value being encoded

  // Of an isolate: the names of methods; see ref.c.
  const char *send_key, *request_key;
  ic_handed handed;
  ic_requests requests;  // that wait for their answer
  ic_doing doing;
  ic_value_scratch scratch;  // of it the beginning

  // What fewer use.

  ic_message **held_end;
  ic_value_hooks hooks;
  char doing_type[40];   // of the message that it is on, as much of it as fits
  ic_owned owned;        // the ring of what the state's userdata own
  ic_watching watching;  // of other isolates' ends
  lua_State *pressed;    // which coroutine has our hook, and its own
  lua_Hook hook;
  int hook_mask, hook_count;
  int load_status;                   // of Lua
  uint32_t family_most;              // of a confined one: see core/family.h
  ic_isolate *pinned;                // counted while Lua code may raise
  char stopped_at[LUA_IDSIZE + 32];  // the line that was ended; "": not known
  lua_State *failed;                 // whose error is being told of, or NULL

  // Registry refs of the metatables of messages, or LUA_NOREF; the name of a method.
  int envelope_type, full_envelope_type;
  const char *reply_key;
  int ref_cache;  // registry ref: isolate's address -> ref, weak; and at 1 that of
  const ic_isolate *last_ref;  // this one, which was pushed last
  int function;       // registry ref of the entry, before the start
  int events[IC_EVENT_COUNT];  // registry refs of functions, or LUA_NOREF
  size_t kept_bytes;           // of the isolates that refs keep
  size_t apart_bytes;          // what is weighed as memory beside the state
  size_t lua_waits;  // coroutines that Lua code made wait; too many where some
                     // were closed
  uint64_t last_wait_for_room;
  ic_reach reach;  // of a confined one: what it may look up, hear of and spawn

  bool is_never_left;  // some of the foreign code can't be told from ours
  bool may_return_entry;
  bool listens;            // to an event other than messages
  bool warning_continues;  // the next piece belongs to the last one's line
  bool warnings_are_off;
  ic_entry entry;
  ic_output output;
} ic_lua_body;

// A body for a new isolate. Takes the entry's texts. NULL: no memory; then they
// are freed too.
ic_lua_body *ic_body_new(ic_entry *entry);

// A body without a state and an entry, in [arena], which it owns. NULL: no
// memory; then the caller still owns that.
ic_lua_body *ic_body_new_in(ic_arena *arena);

void ic_entry_fini(ic_entry *entry);

// Makes an empty body, an isolate's or a host's.
void ic_body_init(ic_lua_body *body);

// Frees all but the state; what is left in the queues is dropped.
void ic_body_fini(ic_lua_body *body);

// Notes for the cluster's figures how much memory the state uses now.
void ic_body_count_memory(ic_lua_body *body);

// ic_isolate_hold of the body's own isolate, but of a stock of counts: for each
// message it costs nothing. What is left of the stock goes back with the body.
ic_isolate *ic_body_hold_isolate(ic_lua_body *body);

// Releases what the senders of messages that were freed are still counted for.
void ic_body_pay_sender(ic_lua_body *body);

// Frees [body->current], if there is one.
void ic_body_free_current(ic_lua_body *body);

// Ends the isolate after what runs now; [reason] is static.
void ic_body_stop(ic_lua_body *body, const char *reason);

// Notes the error that the isolate ends by, in words; the first one stays.
void ic_body_set_error(ic_body *body, const char *message, size_t message_size,
                       const char *traceback, size_t traceback_size);

// Calls the handler of [event] with the [arguments] on the top of [L]; true if
// it ran without an error. For ERROR, ALIVE and END, which are not queued.
// Stack: [-arguments, +results]; nothing is left where it failed. Does not raise.
bool ic_body_call(ic_lua_body *body, lua_State *L, ic_event event,
                  int arguments, int results);

// Tells of an uncaught error: the block goes to the cluster's reporter, or to
// stderr in one piece.
void ic_body_report(ic_lua_body *body, const char *text);

// Decodes the value of [message] onto the stack of [L]; false, and nothing, if
// its bytes are damaged. Raises memory errors.
bool ic_body_push_value(ic_lua_body *body, lua_State *L,
                        const ic_message *message);

// The coroutine [co] has ended with an error, whose value is on its top.
void ic_body_report_error(ic_lua_body *body, lua_State *L, lua_State *co);

// An answer came too late, from an isolate of the cluster with [cluster_key].
void ic_body_count_late_reply(ic_lua_body *body, uint64_t cluster_key);

// The entry has returned, or waits: from now on the isolate watches only what it
// listens to, which is nothing where no code for that is loaded.
void ic_body_end_start(ic_lua_body *body, lua_State *L);

// The coroutine that runs is about to yield until an event resumes it.
void ic_body_await(ic_lua_body *body, lua_State *L);

// When the body wants to run though nothing comes.
int64_t ic_body_next_deadline(const ic_lua_body *body);

// The time, of the clock that the body's cluster has.
int64_t ic_body_now_ns(const ic_lua_body *body);

// In a host script: waits for something to come, or the deadline, and handles it.
// False: nothing ever will. Stack: [-0, +0]. Raises memory errors.
bool ic_body_pump(ic_lua_body *body, lua_State *L, int64_t deadline_ns);

// The body of the C function that runs. In a host script's state every function of
// ours has it as its first upvalue. In an isolate's, which is ours, it is in the extra
// space: a function without upvalues needs no memory.
static inline ic_lua_body *ic_body_of(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, lua_upvalueindex(1));
  return body ? body : *(ic_lua_body **)lua_getextraspace(L);
}

// Pushes [function], which knows the body at [index]. Stack: [-0, +1].
void ic_body_push_function(lua_State *L, int index, lua_CFunction function);

// A lua_Writer that appends to an ic_buffer.
int ic_body_write(lua_State *L, const void *bytes, size_t size, void *buffer);

// Adds [functions], which know the body at [index], to the table on the top.
// Stack: [-0, +0]. Both raise memory errors.
void ic_body_set_functions(lua_State *L, int index, const luaL_Reg *functions);

// lua_resume, but the body knows what runs; see coroutine.c.
int ic_body_resume(ic_lua_body *body, lua_State *co, lua_State *from,
                   int arguments, int *results);

// Ends the isolate's code: raises an error again and again until no code of the
// state runs any more. In a signal handler too.
void ic_body_interrupt(ic_body *base);

// Gives up the code in [L], whose isolate is condemned: for our functions that look at
// that by themselves, where the interrupt has not come yet. Does not return.
_Noreturn void ic_body_give_up(ic_lua_body *body, lua_State *L);

// Whether the code of the state is to be given up.
static inline bool ic_body_is_killed(const ic_lua_body *body) {
  if (body->exiting) return true;
  ic_isolate *isolate = body->base.isolate;
  return isolate &&
         atomic_load_explicit(&isolate->killed, memory_order_relaxed) != NULL;
}

#endif
