// isolate.h - what an isolate is to the core: an identity, a mailbox, a body.
//
// A ref (ic_ref in the public header) is a counted pointer to this struct. It
// stands for one life: id, path and properties stay readable for as long as
// somebody holds it, and the mailbox is closed for good when the isolate ends,
// so a ref never answers for whoever takes the path next.
//
// A body is what the isolate runs. The core knows none: the binding has one
// that runs Lua, the C tests have theirs.

#ifndef IC_ISOLATE_H
#define IC_ISOLATE_H

#include <stdatomic.h>

#include "core/limits.h"
#include "core/bound.h"
#include "core/family.h"
#include "core/mailbox.h"
#include "core/sync.h"

typedef struct ic_body ic_body;
typedef struct ic_watch ic_watch;

// An error that an isolate ended by, in words: two strings, each with a NUL
// behind it, and any bytes in it. It is kept with the isolate's identity.
typedef struct {
  size_t message_size;
  size_t traceback_size;
  char bytes[];
} ic_error;

// Copies both, of each the first IC_ERROR_MOST_BYTES at most. NULL: no memory for the
// words; the error is none the less one.
// Gives; to be freed with free().
ic_error *ic_error_new(const char *message, size_t message_size,
                       const char *traceback, size_t traceback_size);

#define IC_ERROR_MOST_BYTES ((size_t)64 << 10)

static inline const char *ic_error_traceback(const ic_error *error) {
  return error->bytes + error->message_size + 1;
}

// The methods of a body. All but interrupt are called by one thread at a time.
typedef struct {
  // Makes ready to run. On an error [message] gets a text, to be freed by the
  // caller, or stays NULL. Errors: IC_LOAD, IC_MEMORY.
  ic_status (*load)(ic_body *body, char **message);

  // Handles what came and what is due. Takes [chain] (may be NULL). False: the
  // isolate is over, and the body has named the reason. Else [deadline_ns] is
  // when it wants to run again though nothing comes; 0: at once.
  bool (*run)(ic_body *body, ic_message *chain, int64_t *deadline_ns);

  // Called in a signal handler, in the middle of load or run, when the isolate
  // is to be killed: makes the code that runs give up.
  void (*interrupt)(ic_body *body);

  void (*free)(ic_body *body);

  // Ends the code for good, before free; may be interrupted, too. Or NULL.
  void (*close)(ic_body *body);

  // The isolate has run, and is about to fall asleep. Or NULL.
  void (*rest)(ic_body *body);

  // As interrupt, where somebody wants to know what the code does: makes it put
  // words for that into the isolate's [post.sample]. NULL: it never says.
  void (*sample)(ic_body *body);

  // Says to people what is wrong with [isolate]. Threads: any. NULL: nothing.
  void (*complain)(ic_isolate *isolate, const char *text);
} ic_body_class;

struct ic_body {
  const ic_body_class *class;
  ic_isolate *isolate;  // set before load; outlives the body
  const char *reason;   // why it ended: set before run answers false; static
  ic_error *error;  // the error that [reason] tells of, or NULL; the isolate's
                    // end takes it
};

// What happens to an isolate on its thread that is not the body's matter.
typedef struct {
  // Loads it there, and registers it or drops it. Takes [request]. False: it
  // was dropped.
  bool (*load)(ic_isolate *isolate, ic_message *request);
  // It has ended, or never began: unregisters it and frees the body; before that
  // the thread is told to be in no isolate any more (ic_turn_enter).
  void (*end)(ic_isolate *isolate);
  // The thread is about to return: the cluster has one user less.
  void (*left)(ic_cluster *cluster);
  // A turn begins that the sentry does not know of.
  void (*tell_sentry)(ic_isolate *isolate);
  // What waits for it is more than its limit of memory. Threads: any.
  void (*outgrow)(ic_isolate *isolate);
} ic_life;

// What the sentry sees of an isolate; see sentry.h.
typedef struct {
  bool is_guarded;         // written once: the sentry is to be told of turns
  _Atomic bool is_known;   // it has been told
  _Atomic bool is_told;    // and has not taken that over
  _Atomic int thread_id;   // the system's, of the thread of the last turn
  _Atomic uint64_t turns;  // odd in a turn
  void (*complain)(ic_isolate *isolate, const char *text);  // written once
  ic_isolate *next_told;      // of those that the sentry has been told of
  _Atomic bool wants_sample;  // from who runs it, when that is interrupted
  _Atomic(char *) sample;     // owned, or NULL
  _Atomic(const char *) c_function;  // of ours, that blocks; static
  // The sentry's own: where it looks, and the last look.
  ic_isolate *next_known;
  bool is_listed;
  uint64_t seen_turns;
  uint64_t seen_handled;
  int64_t since_ns;
  int64_t next_ns;
} ic_post;

// What it waits for while it can do nothing else; see wait.h. Guard: a bit of [on].
typedef struct {
  _Atomic uintptr_t on;  // an isolate, and the bit; 0: there is no record
  uint64_t naps;         // records so far
  uint64_t request;
  int64_t deadline_ns;
  uint64_t taken;
} ic_wait;

typedef struct ic_scheduler ic_scheduler;
typedef struct ic_pool ic_pool;
typedef struct ic_simulator ic_simulator;

// What an isolate can hear of: flags.
enum {
  IC_WATCH_UP = 1,
  IC_WATCH_DOWN = 2,
  IC_WATCH_NODE = 4,
  IC_WATCH_DEAD = 8,
  IC_WATCH_STUCK = 16
};

typedef enum {
  IC_STAGE_RESERVED,  // has its path, is not to be found
  IC_STAGE_LIVE,
  IC_STAGE_LEAVING,  // has ended, and waits for those that it supervises
  IC_STAGE_ENDED
} ic_stage;

struct ic_isolate {
  // What each message and turn uses comes first, in as few lines of the cache as it
  // takes: who has not run for a while finds none of them there. In the first is what
  // who sends reads, too, and what is written once, or seldom.
  _Alignas(IC_CACHE_LINE) ic_body *body;
  ic_cluster *cluster;  // counted by the isolate until it has ended
  ic_bound *bound;      // of the mailbox, or NULL
  ic_pool *pool;        // its own, or NULL: it has a thread, or a simulator
  // It was asleep, and is to be run; NULL where it has a thread.
  void (*schedule)(ic_isolate *isolate);
  ic_weight weight;

  ic_simulator *simulator;  // its own, or NULL; a host's: whose driver it is
  ic_limits limits;         // written once
  bool has_begun;  // the thread's that runs it: the first message is handled
  uint8_t trust;   // likewise: of a pool's, see run_queue.h
  bool hot;        // the reader's: its last wait was a short one
  // Written by whoever runs it; see watchdog.h. Of turns in the pool: those that are not
  // timed before the next that is.
  uint32_t skipped_turns;

  // What senders write to is in a cache line of its own, so that they don't slow
  // down the thread that runs the isolate; what that writes follows.
  ic_mailbox mailbox;

  // The code is to be given up, and why: NULL, or one of IC_REASON_, for good.
  _Atomic(const char *) killed;

  // Counters: written by the isolate's thread, read by any.
  _Atomic uint64_t sent;
  _Atomic uint64_t received;  // values given to a handler
  _Atomic uint64_t handled;   // messages of any kind taken off the queue
  _Atomic uint64_t memory_bytes;

  // When it wants to run though nothing comes. Written by whoever runs it, before
  // it falls asleep, read by whoever finds it asleep.
  _Atomic int64_t wants_ns;

  ic_post post;  // begins with what each turn uses

  // Written once, before anybody else knows the isolate.
  uint64_t id;           // unique in the process, never 0
  uint64_t cluster_key;  // 0: of no cluster, as a host script's
  char *path;
  ic_message *properties;  // or NULL
  const ic_life *life;
  ic_isolate *supervisor;  // counted, or NULL; the isolate ends with it
  // Counted: what it is a member of, or of a confined one has begun; or NULL.
  ic_family *family;
  void (*finish)(ic_isolate *isolate);  // it has no thread, and is over
  void *alternate_stack;  // of an own thread; written before that starts

  _Atomic int descriptor;  // an eventfd that wakes signal too; -1: none
  ic_parker parker;

  _Atomic int64_t cpu_used_ns;  // as far as it is measured: see watchdog.h
  // Written by whoever runs it, likewise: with those to come, the turns that are not timed
  // between two that are; the short ones in a row.
  uint32_t untimed_turns, short_turns;
  bool is_doomed;                 // guard: the watchdog's mutex
  ic_isolate *next_doomed;        // likewise
  _Atomic uint64_t late_replies;  // as the counters

  // Guard: the registry's mutex.
  ic_stage stage;
  const char *reason;  // once ended; static. Who hears of the end reads it and
  ic_error *error;     // the error, owned, or NULL, without the lock
  ic_watch *watches;   // who waits for the end; see watch.h
  uint64_t heard;      // while it starts: how many changes; see changes.h
  bool is_starting;    // has a place among them
  bool in_map;         // has a path that others may find
  bool is_port;        // not counted as an isolate
  bool is_member;      // has a place in its family
  size_t supervised;   // whose supervisor it is, and that have not ended
  ic_isolate *next_in_bucket;

  ic_wait wait;

  // Isolates of a pool, or a simulator.
  ic_isolate *next_runnable;  // guard: the mutex of the queue that it is in
  size_t alarm_place;         // guard: the alarms' mutex
  _Atomic int64_t alarm_ns;   // written with the alarms' mutex; IC_NEVER: none

  // Guard: the scheduler's mutex; [scheduler] is written before it runs.
  ic_scheduler *scheduler;
  bool is_listed;     // and the scheduler waits for it to leave
  _Atomic bool is_over;  // but for that: none of its code is left
  bool thread_known;  // [thread] is set
  ic_thread thread;
  ic_isolate *previous_thread;
  ic_isolate *next_thread;  // once it has left: of those to be joined
};

// A new isolate with a copy of [path] and one user; the caller sets the rest
// before anybody else sees it. Errors: IC_MEMORY.
ic_status ic_isolate_new(const char *path, ic_isolate **out);

// Why an isolate ends that is made to.
#define IC_REASON_KILLED "killed"
#define IC_REASON_CPU "cpu"
#define IC_REASON_MEMORY "memory"
#define IC_REASON_STACK "stack"

// Notes that the isolate is to end by force, and why; the first reason stays.
// Async-signal-safe. Threads: any.
static inline void ic_isolate_condemn(ic_isolate *isolate, const char *reason) {
  const char *none = NULL;
  atomic_compare_exchange_strong(&isolate->killed, &none, reason);
}

ic_isolate *ic_isolate_hold(ic_isolate *isolate);

// The last user frees it. NULL is allowed.
void ic_isolate_release(ic_isolate *isolate);

// What is kept of it for whoever counts it, about: memory that is nobody's state.
size_t ic_isolate_identity_bytes(const ic_isolate *isolate);

// Both for [count] users at once: a count that two threads change for every
// message costs more than the rest of it.
void ic_isolate_hold_many(ic_isolate *isolate, uint32_t count);
void ic_isolate_release_many(ic_isolate *isolate, uint32_t count);

// Asks for the lines of the cache that will be used when something is sent to the
// isolate, or when it runs, which is to be soon. Of a body, of any kind, those are its
// first ones.
static inline void ic_isolate_fetch_mailbox(const ic_isolate *isolate) {
  __builtin_prefetch(isolate);
  __builtin_prefetch(&isolate->mailbox, 1);
}

static inline void ic_isolate_fetch(const ic_isolate *isolate) {
  enum { BODY_LINES = 5 };
  const char *body = (const char *)isolate->body;
  for (size_t i = 0; i < BODY_LINES; i++)
    __builtin_prefetch(body + i * IC_CACHE_LINE);
  __builtin_prefetch(&isolate->simulator);
  __builtin_prefetch(&isolate->mailbox.taken, 1);
  __builtin_prefetch(&isolate->killed, 1);
}

// Puts [message] into the mailbox of [to] and wakes it if it sleeps. Only values
// can meet a bound; what that drops is refused.
//
// Ownership: takes [message] on IC_OK. Threads: any.
// Errors: IC_GONE, also where that ended [to] for its limit of memory; where there
//         is a bound, IC_FULL and IC_MEMORY.
ic_status ic_isolate_push(ic_isolate *to, ic_message *message);

// Likewise for a message that is no value, where the caller can't wake now: [wake]
// is set where [to] is to be woken, then or on an error, and else left as it is.
// Errors: IC_GONE, also where there is no memory for it: then [to] ends in its next
//         turn.
ic_status ic_isolate_put(ic_isolate *to, ic_message *message, bool *wake);

// Notes that the isolate is to end, if more has come than it has memory for.
// Threads: any.
static inline void ic_isolate_weigh(ic_isolate *isolate) {
  if (atomic_load_explicit(&isolate->weight.is_over, memory_order_relaxed)) {
    ic_isolate_condemn(isolate, IC_REASON_MEMORY);
  }
}

// Likewise where that gave IC_FULL and ic_bound_waits: with IC_OK and [waits] it
// is pushed as soon as there is room. [notice], a message of kind ROOM or NULL,
// whose reply_to is the sender, then tells of it, or of the end of [to].
//
// Ownership: takes [message] on IC_OK, and [notice] if it [waits].
ic_status ic_isolate_push_later(ic_isolate *to, ic_message *message,
                                ic_message *notice, bool *waits);

// The value that [message], which was taken and is to be handled now, is or stands
// for; makes room for others. NULL: it stood for one that was dropped. Other
// messages pass. Threads: only the reader.
ic_message *ic_isolate_admit(ic_isolate *isolate, ic_message *message);

// Closes the mailbox for good, and gives what was in there and what waited.
// Threads: any.
ic_message *ic_isolate_close(ic_isolate *isolate);

// Answers a request that nobody will answer. Does nothing with other messages.
void ic_isolate_refuse(const ic_message *message, ic_status status);

// How many values were dropped as the mailbox was full.
static inline uint64_t ic_isolate_dropped(const ic_isolate *isolate) {
  return isolate->bound ? ic_bound_dropped(isolate->bound) : 0;
}

// Lets those in who wait for room in the mailbox, as far as there is any; it has a
// bound. Threads: only the reader.
void ic_isolate_serve(ic_isolate *isolate);

// The messages that came, the oldest first. Where there are none, sleeps until
// one comes, a wake or [deadline_ns] (0: does not sleep), and may return NULL.
// Threads: only the reader.
ic_message *ic_isolate_take(ic_isolate *isolate, int64_t deadline_ns);

// Likewise, but never sleeps.
static inline ic_message *ic_isolate_take_now(ic_isolate *isolate) {
  ic_message *chain = ic_mailbox_take(&isolate->mailbox);
  ic_bound *bound = isolate->bound;
  if (bound && ic_bound_is_awaited(bound)) ic_isolate_serve(isolate);
  return chain;
}

// Lets its body know that it is about to fall asleep. Threads: only the reader.
static inline void ic_isolate_rest(ic_isolate *isolate) {
  ic_body *body = isolate->body;
  if (body && body->class->rest) body->class->rest(body);
}

// Notes when the isolate wants to run, before it falls asleep.
// Threads: only the reader.
static inline void ic_isolate_want(ic_isolate *isolate, int64_t deadline_ns) {
  atomic_store_explicit(&isolate->wants_ns, deadline_ns, memory_order_relaxed);
}

// Wakes the reader, whose sleep ended with the caller's push or rouse.
// Threads: any.
void ic_isolate_wake(ic_isolate *isolate);

// Makes the isolate look around once, message or not. Threads: any.
void ic_isolate_rouse(ic_isolate *isolate);

// Opens a descriptor that is readable from a wake until the next
// ic_isolate_settle_descriptor. -1: the process has none left.
int ic_isolate_open_descriptor(ic_isolate *isolate);

// Makes the descriptor readable if [waiting] or if a message is in the mailbox;
// else not, until the next message. Threads: only the reader.
void ic_isolate_settle_descriptor(ic_isolate *isolate, bool waiting);

// Counts up a counter that only the calling thread writes.
static inline void ic_count(_Atomic uint64_t *counter) {
  uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static inline uint64_t ic_counted(const _Atomic uint64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
