// run_queue.c - two lists with a lock, and a count that is read without it.

#include "core/run_queue.h"

enum { OTHERS_EVERY = 4 };  // takes: then the trusted come second

void ic_run_queue_init(ic_run_queue *queue) {
  *queue = (ic_run_queue){0};
  ic_mutex_init(&queue->mutex);
}

void ic_run_queue_fini(ic_run_queue *queue) {
  ic_mutex_fini(&queue->mutex);
}

void ic_run_queue_put(ic_run_queue *queue, ic_isolate *isolate) {
  bool trusted = isolate->trust > 0;
  isolate->next_runnable = NULL;
  ic_mutex_lock(&queue->mutex);
  ic_isolate *last = queue->last[trusted];
  *(last ? &last->next_runnable : &queue->first[trusted]) = isolate;
  queue->last[trusted] = isolate;
  atomic_store(&queue->count, atomic_load(&queue->count) + 1);
  ic_mutex_unlock(&queue->mutex);
}

static ic_isolate *take_locked(ic_run_queue *queue, bool trusted) {
  ic_isolate *isolate = queue->first[trusted];
  if (!isolate) return NULL;
  queue->first[trusted] = isolate->next_runnable;
  if (!queue->first[trusted]) queue->last[trusted] = NULL;
  atomic_store(&queue->count, atomic_load(&queue->count) - 1);
  return isolate;
}

ic_isolate *ic_run_queue_take(ic_run_queue *queue) {
  if (ic_run_queue_is_empty(queue)) return NULL;
  ic_mutex_lock(&queue->mutex);
  bool trusted = ++queue->takes % OTHERS_EVERY != 0;
  ic_isolate *isolate = take_locked(queue, trusted);
  if (!isolate) isolate = take_locked(queue, !trusted);
  ic_mutex_unlock(&queue->mutex);
  return isolate;
}
