// monitor.c - sees turns that last, by counters that do not move between looks.

#include "core/monitor.h"

enum {
  STUCK_TICKS = 2,  // in the same turn for so many looks: stuck
  SUSPECTS_MAX = 64,
  QUIET_LOOKS = 4  // so many in a row at sleepers, each twice as late as the
                   // one before, before it sleeps too
};

// The threads of workers that were found in the same turn as before, and may be
// blocked.
typedef struct {
  size_t count;
  int threads[SUSPECTS_MAX];
} suspicion;

static int64_t tick_ms(const ic_pool *pool) {
  return atomic_load_explicit(&pool->tick_ms, memory_order_relaxed);
}

static uint64_t turns_of(const ic_worker *worker) {
  return atomic_load_explicit(&worker->turns, memory_order_relaxed);
}

// [turns] of the worker: whether it is in the turn that the last look found it in.
static bool is_same_turn(const ic_worker *worker, uint64_t turns) {
  return turns % 2 == 1 && turns == worker->seen_turns;
}

static void suspect_locked(ic_worker *worker, suspicion *suspects) {
  int thread = atomic_load(&worker->thread_id);
  if (atomic_load(&worker->stuck) || thread == 0 ||
      suspects->count == SUSPECTS_MAX) {
    return;
  }
  suspects->threads[suspects->count++] = thread;
  worker->suspect = suspects->count;
}

static void watch_locked(ic_worker *worker, suspicion *suspects) {
  uint64_t turns = turns_of(worker);
  bool same = is_same_turn(worker, turns);
  worker->suspect = 0;
  worker->seen_ticks = same ? worker->seen_ticks + 1 : 0;
  worker->seen_turns = turns;
  if (!same) return;
  ic_worker_give_away(worker);
  suspect_locked(worker, suspects);
  if (worker->seen_ticks >= STUCK_TICKS) {
    ic_worker_set_stuck_locked(worker, true);
  }
}

static bool is_quiet_locked(ic_pool *pool) {
  return atomic_load(&pool->idle_count) == pool->worker_count &&
         ic_run_queue_is_empty(&pool->injected);
}

// Looks at every worker; true if all sleep.
static bool watch(ic_pool *pool, suspicion *suspects) {
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    watch_locked(worker, suspects);
  }
  bool quiet = is_quiet_locked(pool);
  ic_mutex_unlock(&pool->mutex);
  return quiet;
}

// Those of the suspects that sleep in the system are stuck at once; how many they are.
// One that computes, or waits for a core, may have a short turn yet.
static size_t convict(ic_pool *pool, const suspicion *suspects) {
  bool blocked[SUSPECTS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < suspects->count; i++)
    blocked[i] = ic_thread_is_blocked(suspects->threads[i]);
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    size_t number = worker->suspect;
    worker->suspect = 0;
    if (number > 0 && blocked[number - 1] &&
        is_same_turn(worker, turns_of(worker))) {
      ic_worker_set_stuck_locked(worker, true);
      count++;
    }
  }
  ic_mutex_unlock(&pool->mutex);
  return count;
}

// Sees to it that what was given away, or left because no thread could be started,
// is run. Where isolates block one behind the other, each costs those behind it the
// time until that is seen; so for each two more are tried at once. They cost nothing
// while they block. More of those that compute would only take each other's cores:
// where such are among the suspects, fewer are tried.
static void relieve(ic_pool *pool, const suspicion *suspects) {
  if (ic_run_queue_is_empty(&pool->injected)) return;
  size_t blocked = suspects->count > 0 ? convict(pool, suspects) : 0;
  size_t others = suspects->count - blocked;
  if (2 * blocked > others) {
    ic_worker_wake_more(pool, 2 * blocked - others);
  } else {
    ic_worker_wake_one(pool);
  }
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
      ic_alarms_set(&pool->alarms, isolate, ic_deadline_ns(tick_ms(pool)));
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
    suspicion suspects = {0};
    if (!watch(pool, &suspects)) {
      quiet_looks = 0;
    } else if (quiet_looks < QUIET_LOOKS) {
      quiet_looks++;
    }
    relieve(pool, &suspects);
    if (quiet_looks < QUIET_LOOKS || !fall_asleep(pool)) {
      int64_t tick_ns = ic_deadline_ns(tick_ms(pool) << quiet_looks);
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
