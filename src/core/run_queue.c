// run_queue.c - a list with a lock, and a count that is read without it.

#include "core/run_queue.h"

void ic_run_queue_init(ic_run_queue *queue) {
  *queue = (ic_run_queue){0};
  ic_mutex_init(&queue->mutex);
}

void ic_run_queue_fini(ic_run_queue *queue) {
  ic_mutex_fini(&queue->mutex);
}

void ic_run_queue_put(ic_run_queue *queue, ic_isolate *isolate) {
  isolate->next_runnable = NULL;
  ic_mutex_lock(&queue->mutex);
  *(queue->last ? &queue->last->next_runnable : &queue->first) = isolate;
  queue->last = isolate;
  atomic_store(&queue->count, atomic_load(&queue->count) + 1);
  ic_mutex_unlock(&queue->mutex);
}

ic_isolate *ic_run_queue_take(ic_run_queue *queue) {
  if (ic_run_queue_is_empty(queue)) return NULL;
  ic_mutex_lock(&queue->mutex);
  ic_isolate *isolate = queue->first;
  if (isolate) {
    queue->first = isolate->next_runnable;
    if (!queue->first) queue->last = NULL;
    atomic_store(&queue->count, atomic_load(&queue->count) - 1);
  }
  ic_mutex_unlock(&queue->mutex);
  return isolate;
}
