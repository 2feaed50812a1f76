// sentry.h - a cluster's thread that sees which isolates are stuck.
//
// An isolate is stuck that has been in the same call of its code for long, or that
// waits for an answer, can do nothing else, and has unread messages. In a call it
// may compute in Lua, compute in C, or be blocked in C.
//
// It is seen by counters that exist anyway: an isolate's turns, and the messages
// that it has handled. Where both are as they were at the last look, it is the same
// call. The sentry looks a few times in the time that it waits for, while anything
// runs, and sleeps without ticks otherwise: then [sleeps] is set, and whoever begins
// a turn wakes it. That flag is read without a fence; the sentry makes up for it by
// a last look one tick after it has set the flag, when any turn begun before has
// long been visible.
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

  _Atomic bool sleeps;
  _Atomic bool stopping;
  ic_parker parker;
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

// A turn begins while [sleeps] is set.
void ic_sentry_rouse(ic_sentry *sentry);

// Tells that [isolate] waits; called by its own thread, for a message PROBE.
void ic_sentry_tell_waiting(ic_sentry *sentry, const ic_message *probe,
                            ic_isolate *isolate, const char *where);

#endif
