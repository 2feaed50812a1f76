// worker.h - a thread of the pool: what it runs next, when it sleeps, who wakes
// it. Below pool.h, which says what a pool is.
//
// A worker ends in one of two ways. One that found nothing to do, and is one too
// many, leaves the pool and is joined (ended). One that sits in an isolate that
// is given up is abandoned: it is none of the pool's any more, and ends by itself
// when the isolate's code returns, without touching the pool after the isolate's
// end, as that may have freed it.
//
// Lock order: the pool's mutex, then a queue's or the alarms'.

#ifndef IC_WORKER_H
#define IC_WORKER_H

#include "core/alarms.h"
#include "core/run_queue.h"
#include "core/turn.h"

typedef struct ic_worker ic_worker;

struct ic_worker {
  ic_pool *pool;
  _Atomic uint32_t users;  // its thread, and whoever wakes or abandons it
  _Atomic(ic_isolate *) slot;
  ic_run_queue queue;
  _Atomic uint64_t turns;      // odd while it runs an isolate
  _Atomic(ic_isolate *) runs;  // which one; or that it is abandoned
  // Its own: see ends_round.
  unsigned looks;       // for work, in this round
  unsigned most_looks;  // of a round
  bool injected_first;  // at the end of this round
  int64_t round_began_ns;
  ic_parker parker;
  ic_thread thread;
  _Atomic int thread_id;  // 0: not known yet
  void *alternate_stack;  // its thread's
  // Guard: the pool's mutex.
  ic_worker *next;
  ic_worker *next_idle;
  bool is_idle;         // in the pool's list
  _Atomic bool stuck;   // written with the mutex held
  uint64_t seen_turns;  // the monitor's
  unsigned seen_ticks;  // the monitor's
  size_t suspect;       // the monitor's: its number among them, from 1 on
};

struct ic_pool {
  size_t wanted;            // workers that are not stuck
  int64_t spare_ms;         // a worker more than wanted ends after so long
  _Atomic int64_t tick_ms;  // between the monitor's looks, while any is awake
  _Atomic uint32_t users;   // its owner, and who is in ic_worker_inject
  ic_run_queue injected;
  ic_alarms alarms;
  _Atomic uint32_t spinning;  // a worker looks for work before it parks
  _Atomic bool stopping;
  _Atomic size_t idle_count;    // written with the mutex held
  _Atomic bool lacks_workers;   // written with the mutex held: see count_locked
  _Atomic bool monitor_sleeps;  // set with the mutex held, if all are idle

  ic_mutex mutex;
  // Guard: mutex.
  ic_worker *workers;
  ic_worker *idle;
  size_t worker_count;
  size_t stuck_count;  // of these
  ic_worker *ended;    // its thread is to be joined
  ic_condition left;   // with worker_count
  bool has_stopped;    // its owner's only

  ic_thread monitor;
  ic_parker monitor_parker;
  // When it looks at the alarms again, at the latest; IC_NEVER while it is awake.
  _Atomic int64_t monitor_looks_ns;
};

// The last user of a pool, which has been stopped, frees it.
void ic_worker_release_pool(ic_pool *pool);

// Makes one more worker look for work, if there is one that does not, or if one
// is missing.
void ic_worker_wake_one(ic_pool *pool);

// Makes so many more look for work, if there is as much, though as many workers as
// are wanted do.
void ic_worker_wake_more(ic_pool *pool, size_t count);

// [isolate] was asleep, and is queued from now on: where all workers look; or
// where the calling thread is a worker, there.
void ic_worker_inject(ic_pool *pool, ic_isolate *isolate);
void ic_worker_schedule(ic_isolate *isolate);

// With the pool's mutex held: moves what waits behind a turn that takes long to
// where others find it; the caller wakes one.
void ic_worker_give_away(ic_worker *self);

void ic_worker_set_stuck_locked(ic_worker *self, bool stuck);

// If a worker runs [isolate], abandons that one; the caller wakes another. Else
// the isolate is asleep or queued, and false the answer.
bool ic_worker_abandon_isolate(ic_pool *pool, ic_isolate *isolate);

// With the pool's mutex held: abandons every worker that runs anything.
void ic_worker_abandon_all_locked(ic_pool *pool);

// If the calling thread is a worker of [pool], abandons it.
void ic_worker_abandon_self(ic_pool *pool);

// Ends an isolate that nobody runs and that is in no queue.
void ic_worker_end_isolate(ic_pool *pool, ic_isolate *isolate);

// Waits for the thread of one that has ended, and frees it. NULL is allowed.
void ic_worker_join(ic_worker *ended);

#endif
