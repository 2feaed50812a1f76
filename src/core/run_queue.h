// run_queue.h - isolates of the pool that are queued, first in, first out.
//
// Threads: any. Memory: an isolate is in one queue at most, and not counted.

#ifndef IC_RUN_QUEUE_H
#define IC_RUN_QUEUE_H

#include "core/isolate.h"

typedef struct {
  ic_mutex mutex;
  ic_isolate *first;     // guard: mutex; linked by next_runnable
  ic_isolate *last;      // guard: mutex
  _Atomic size_t count;  // written with the mutex held
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
