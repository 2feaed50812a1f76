// sentry.h - a cluster's thread that sees which isolates are stuck.
//
// An isolate is stuck that has been in the same call of its code for long, or that
// waits for an answer, can do nothing else, and has unread messages. In a call it
// may compute in Lua, compute in C, or be blocked in C.
//
// It is seen by counters that exist anyway: an isolate's turns, and the messages
// that it has handled. Where both are as they were at the last look, it is the same
// call. The sentry looks a few times in the time that it waits for, at those that
// have run of late: of a hundred thousand that sleep it never touches one. An isolate
// tells it of the first turn that it does not know of. At a look that finds an
// isolate idle it takes [is_known] back; at the next it forgets the isolate, if that
// is idle still. The flag is read without a fence, but then any turn that was begun
// by who still found it set has long been visible. While it knows of none it sleeps
// without ticks.
//
// Where an isolate computes, its thread is interrupted, and tells in a hook where it
// is, at the next instruction of Lua: see ic_body_class. A thread that is blocked is
// left alone, as an interrupt would end what it waits in. The system knows in which
// call that is, and the names of our own functions that block are noted.
//
// Lock order: none is held while a report is made.

#ifndef IC_SENTRY_H
#define IC_SENTRY_H

#include "core/scheduler.h"

// Reasons; static.
#define IC_STUCK_LOOP "loop"        // computes, in Lua or in C
#define IC_STUCK_BLOCKED "blocked"  // in a C function that uses no CPU
#define IC_STUCK_WAITING "waiting"  // for an answer, with messages unread

typedef struct {
  ic_isolate *isolate;  // borrowed
  const char *kind;
  double seconds;
  const char *text;  // borrowed
} ic_stuck;

typedef void (*ic_sentry_function)(void *context, const ic_stuck *stuck);

typedef struct {
  // Written once.
  ic_scheduler *scheduler;
  int64_t after_ns;  // 0: never
  ic_sentry_function tell;
  void *context;

  _Atomic bool sleeps;  // or has no thread yet
  _Atomic bool stopping;
  ic_parker parker;
  // Who has told it of a turn since the last look, each counted, by next_told.
  _Atomic(ic_isolate *) told;
  ic_isolate *known;  // its thread's: at whom it looks, counted, by next_known
  ic_mutex mutex;
  // Guard: mutex.
  bool has_thread;
  ic_thread thread;
} ic_sentry;

// Tells, by calling [tell] on its own thread, of isolates that are stuck for longer
// than [after_ns], and again each time that has doubled; 0: never. The thread is
// started when something runs.
void ic_sentry_init(ic_sentry *sentry, ic_scheduler *scheduler,
                    int64_t after_ns, ic_sentry_function tell, void *context);

// Joins the thread; nothing is told any more.
void ic_sentry_stop(ic_sentry *sentry);
void ic_sentry_fini(ic_sentry *sentry);

// Makes the sentry look at [isolate], which nobody runs yet.
void ic_sentry_add(ic_sentry *sentry, ic_isolate *isolate);

// A turn of [isolate] begins that it is not known of. Where there is no memory for
// the thread, the next that tells tries again. Threads: the one of the turn.
void ic_sentry_tell_turn(ic_sentry *sentry, ic_isolate *isolate);

// Tells that [isolate] waits; called by its own thread, for a message PROBE.
void ic_sentry_tell_waiting(ic_sentry *sentry, const ic_message *probe,
                            ic_isolate *isolate, const char *where);

#endif
