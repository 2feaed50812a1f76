// pool.c - workers: what to run next, when to sleep, and who watches them.

#include "core/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alarms.h"

enum {
  SLOT_RUNS_MAX = 32,      // turns from the slot in a row, before the queue's
  INJECTED_EVERY = 61,     // one turn of so many is taken from the injected
  SPIN_ROUNDS = 2000,      // looks for work before a worker parks
  TICK_MS = 2,             // between the monitor's looks, while anything runs
  STUCK_TICKS = 2,         // in the same turn for so many looks: stuck
  IDLE_TICKS = 25,         // the monitor goes on for so long with nothing to see
  SPARE_MS = 10000         // a worker more than wanted ends after so long
};

// Isolates that are queued, first in, first out, linked by next_runnable.
typedef struct {
  ic_mutex mutex;
  ic_isolate *first;  // guard: mutex
  ic_isolate *last;   // guard: mutex
  _Atomic size_t count;  // written with the mutex held
} run_queue;

typedef struct worker worker;
struct worker {
  ic_pool *pool;
  _Atomic(ic_isolate *) slot;
  run_queue queue;
  _Atomic uint64_t turns;          // odd while it runs an isolate
  _Atomic(ic_isolate *) runs;      // which one
  unsigned slot_runs;              // its own; as SLOT_RUNS_MAX
  unsigned ticks;                  // its own; as INJECTED_EVERY
  unsigned wakes;                  // its own; into the slot, in this turn
  ic_parker parker;
  ic_thread thread;
  // Guard: the pool's mutex.
  worker *next;
  worker *next_idle;
  bool is_idle;
  _Atomic bool stuck;  // written with the mutex held
  uint64_t seen_turns; // the monitor's
  unsigned seen_ticks;
};

struct ic_pool {
  size_t wanted;  // workers that are not stuck
  run_queue injected;
  ic_alarms alarms;
  _Atomic size_t idle_count;   // written with the mutex held
  _Atomic size_t spinning;     // workers that look for work before they park
  _Atomic bool stopping;

  ic_mutex mutex;
  // Guard: mutex.
  worker *workers;
  worker *idle;
  size_t worker_count;
  size_t stuck_count;
  worker *ended;  // its thread is to be joined
  ic_condition left;  // with worker_count
  bool has_stopped;   // the shutdown's thread only

  ic_thread monitor;
  ic_parker monitor_parker;
  _Atomic bool monitor_sleeps;
};

static _Thread_local worker *this_worker;

// --- Queues -----------------------------------------------------------------

static void queue_init(run_queue *queue) {
  *queue = (run_queue){0};
  ic_mutex_init(&queue->mutex);
}

static void queue_put(run_queue *queue, ic_isolate *isolate) {
  isolate->next_runnable = NULL;
  ic_mutex_lock(&queue->mutex);
  *(queue->last ? &queue->last->next_runnable : &queue->first) = isolate;
  queue->last = isolate;
  atomic_store(&queue->count, atomic_load(&queue->count) + 1);
  ic_mutex_unlock(&queue->mutex);
}

static ic_isolate *queue_take(run_queue *queue) {
  if (atomic_load(&queue->count) == 0) return NULL;
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

// --- Waking -----------------------------------------------------------------

static void *run_worker(void *argument);

static worker *worker_new(ic_pool *pool) {
  worker *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->pool = pool;
  queue_init(&self->queue);
  ic_parker_init(&self->parker);
  return self;
}

static void worker_free(worker *self) {
  ic_parker_fini(&self->parker);
  ic_mutex_fini(&self->queue.mutex);
  free(self);
}

static void start_worker_locked(ic_pool *pool) {
  worker *self = worker_new(pool);
  if (!self) return;  // the workers there are will do it, later
  if (ic_thread_start(&self->thread, IC_THREAD_STACK_BYTES, run_worker, self) !=
      IC_OK) {
    worker_free(self);
    return;
  }
  self->next = pool->workers;
  pool->workers = self;
  pool->worker_count++;
}

static worker *take_idle_locked(ic_pool *pool) {
  worker *idle = pool->idle;
  if (!idle) return NULL;
  pool->idle = idle->next_idle;
  idle->is_idle = false;
  atomic_fetch_sub(&pool->idle_count, 1);
  return idle;
}

// Makes one more worker look for work, if there is one that does not.
static void wake_one(ic_pool *pool) {
  if (atomic_load(&pool->spinning) > 0) return;
  ic_mutex_lock(&pool->mutex);
  worker *idle = take_idle_locked(pool);
  if (!idle && pool->worker_count - pool->stuck_count < pool->wanted &&
      !atomic_load(&pool->stopping)) {
    start_worker_locked(pool);
  }
  ic_mutex_unlock(&pool->mutex);
  if (idle) ic_parker_unpark(&idle->parker);
  if (atomic_exchange(&pool->monitor_sleeps, false)) {
    ic_parker_unpark(&pool->monitor_parker);
  }
}

static void wake_if_idle(ic_pool *pool) {
  if (atomic_load(&pool->idle_count) > 0) wake_one(pool);
}

static void inject(ic_pool *pool, ic_isolate *isolate) {
  queue_put(&pool->injected, isolate);
  wake_one(pool);
}

// [isolate] was asleep, and is queued from now on.
static void schedule(ic_isolate *isolate) {
  ic_pool *pool = isolate->pool;
  worker *self = this_worker;
  if (!self || self->pool != pool) {
    inject(pool, isolate);
    return;
  }
  ic_isolate *previous = atomic_exchange(&self->slot, isolate);
  if (!previous) return;
  queue_put(&self->queue, previous);
  wake_if_idle(pool);
}

// --- A worker ---------------------------------------------------------------

static ic_isolate *steal(worker *self) {
  ic_pool *pool = self->pool;
  ic_isolate *isolate = NULL;
  ic_mutex_lock(&pool->mutex);
  for (worker *other = pool->workers; other && !isolate; other = other->next) {
    if (other != self) isolate = queue_take(&other->queue);
  }
  ic_mutex_unlock(&pool->mutex);
  return isolate;
}

static ic_isolate *take_slot(worker *self) {
  if (!atomic_load_explicit(&self->slot, memory_order_relaxed)) return NULL;
  return atomic_exchange(&self->slot, NULL);
}

static ic_isolate *find_work(worker *self) {
  ic_pool *pool = self->pool;
  ic_isolate *isolate = NULL;
  if (++self->ticks % INJECTED_EVERY == 0) {
    isolate = queue_take(&pool->injected);
    if (isolate) return isolate;
  }
  if (self->slot_runs < SLOT_RUNS_MAX) isolate = take_slot(self);
  if (isolate) {
    self->slot_runs++;
    return isolate;
  }
  self->slot_runs = 0;
  isolate = queue_take(&self->queue);
  if (!isolate) isolate = take_slot(self);
  if (!isolate) isolate = queue_take(&pool->injected);
  return isolate;
}

// Whether anything is queued that another worker may take.
static bool any_queued(ic_pool *pool) {
  if (atomic_load(&pool->injected.count) > 0) return true;
  bool found = false;
  ic_mutex_lock(&pool->mutex);
  for (worker *other = pool->workers; other && !found; other = other->next) {
    found = atomic_load(&other->queue.count) > 0;
  }
  ic_mutex_unlock(&pool->mutex);
  return found;
}

// Looks for work for a moment: parking and being woken costs much more. One
// worker at a time does, and while it does, nobody needs to be woken.
static ic_isolate *spin(worker *self) {
  ic_pool *pool = self->pool;
  ic_isolate *isolate = NULL;
  size_t none = 0;
  if (!atomic_compare_exchange_strong(&pool->spinning, &none, 1)) return NULL;
  for (int i = 0; i < SPIN_ROUNDS && !isolate; i++) {
    ic_thread_relax();
    if (atomic_load(&pool->injected.count) > 0) {
      isolate = queue_take(&pool->injected);
    } else if (i % 256 == 0) {
      isolate = steal(self);
    }
  }
  atomic_store(&pool->spinning, 0);
  if (isolate && any_queued(pool)) wake_if_idle(pool);
  return isolate;
}

static void leave_idle_locked(ic_pool *pool, worker *self) {
  worker **link = &pool->idle;
  while (*link != self) link = &(*link)->next_idle;
  *link = self->next_idle;
  self->is_idle = false;
  atomic_fetch_sub(&pool->idle_count, 1);
}

static void enter_idle(worker *self) {
  ic_pool *pool = self->pool;
  ic_mutex_lock(&pool->mutex);
  self->next_idle = pool->idle;
  pool->idle = self;
  self->is_idle = true;
  atomic_fetch_add(&pool->idle_count, 1);
  ic_mutex_unlock(&pool->mutex);
}

// Parks until there may be work; false if this worker is to end: the pool stops,
// or it is one more than wanted and was not needed for long.
static bool park(worker *self) {
  ic_pool *pool = self->pool;
  enter_idle(self);
  bool timed_out = false;
  if (!any_queued(pool) && !atomic_load(&pool->stopping)) {
    int64_t until_ns = ic_deadline_ns(SPARE_MS);
    ic_parker_park(&self->parker, until_ns);
    timed_out = ic_now_ns() >= until_ns;
  }
  ic_mutex_lock(&pool->mutex);
  bool was_woken = !self->is_idle;
  if (!was_woken) leave_idle_locked(pool, self);
  bool is_spare = pool->worker_count - pool->stuck_count > pool->wanted;
  ic_mutex_unlock(&pool->mutex);
  if (atomic_load(&pool->stopping)) return false;
  return was_woken || !timed_out || !is_spare;
}

// The pool is there until the isolate's end lets go of its cluster.
static void end_isolate(worker *self, ic_isolate *isolate) {
  ic_alarms_remove(&self->pool->alarms, isolate);
  isolate->finish(isolate);
}

// After its turn the isolate goes where it belongs. Once it is asleep it may be
// run by another worker at once, and is not touched again.
static void settle(worker *self, ic_isolate *isolate, ic_turn_outcome outcome,
                   int64_t deadline_ns) {
  ic_pool *pool = self->pool;
  if (outcome == IC_TURN_WAITS) {
    if (deadline_ns != IC_NEVER &&
        ic_alarms_set(&pool->alarms, isolate, deadline_ns)) {
      ic_parker_unpark(&pool->monitor_parker);
    }
    if (ic_mailbox_sleep(&isolate->mailbox)) return;
  }
  queue_put(&self->queue, isolate);
  wake_if_idle(pool);
}

static bool has_other_work(worker *self) {
  return atomic_load_explicit(&self->slot, memory_order_relaxed) ||
         atomic_load_explicit(&self->queue.count, memory_order_relaxed) > 0 ||
         atomic_load_explicit(&self->pool->injected.count,
                              memory_order_relaxed) > 0;
}

// Waits a moment for the next message, if this worker has nothing else to do.
static bool comes_soon(worker *self, ic_isolate *isolate) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (!ic_mailbox_is_empty(&isolate->mailbox)) return true;
    if (i % 16 == 0 && has_other_work(self)) return false;
    ic_thread_relax();
  }
  return false;
}

static void count_turn(worker *self, unsigned by) {
  uint64_t turns = atomic_load_explicit(&self->turns, memory_order_relaxed);
  atomic_store_explicit(&self->turns, turns + by, memory_order_relaxed);
}

static char abandoned_mark;  // its address stands in [runs]
#define ABANDONED ((ic_isolate *)(void *)&abandoned_mark)

// The isolate is out of this worker's hands; true if the pool has abandoned the
// worker before, and may be gone. One that was stuck is not any more.
static bool leave_isolate(worker *self) {
  count_turn(self, 1);
  if (atomic_exchange(&self->runs, NULL) == ABANDONED) return true;
  if (!atomic_load_explicit(&self->stuck, memory_order_relaxed)) return false;
  ic_pool *pool = self->pool;
  ic_mutex_lock(&pool->mutex);
  atomic_store(&self->stuck, false);
  pool->stuck_count--;
  ic_mutex_unlock(&pool->mutex);
  return false;
}

// Runs the isolate; false if the pool has abandoned this worker meanwhile.
static bool run_isolate(worker *self, ic_isolate *isolate) {
  int64_t deadline_ns;
  ic_turn_outcome outcome;
  atomic_store(&self->runs, isolate);
  count_turn(self, 1);
  ic_turn_enter(isolate);
  do {
    count_turn(self, 2);
    outcome = ic_turn_run(isolate, ic_mailbox_take(&isolate->mailbox),
                          &deadline_ns);
  } while (outcome == IC_TURN_WAITS && !has_other_work(self) &&
           comes_soon(self, isolate));
  ic_turn_enter(NULL);
  if (outcome != IC_TURN_OVER) {
    if (!leave_isolate(self)) {
      settle(self, isolate, outcome, deadline_ns);
      return true;
    }
    end_isolate(self, isolate);
    return false;
  }
  // Left only behind its end, which may take long, too.
  end_isolate(self, isolate);
  return !leave_isolate(self);
}

static void unlink_locked(ic_pool *pool, worker *self) {
  worker **link = &pool->workers;
  while (*link != self) link = &(*link)->next;
  *link = self->next;
  pool->worker_count--;
  if (atomic_load(&self->stuck)) pool->stuck_count--;
}

// Takes the worker from the pool; its thread is joined by the next that ends, or
// when the pool stops.
static void end_worker(ic_pool *pool, worker *self) {
  ic_mutex_lock(&pool->mutex);
  unlink_locked(pool, self);
  worker *ended = pool->ended;
  pool->ended = self;
  self->next = NULL;
  ic_condition_broadcast(&pool->left);
  ic_mutex_unlock(&pool->mutex);
  if (ended) {
    ic_thread_join(ended->thread);
    worker_free(ended);
  }
}

static void *run_worker(void *argument) {
  worker *self = argument;
  ic_pool *pool = self->pool;
  this_worker = self;
  for (;;) {
    ic_isolate *isolate = find_work(self);
    if (!isolate) isolate = steal(self);
    if (!isolate) isolate = spin(self);
    if (isolate) {
      if (run_isolate(self, isolate)) continue;
      ic_thread_detach_self();
      worker_free(self);
      return NULL;
    }
    if (!park(self)) break;
  }
  end_worker(pool, self);
  return NULL;
}

// --- The monitor ------------------------------------------------------------

// Moves what waits behind a turn that takes long to where others find it.
static bool give_away(ic_pool *pool, worker *self) {
  bool any = false;
  ic_isolate *isolate;
  while ((isolate = take_slot(self)) != NULL ||
         (isolate = queue_take(&self->queue)) != NULL) {
    queue_put(&pool->injected, isolate);
    any = true;
  }
  return any;
}

// Looks at every worker; true if any of them runs something.
static bool watch_workers(ic_pool *pool) {
  bool busy = false;
  ic_mutex_lock(&pool->mutex);
  for (worker *self = pool->workers; self; self = self->next) {
    uint64_t turns = atomic_load_explicit(&self->turns, memory_order_relaxed);
    bool runs = turns % 2 == 1;
    bool same = runs && turns == self->seen_turns;
    self->seen_ticks = same ? self->seen_ticks + 1 : 0;
    self->seen_turns = turns;
    busy = busy || runs;
    if (same) give_away(pool, self);
    if (self->seen_ticks >= STUCK_TICKS && !atomic_load(&self->stuck)) {
      atomic_store(&self->stuck, true);
      pool->stuck_count++;
    }
  }
  ic_mutex_unlock(&pool->mutex);
  return busy;
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
      inject(pool, isolate);
    } else if (!ic_mailbox_is_closed(&isolate->mailbox)) {
      ic_alarms_set(&pool->alarms, isolate, now_ns + TICK_MS * IC_NS_PER_MS);
    }
    ic_isolate_release(isolate);
  }
  return next_ns;
}

static void *run_monitor(void *argument) {
  ic_pool *pool = argument;
  unsigned idle_ticks = 0;
  while (!atomic_load(&pool->stopping)) {
    int64_t wake_ns = ring_alarms(pool);
    bool busy = watch_workers(pool);
    if (busy && atomic_load(&pool->injected.count) > 0) wake_one(pool);
    idle_ticks = busy ? 0 : idle_ticks + 1;
    if (idle_ticks < IDLE_TICKS) {
      int64_t tick_ns = ic_deadline_ns(TICK_MS);
      if (tick_ns < wake_ns) wake_ns = tick_ns;
    } else {
      atomic_store(&pool->monitor_sleeps, true);
      // Who has woken a worker before that did not see it.
      if (watch_workers(pool)) wake_ns = 0;
    }
    if (wake_ns != 0) ic_parker_park(&pool->monitor_parker, wake_ns);
    atomic_store(&pool->monitor_sleeps, false);
  }
  return NULL;
}

// --- The pool ---------------------------------------------------------------

ic_status ic_pool_new(size_t threads, ic_pool **out) {
  ic_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return IC_MEMORY;
  pool->wanted = threads;
  queue_init(&pool->injected);
  ic_alarms_init(&pool->alarms);
  ic_mutex_init(&pool->mutex);
  ic_condition_init(&pool->left);
  ic_parker_init(&pool->monitor_parker);
  ic_status status = ic_thread_start(&pool->monitor, IC_SMALL_STACK_BYTES,
                                     run_monitor, pool);
  if (status != IC_OK) {
    atomic_store(&pool->stopping, true);
    pool->has_stopped = true;
    ic_pool_free(pool);
    return status;
  }
  *out = pool;
  return IC_OK;
}

void ic_pool_stop(ic_pool *pool) {
  if (pool->has_stopped) return;
  pool->has_stopped = true;
  atomic_store(&pool->stopping, true);
  ic_parker_unpark(&pool->monitor_parker);
  ic_thread_join(pool->monitor);
  ic_mutex_lock(&pool->mutex);
  for (worker *self = pool->workers; self; self = self->next) {
    ic_parker_unpark(&self->parker);
  }
  while (pool->worker_count > 0) {
    ic_condition_wait(&pool->left, &pool->mutex, IC_NEVER);
  }
  worker *ended = pool->ended;
  pool->ended = NULL;
  ic_mutex_unlock(&pool->mutex);
  if (ended) {
    ic_thread_join(ended->thread);
    worker_free(ended);
  }
}

void ic_pool_free(ic_pool *pool) {
  if (!pool) return;
  ic_pool_stop(pool);
  ic_parker_fini(&pool->monitor_parker);
  ic_condition_fini(&pool->left);
  ic_mutex_fini(&pool->mutex);
  ic_alarms_fini(&pool->alarms);
  ic_mutex_fini(&pool->injected.mutex);
  free(pool);
}

void ic_pool_add(ic_pool *pool, ic_isolate *isolate) {
  isolate->pool = pool;
  isolate->schedule = schedule;
  ic_mailbox_sleep(&isolate->mailbox);
}

void ic_pool_interrupt(ic_pool *pool) {
  ic_mutex_lock(&pool->mutex);
  for (worker *self = pool->workers; self; self = self->next) {
    if (atomic_load(&self->runs)) ic_thread_interrupt(self->thread);
  }
  ic_mutex_unlock(&pool->mutex);
}

void ic_pool_abandon(ic_pool *pool, ic_isolate *isolate) {
  ic_mutex_lock(&pool->mutex);
  for (worker *self = pool->workers; self; self = self->next) {
    ic_isolate *runs = isolate;
    if (!atomic_compare_exchange_strong(&self->runs, &runs, ABANDONED)) continue;
    unlink_locked(pool, self);
    give_away(pool, self);
    ic_condition_broadcast(&pool->left);
    break;
  }
  ic_mutex_unlock(&pool->mutex);
}
