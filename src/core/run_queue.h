// run_queue.h - isolates of the pool that are queued.
//
// Those that are trusted ([trust] is not 0), as they have had short turns, go first as
// a rule, so that they don't wait behind dozens that block or compute; every fourth
// time the others do, or they might wait for ever. Of each kind: first in, first out.
//
// Threads: any. Memory: an isolate is in one queue at most, and not counted.

#ifndef IC_RUN_QUEUE_H
#define IC_RUN_QUEUE_H

#include "core/isolate.h"

typedef struct {
  ic_mutex mutex;
  // Guard: mutex. Two lists, linked by next_runnable; [1]: the trusted.
  ic_isolate *first[2];
  ic_isolate *last[2];
  unsigned takes;
  _Atomic size_t count;  // of both; written with the mutex held
} ic_run_queue;

void ic_run_queue_init(ic_run_queue *queue);
void ic_run_queue_fini(ic_run_queue *queue);

void ic_run_queue_put(ic_run_queue *queue, ic_isolate *isolate);

// NULL: there is none.
ic_isolate *ic_run_queue_take(ic_run_queue *queue);

// Sequentially consistent with the end of a put, for who is about to sleep.
static inline bool ic_run_queue_is_empty(ic_run_queue *queue) {
  return atomic_load(&queue->count) == 0;
}

#endif
