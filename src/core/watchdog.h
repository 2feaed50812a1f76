// watchdog.h - a cluster's thread that acts on single isolates: ends those that
// are to be killed, whatever they do, and those that are over their CPU time.
//
// It looks every TICK_MS while there is anything to look at, sooner near the end of
// a budget, and sleeps otherwise. It is started when it is first needed.
//
// CPU time is measured by looking, so that a message costs no reading of a clock:
// a thread that runs an isolate with a limit has a meter that says which one, and
// counts its turns; the watchdog reads the thread's CPU clock. Where neither that count
// nor the isolate's of messages has changed since the last look, the same call still
// runs. So a call is found to be over its time a tick late at most, and never early.
//
// That the watchdog sleeps is read without a fence, too: it falls asleep only one
// look after it has said so.
//
// What an isolate uses in its whole life is added up look by look: all that its
// thread has used, whether it runs just then or sleeps. In a pool it is added up turn
// by turn, which costs those that have such a limit two readings of the time, but where
// all turns are short: then few are timed, at random, and stand for the others; what
// was not short among these is found by the looks.
//
// In a simulated cluster the driver's thread is measured, while it gives turns.
//
// Lock order: a watchdog's mutex, then a scheduler's.

#ifndef IC_WATCHDOG_H
#define IC_WATCHDOG_H

#include "core/meter.h"
#include "core/scheduler.h"

typedef struct ic_watchdog {
  ic_scheduler *scheduler;  // written once
  ic_parker parker;
  _Atomic bool stopping;
  _Atomic bool sleeps;  // without ticks
  ic_mutex mutex;
  // Guard of all that follows: mutex.
  bool has_thread;
  ic_thread thread;
  ic_meter *meters;
  ic_isolate *doomed;  // by next_doomed, each counted
  int64_t pause_ns;    // its thread's: until the next look
} ic_watchdog;

void ic_watchdog_init(ic_watchdog *watchdog, ic_scheduler *scheduler);

// Joins the thread; what is to be killed is not any more.
void ic_watchdog_stop(ic_watchdog *watchdog);

// Frees it; no thread has a meter.
void ic_watchdog_fini(ic_watchdog *watchdog);

// Sees to it that there is a thread. Errors: IC_MEMORY.
ic_status ic_watchdog_start(ic_watchdog *watchdog);

// Ends [isolate] with [reason], which is static; the first reason stays. It is
// interrupted again and again, until it has ended. Threads: any; does not wait.
// Errors: IC_MEMORY - no thread could be started; it was interrupted once.
ic_status ic_watchdog_kill(ic_watchdog *watchdog, ic_isolate *isolate,
                           const char *reason);

// The calling thread begins to run, or to load or close, [isolate]; NULL where
// there is no memory for a meter, or nothing is to be measured.
ic_meter *ic_watchdog_enter(ic_watchdog *watchdog, ic_isolate *isolate);

// It has done so. NULL is allowed.
void ic_watchdog_leave(ic_meter *meter);

// The calling thread is about to end.
void ic_watchdog_thread_ends(ic_watchdog *watchdog);

// [isolate] has had its last turn, on the calling thread, which ends with it if it
// was its own: nobody looks at it any more.
void ic_watchdog_isolate_ends(ic_watchdog *watchdog, ic_isolate *isolate);

// The isolate begins another call in its turn, which is not for a message. NULL is
// allowed.
void ic_watchdog_count_call(ic_meter *meter);

#endif
