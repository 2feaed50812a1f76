// scheduler.h - who runs an isolate: a thread of its own, or the pool.
//
// An isolate with an own thread is run by it from its first message to its end.
// Its thread then waits in a list to be joined. Who starts or ends a thread joins
// those at the front that are over, without waiting for any; ic_scheduler_join joins
// the rest. The pool (pool.h) runs all others.

#ifndef IC_SCHEDULER_H
#define IC_SCHEDULER_H

#include "core/pool.h"
#include "core/simulator.h"

struct ic_scheduler {
  ic_mutex mutex;
  ic_condition left;        // with [running]
  size_t pool_threads;      // written once
  size_t most_threads;      // of isolates' own; written once
  ic_simulator *simulator;  // runs all isolates; NULL: threads do. Written once
  // Guard of all that follows: mutex.
  size_t running;     // isolates that have not left
  size_t own_threads;
  ic_isolate *ended;  // counted, linked by [next_thread], the oldest first:
  ic_isolate **ended_end;  // their own threads are to be joined
  ic_isolate *newest;      // isolates that have not left
  ic_pool *pool;           // or NULL, before the first isolate needs it
  bool pool_has_stopped;   // or is about to
};

// [pool_threads]: how many isolates the pool runs at once.
void ic_scheduler_init(ic_scheduler *scheduler, size_t pool_threads);

// Joins what is left to be joined; nothing runs any more.
void ic_scheduler_fini(ic_scheduler *scheduler);

// Gives [isolate] a thread, or, if it is [shared], to the pool, or in any case to
// the simulator, if there is one; there it waits for its first message. The caller has counted the isolate and its cluster.
// Errors: IC_MEMORY - no more threads; IC_DOWN - the pool has been stopped.
ic_status ic_scheduler_start(ic_scheduler *scheduler, ic_isolate *isolate,
                             bool shared);

// Whether at one moment of the call every isolate slept, no message was on its way
// to one, and none had a timer that was due. Those that load or end do not sleep.
// What threads do that are no isolate's, the caller knows. Threads: any.
bool ic_scheduler_is_settled(ic_scheduler *scheduler);

// Likewise, and none had a timer that is due by [until_ns].
bool ic_scheduler_is_settled_until(ic_scheduler *scheduler, int64_t until_ns);

// Gives the isolates for which it is not so now. Threads: any. Errors: IC_MEMORY.
ic_status ic_scheduler_list_busy(ic_scheduler *scheduler, ic_ref_list *out);

// Makes every isolate that still runs give up what it does: marks it killed,
// wakes it where it sleeps, interrupts it where it runs.
void ic_scheduler_kill_all(ic_scheduler *scheduler);

// Makes [isolate], which is condemned, see that: wakes it where it sleeps,
// interrupts it where it runs. To be repeated until it has ended: false then.
bool ic_scheduler_poke(ic_scheduler *scheduler, ic_isolate *isolate);

// The next isolate that runs, is not over and not abandoned yet, counted for the
// caller, or NULL. Its thread is left to itself from now on.
ic_isolate *ic_scheduler_abandon(ic_scheduler *scheduler);

// Waits until every thread has left and joins it. Those that have not left at
// [deadline_ns] are abandoned.
void ic_scheduler_join(ic_scheduler *scheduler, int64_t deadline_ns);

// Makes the calling thread the one that an interrupt of [isolate] reaches;
// NULL: no more. For a host script, which runs on a thread that is not ours.
void ic_scheduler_adopt(ic_isolate *isolate);

#endif
