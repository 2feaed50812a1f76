// pool.c - a pool as its owner sees it: made, given isolates, stopped.

#include "core/pool.h"

#include <stdlib.h>

#include "core/monitor.h"

enum {
  TICK_MS = 2,
  SPARE_MS = 10000,    // of a worker more than wanted, idle: then it ends
  STOP_GRACE_MS = 500  // abandoned while queued, and now sits in its end
};

ic_status ic_pool_new(size_t threads, ic_pool **out) {
  ic_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return IC_MEMORY;
  pool->wanted = threads;
  pool->spare_ms = SPARE_MS;
  atomic_init(&pool->tick_ms, TICK_MS);
  atomic_init(&pool->users, 1);
  atomic_init(&pool->lacks_workers, true);
  ic_run_queue_init(&pool->injected);
  ic_alarms_init(&pool->alarms);
  ic_mutex_init(&pool->mutex);
  ic_condition_init(&pool->left);
  ic_parker_init(&pool->monitor_parker);
  atomic_init(&pool->monitor_looks_ns, IC_NEVER);
  ic_status status = ic_monitor_start(pool);
  if (status != IC_OK) {
    ic_worker_release_pool(pool);
    return status;
  }
  *out = pool;
  return IC_OK;
}

// Waits until each worker has ended. All isolates have left or are abandoned,
// so what still runs after a while is not waited for.
static void stop_workers(ic_pool *pool) {
  int64_t give_up_ns = ic_deadline_ns(STOP_GRACE_MS);
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    ic_parker_unpark(&worker->parker);
  }
  while (pool->worker_count > 0) {
    if (ic_condition_wait(&pool->left, &pool->mutex, give_up_ns)) continue;
    ic_worker_abandon_all_locked(pool);
    give_up_ns = ic_deadline_ns(STOP_GRACE_MS);
  }
  ic_worker *ended = pool->ended;
  pool->ended = NULL;
  ic_mutex_unlock(&pool->mutex);
  ic_worker_join(ended);
}

void ic_pool_stop(ic_pool *pool) {
  if (pool->has_stopped) return;
  pool->has_stopped = true;
  atomic_store(&pool->stopping, true);
  ic_worker_abandon_self(pool);
  ic_monitor_join(pool);
  stop_workers(pool);
  // Abandoned, and queued where no worker was left to run them.
  ic_isolate *isolate;
  while ((isolate = ic_run_queue_take(&pool->injected)) != NULL) {
    ic_worker_end_isolate(pool, isolate);
  }
}

void ic_pool_free(ic_pool *pool) {
  if (!pool) return;
  ic_pool_stop(pool);
  ic_worker_release_pool(pool);
}

void ic_pool_add(ic_pool *pool, ic_isolate *isolate) {
  isolate->pool = pool;
  isolate->schedule = ic_worker_schedule;
  ic_mailbox_sleep(&isolate->mailbox);
}

void ic_pool_interrupt(ic_pool *pool) {
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    if (atomic_load(&worker->runs)) ic_thread_interrupt(worker->thread);
  }
  ic_mutex_unlock(&pool->mutex);
}

void ic_pool_interrupt_one(ic_pool *pool, ic_isolate *isolate) {
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    if (atomic_load(&worker->runs) == isolate) {
      ic_thread_interrupt(worker->thread);
    }
  }
  ic_mutex_unlock(&pool->mutex);
}

void ic_pool_abandon(ic_pool *pool, ic_isolate *isolate) {
  if (ic_worker_abandon_isolate(pool, isolate)) {
    ic_worker_wake_one(pool);
  } else if (ic_mailbox_rouse(&isolate->mailbox)) {
    ic_worker_inject(pool, isolate);
  }
}
