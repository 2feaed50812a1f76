// monitor.c - sees turns that last, by counters that do not move between looks.

#include "core/monitor.h"

enum {
  TICK_MS = 2,      // between looks, while any worker is awake
  STUCK_TICKS = 2,  // in the same turn for so many looks: stuck
  QUIET_LOOKS = 4   // so many in a row at sleepers, each twice as late as the
                    // one before, before it sleeps too
};

static void watch_locked(ic_worker *worker) {
  uint64_t turns = atomic_load_explicit(&worker->turns, memory_order_relaxed);
  bool same = turns % 2 == 1 && turns == worker->seen_turns;
  worker->seen_ticks = same ? worker->seen_ticks + 1 : 0;
  worker->seen_turns = turns;
  if (same) ic_worker_give_away(worker);
  if (worker->seen_ticks >= STUCK_TICKS) {
    ic_worker_set_stuck_locked(worker, true);
  }
}

static bool is_quiet_locked(ic_pool *pool) {
  return atomic_load(&pool->idle_count) == pool->worker_count &&
         ic_run_queue_is_empty(&pool->injected);
}

// Looks at every worker; true if all sleep.
static bool watch(ic_pool *pool) {
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    watch_locked(worker);
  }
  bool quiet = is_quiet_locked(pool);
  ic_mutex_unlock(&pool->mutex);
  return quiet;
}

// Sleeps without ticks from here on, if all workers sleep. Who wakes or starts
// one, with the same mutex held, sees that afterwards (rouse_monitor).
static bool fall_asleep(ic_pool *pool) {
  ic_mutex_lock(&pool->mutex);
  bool quiet = is_quiet_locked(pool);
  if (quiet) atomic_store(&pool->monitor_sleeps, true);
  ic_mutex_unlock(&pool->mutex);
  return quiet;
}

// Wakes whose alarm is due, and says when the next one is. An alarm is dropped
// only where its isolate was asleep; one that is just about to sleep, and relies
// on the alarm, is tried again.
static int64_t ring_alarms(ic_pool *pool) {
  int64_t now_ns = ic_now_ns();
  int64_t next_ns;
  ic_isolate *isolate;
  while ((isolate = ic_alarms_take_due(&pool->alarms, now_ns, &next_ns))) {
    if (ic_mailbox_rouse(&isolate->mailbox)) {
      ic_worker_inject(pool, isolate);
    } else if (!ic_mailbox_is_closed(&isolate->mailbox)) {
      ic_alarms_set(&pool->alarms, isolate, now_ns + TICK_MS * IC_NS_PER_MS);
    }
    ic_isolate_release(isolate);
  }
  return next_ns;
}

static void *run(void *argument) {
  ic_pool *pool = argument;
  unsigned quiet_looks = 0;
  while (!atomic_load(&pool->stopping)) {
    int64_t wake_ns = ring_alarms(pool);
    if (!watch(pool)) {
      quiet_looks = 0;
    } else if (quiet_looks < QUIET_LOOKS) {
      quiet_looks++;
    }
    // Given away, or left because no thread could be started.
    if (!ic_run_queue_is_empty(&pool->injected)) ic_worker_wake_one(pool);
    if (quiet_looks < QUIET_LOOKS || !fall_asleep(pool)) {
      int64_t tick_ns = ic_deadline_ns(TICK_MS << quiet_looks);
      if (tick_ns < wake_ns) wake_ns = tick_ns;
    }
    atomic_store(&pool->monitor_looks_ns, wake_ns);
    ic_parker_park(&pool->monitor_parker, wake_ns);
    atomic_store(&pool->monitor_looks_ns, IC_NEVER);
    atomic_store(&pool->monitor_sleeps, false);
  }
  return NULL;
}

ic_status ic_monitor_start(ic_pool *pool) {
  return ic_thread_start(&pool->monitor, IC_SMALL_STACK_BYTES, run, pool);
}

void ic_monitor_join(ic_pool *pool) {
  ic_parker_unpark(&pool->monitor_parker);
  ic_thread_join(pool->monitor);
}
