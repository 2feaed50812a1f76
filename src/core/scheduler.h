// scheduler.h - who runs an isolate: a thread of its own.
//
// An isolate is run by one thread from its first message to its end. Each
// ending thread joins the one that ended before it, so at most one is left to
// be joined, by ic_scheduler_join.

#ifndef IC_SCHEDULER_H
#define IC_SCHEDULER_H

#include "core/isolate.h"

struct ic_scheduler {
  ic_mutex mutex;
  ic_condition left;   // with [running]
  size_t running;      // guard: mutex; threads that have not left
  bool has_ended;      // guard: mutex
  ic_thread ended;     // guard: mutex; ended, to be joined
  ic_isolate *newest;  // guard: mutex; isolates whose thread runs
};

void ic_scheduler_init(ic_scheduler *scheduler);

// Joins what is left to be joined; nothing runs any more.
void ic_scheduler_fini(ic_scheduler *scheduler);

// Starts a thread for [isolate], which waits for its first message. The caller
// has counted the isolate and its cluster for it.
// Errors: IC_MEMORY - no more threads.
ic_status ic_scheduler_start(ic_scheduler *scheduler, ic_isolate *isolate);

// Makes every isolate that still runs give up what it does: marks it killed,
// wakes it where it sleeps, interrupts it where it runs.
void ic_scheduler_kill_all(ic_scheduler *scheduler);

// The next isolate whose thread runs and is not abandoned yet, counted for the
// caller, or NULL. Its thread is left to itself from now on.
ic_isolate *ic_scheduler_abandon(ic_scheduler *scheduler);

// Waits until every thread has left and joins it. Those that have not left at
// [deadline_ns] are abandoned.
void ic_scheduler_join(ic_scheduler *scheduler, int64_t deadline_ns);

// Makes the calling thread the one that an interrupt of [isolate] reaches;
// NULL: no more. For a host script, which runs on a thread that is not ours.
void ic_scheduler_adopt(ic_isolate *isolate);

#endif
