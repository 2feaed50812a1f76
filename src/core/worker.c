// worker.c - look for work, run it, sleep. spec/model/pool.pml is a model of how
// workers fall asleep and are woken; it names the functions here.

#include "core/worker.h"

#include <stdlib.h>

#include "core/alternates.h"
#include "core/block.h"
#include "core/escape.h"

enum {
  MOST_LOOKS = 32,     // for work, of a round
  SPIN_ROUNDS = 2000,  // looks for work before a worker parks
  STEAL_EVERY = 256,   // of these, at the queues of others
  TRUST = 2            // so many long turns in a row end it: one may have
                       // waited for a core
};

#define ROUND_NS (IC_NS_PER_MS / 10)  // with MOST_LOOKS or fewer

static _Thread_local ic_worker *this_worker;

static int64_t abandoned_mark;  // its address stands in [runs]
#define ABANDONED ((ic_isolate *)(void *)&abandoned_mark)

// --- Workers that come and go -----------------------------------------------

static void *run_worker(void *argument);

static ic_worker *new_worker(ic_pool *pool) {
  ic_worker *self = calloc(1, sizeof *self);
  void *alternate_stack = self ? ic_alternate_take() : NULL;
  if (!alternate_stack) {
    free(self);
    return NULL;
  }
  self->pool = pool;
  self->alternate_stack = alternate_stack;
  atomic_init(&self->users, 1);
  ic_run_queue_init(&self->queue);
  ic_parker_init(&self->parker);
  return self;
}

// Its last user frees it: who unparks one may still be about to when it has
// been woken otherwise, has run an isolate, and has ended.
static void release(ic_worker *self) {
  if (atomic_fetch_sub_explicit(&self->users, 1, memory_order_acq_rel) != 1) {
    return;
  }
  ic_run_queue_fini(&self->queue);
  free(self);
}

static void hold(ic_worker *self) {
  atomic_fetch_add_explicit(&self->users, 1, memory_order_relaxed);
}

void ic_worker_release_pool(ic_pool *pool) {
  if (atomic_fetch_sub_explicit(&pool->users, 1, memory_order_acq_rel) != 1) {
    return;
  }
  ic_condition_fini(&pool->left);
  ic_mutex_fini(&pool->mutex);
  ic_alarms_fini(&pool->alarms);
  ic_run_queue_fini(&pool->injected);
  free(pool);
}

static size_t able_locked(ic_pool *pool) {
  return pool->worker_count - pool->stuck_count;
}

// After each change of the counts.
static void count_locked(ic_pool *pool) {
  atomic_store(&pool->lacks_workers, able_locked(pool) < pool->wanted);
}

// Where there is no memory for one, the monitor tries again.
static void start_worker_locked(ic_pool *pool) {
  ic_worker *self = new_worker(pool);
  if (!self) return;
  if (ic_thread_start(&self->thread, IC_THREAD_STACK_BYTES, run_worker, self) !=
      IC_OK) {
    ic_alternate_give(self->alternate_stack);
    release(self);
    return;
  }
  self->next = pool->workers;
  pool->workers = self;
  pool->worker_count++;
  count_locked(pool);
}

static void unlink_locked(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_worker **link = &pool->workers;
  while (*link != self)
    link = &(*link)->next;
  *link = self->next;
  pool->worker_count--;
  if (atomic_load(&self->stuck)) pool->stuck_count--;
  count_locked(pool);
  ic_condition_broadcast(&pool->left);
}

void ic_worker_set_stuck_locked(ic_worker *self, bool stuck) {
  if (atomic_load(&self->stuck) == stuck) return;
  atomic_store(&self->stuck, stuck);
  self->pool->stuck_count += stuck ? 1 : (size_t)-1;
  count_locked(self->pool);
}

void ic_worker_join(ic_worker *ended) {
  if (!ended) return;
  ic_thread_join(ended->thread);
  release(ended);
}

// --- The idle ---------------------------------------------------------------

static void enter_idle(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_mutex_lock(&pool->mutex);
  self->next_idle = pool->idle;
  pool->idle = self;
  self->is_idle = true;
  atomic_fetch_add(&pool->idle_count, 1);
  // The monitor may have found it so just when its turn was over.
  ic_worker_set_stuck_locked(self, false);
  ic_mutex_unlock(&pool->mutex);
}

static void leave_idle_locked(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_worker **link = &pool->idle;
  while (*link != self)
    link = &(*link)->next_idle;
  *link = self->next_idle;
  self->is_idle = false;
  atomic_fetch_sub(&pool->idle_count, 1);
}

// Follows each critical section that takes a worker from the idle or starts one.
// The monitor falls asleep in one that sees all idle: so it saw this one awake,
// or is seen asleep.
static void rouse_monitor(ic_pool *pool) {
  if (atomic_load(&pool->monitor_sleeps) &&
      atomic_exchange(&pool->monitor_sleeps, false)) {
    ic_parker_unpark(&pool->monitor_parker);
  }
}

// Wakes one that is idle, or else starts one, if fewer than [able] are able.
static void wake(ic_pool *pool, size_t able) {
  ic_mutex_lock(&pool->mutex);
  ic_worker *idle = pool->idle;
  if (idle) {
    leave_idle_locked(idle);
    hold(idle);
  } else if (able_locked(pool) < able && !atomic_load(&pool->stopping)) {
    start_worker_locked(pool);
  }
  ic_mutex_unlock(&pool->mutex);
  if (idle) {
    ic_parker_unpark(&idle->parker);
    release(idle);
  }
  rouse_monitor(pool);
}

// A worker that spins looks at everything once it has stopped, so nobody else
// has to.
void ic_worker_wake_one(ic_pool *pool) {
  if (atomic_load(&pool->spinning) > 0) return;
  wake(pool, pool->wanted);
}

void ic_worker_wake_more(ic_pool *pool, size_t count) {
  size_t waiting = atomic_load(&pool->injected.count);
  if (count > waiting) count = waiting;
  for (size_t i = 0; i < count; i++)
    wake(pool, SIZE_MAX);
}

static void wake_if_idle(ic_pool *pool) {
  if (atomic_load(&pool->idle_count) > 0 || atomic_load(&pool->lacks_workers)) {
    ic_worker_wake_one(pool);
  }
}

// Until it is queued, the isolate keeps its cluster and so the pool. Then it may
// be run and end at once: from there on the pool is counted.
void ic_worker_inject(ic_pool *pool, ic_isolate *isolate) {
  atomic_fetch_add_explicit(&pool->users, 1, memory_order_relaxed);
  ic_run_queue_put(&pool->injected, isolate);
  ic_worker_wake_one(pool);
  ic_worker_release_pool(pool);
}

// The put into the slot and the look at [runs] pair with their counterparts in
// abandon_locked: one of both finds what is in the slot of a worker
// that never looks there again.
void ic_worker_schedule(ic_isolate *isolate) {
  ic_pool *pool = isolate->pool;
  ic_worker *self = this_worker;
  ic_isolate_fetch(isolate);
  if (!self || self->pool != pool || atomic_load(&self->runs) == ABANDONED) {
    ic_worker_inject(pool, isolate);
    return;
  }
  ic_isolate *previous = atomic_exchange(&self->slot, isolate);
  if (previous) ic_run_queue_put(&self->queue, previous);
  if (atomic_load(&self->runs) == ABANDONED) {
    ic_worker_give_away(self);
    ic_worker_wake_one(pool);
  } else if (previous) {
    wake_if_idle(pool);
  }
}

// --- Looking for work -------------------------------------------------------

static ic_isolate *take_slot(ic_worker *self) {
  if (!atomic_load(&self->slot)) return NULL;
  return atomic_exchange(&self->slot, NULL);
}

void ic_worker_give_away(ic_worker *self) {
  ic_isolate *isolate;
  while ((isolate = take_slot(self)) != NULL ||
         (isolate = ic_run_queue_take(&self->queue)) != NULL) {
    ic_run_queue_put(&self->pool->injected, isolate);
  }
}

// What talks on this worker is to stay here, but not to keep all others waiting for
// long. So the worker looks at its own first for a round, and a round has as many
// looks as would have taken ROUND_NS in the one before: where turns are long, one. It
// grows by no more than its double, as one short turn says little.
static bool ends_round(ic_worker *self) {
  if (++self->looks < self->most_looks) return false;
  int64_t now_ns = ic_now_ns();
  int64_t took_ns = now_ns - self->round_began_ns;
  int64_t most = self->looks * ROUND_NS / (took_ns > 0 ? took_ns : 1);
  if (most > 2 * self->looks) most = 2 * self->looks;
  if (most > MOST_LOOKS) most = MOST_LOOKS;
  self->most_looks = (unsigned)most;
  self->looks = 0;
  self->round_began_ns = now_ns;
  return true;
}

// What is in the slot goes behind what is in the queue, and that and the injected
// take turns.
static ic_isolate *take_in_turn(ic_worker *self) {
  ic_run_queue *queues[] = {&self->queue, &self->pool->injected};
  if (ic_run_queue_is_empty(queues[0]) && ic_run_queue_is_empty(queues[1])) {
    return NULL;
  }
  ic_isolate *isolate = take_slot(self);
  if (isolate) ic_run_queue_put(&self->queue, isolate);
  bool first = self->injected_first = !self->injected_first;
  isolate = ic_run_queue_take(queues[first]);
  return isolate ? isolate : ic_run_queue_take(queues[!first]);
}

static ic_isolate *find_own(ic_worker *self) {
  ic_isolate *isolate = NULL;
  if (ends_round(self)) isolate = take_in_turn(self);
  if (!isolate) isolate = take_slot(self);
  if (!isolate) isolate = ic_run_queue_take(&self->queue);
  if (!isolate) isolate = ic_run_queue_take(&self->pool->injected);
  return isolate;
}

static ic_isolate *steal(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_isolate *isolate = NULL;
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *other = pool->workers; other && !isolate;
       other = other->next) {
    if (other != self) isolate = ic_run_queue_take(&other->queue);
  }
  ic_mutex_unlock(&pool->mutex);
  return isolate;
}

// Whether anything is queued that another worker may take.
static bool any_queued(ic_pool *pool) {
  if (!ic_run_queue_is_empty(&pool->injected)) return true;
  bool found = false;
  ic_mutex_lock(&pool->mutex);
  for (ic_worker *other = pool->workers; other && !found; other = other->next) {
    found = !ic_run_queue_is_empty(&other->queue);
  }
  ic_mutex_unlock(&pool->mutex);
  return found;
}

// Looks for work for a moment: parking and being woken costs much more. One
// worker at a time does, and while it does, nobody needs to be woken: what was
// queued meanwhile is seen by the look that follows, here or in park.
static ic_isolate *spin(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_isolate *isolate = NULL;
  uint32_t none = 0;
  if (!atomic_compare_exchange_strong(&pool->spinning, &none, 1)) return NULL;
  for (int i = 0; i < SPIN_ROUNDS && !isolate; i++) {
    ic_thread_relax();
    isolate = ic_run_queue_take(&pool->injected);
    if (!isolate && i % STEAL_EVERY == 0) isolate = steal(self);
  }
  atomic_store(&pool->spinning, 0);
  if (isolate && any_queued(pool)) wake_if_idle(pool);
  return isolate;
}

static ic_isolate *find_work(ic_worker *self) {
  ic_isolate *isolate = find_own(self);
  if (!isolate) isolate = steal(self);
  if (!isolate) isolate = spin(self);
  return isolate;
}

// --- Sleeping ---------------------------------------------------------------

// Takes the worker from the pool, for good; nobody will wake it.
static void end_locked(ic_worker *self, ic_worker **ended) {
  ic_pool *pool = self->pool;
  leave_idle_locked(self);
  unlink_locked(self);
  *ended = pool->ended;
  pool->ended = self;
}

// The worker was parked: whether it goes on doing so, and where it does not,
// whether it is to end.
static bool stays_idle(ic_worker *self, bool timed_out, bool *ends) {
  ic_pool *pool = self->pool;
  ic_worker *ended = NULL;
  ic_mutex_lock(&pool->mutex);
  bool stays = self->is_idle;
  bool is_spare = timed_out && able_locked(pool) > pool->wanted;
  *ends = stays && (is_spare || atomic_load(&pool->stopping));
  // In the same critical section, or two would end where one is a spare.
  if (*ends) end_locked(self, &ended);
  ic_mutex_unlock(&pool->mutex);
  ic_worker_join(ended);
  return stays && !*ends;
}

// Parks until there may be work. False: this worker has left the pool, as that
// stops, or as it was one more than wanted and not needed for long.
static bool park(ic_worker *self) {
  ic_pool *pool = self->pool;
  ic_block_rest();
  enter_idle(self);
  if (any_queued(pool)) {
    ic_mutex_lock(&pool->mutex);
    if (self->is_idle) leave_idle_locked(self);
    ic_mutex_unlock(&pool->mutex);
    rouse_monitor(pool);
    return true;
  }
  bool ends = false;
  bool timed_out = false;
  while (stays_idle(self, timed_out, &ends)) {
    int64_t until_ns = ic_deadline_ns(pool->spare_ms);
    ic_parker_park(&self->parker, until_ns);
    timed_out = ic_now_ns() >= until_ns;
  }
  return !ends;
}

// --- Running ----------------------------------------------------------------

static bool has_other_work(ic_worker *self) {
  return atomic_load_explicit(&self->slot, memory_order_relaxed) ||
         !ic_run_queue_is_empty(&self->queue) ||
         !ic_run_queue_is_empty(&self->pool->injected);
}

// Waits a moment for the next message, while there is nothing else to do.
static bool comes_soon(ic_worker *self, ic_isolate *isolate) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (!ic_mailbox_is_empty(&isolate->mailbox)) return true;
    if (i % 16 == 0 && has_other_work(self)) return false;
    ic_thread_relax();
  }
  return false;
}

// The monitor says that it is awake before it looks at the alarms, and when it
// looks again after it has: so it finds this one, or is seen awake, or will look
// in time.
static void set_alarm(ic_pool *pool, ic_isolate *isolate, int64_t deadline_ns) {
  if (ic_alarms_set(&pool->alarms, isolate, deadline_ns) &&
      deadline_ns < atomic_load(&pool->monitor_looks_ns)) {
    ic_parker_unpark(&pool->monitor_parker);
  }
}

// What stands in [runs] while the isolate, whose turn is over, is put to sleep
// or into the queue.
static ic_isolate *settling(ic_isolate *isolate) {
  return (ic_isolate *)((uintptr_t)isolate | 1);
}

// It is where it belongs. While it was put there nobody else changed [runs]; who
// looks for it and finds nothing here sees where it is (release).
static void end_settling(ic_worker *self) {
  atomic_store_explicit(&self->runs, NULL, memory_order_release);
}

// After its turn the isolate goes where it belongs. Once it is asleep, or queued,
// it is not touched again. One that is killed is run once more to see it; who
// kills it a moment later finds it not asleep yet, and has to come again.
static void settle(ic_worker *self, ic_isolate *isolate,
                   ic_turn_outcome outcome, int64_t deadline_ns) {
  ic_pool *pool = self->pool;
  if (outcome == IC_TURN_WAITS && !atomic_load(&isolate->killed)) {
    if (deadline_ns != IC_NEVER) set_alarm(pool, isolate, deadline_ns);
    ic_isolate_want(isolate, deadline_ns);
    if (ic_mailbox_sleep(&isolate->mailbox)) {
      end_settling(self);
      return;
    }
  }
  // Without anything else to do, this worker takes it out again by itself.
  bool is_only = !has_other_work(self);
  ic_run_queue_put(&self->queue, isolate);
  end_settling(self);
  if (!is_only) wake_if_idle(pool);
}

static void count_turn(ic_worker *self, unsigned by) {
  uint64_t turns = atomic_load_explicit(&self->turns, memory_order_relaxed);
  atomic_store_explicit(&self->turns, turns + by, memory_order_relaxed);
}

// The isolate's turn begins. Who gives it up a moment later, and does not see this yet,
// takes it for queued; it was condemned before, and if its code does not see that
// either, it is given up at the stop of the pool, half a second later. So no turn has
// to wait until others see it.
static void enter_isolate(ic_worker *self, ic_isolate *isolate) {
  atomic_store_explicit(&self->runs, isolate, memory_order_release);
  count_turn(self, 1);
}

// The isolate's turn, or its life ([next] is NULL then), is over; false if the
// worker was abandoned before, and the pool may be gone.
static bool leave_isolate(ic_worker *self, ic_isolate *next) {
  count_turn(self, 1);
  if (atomic_exchange(&self->runs, next) == ABANDONED) return false;
  if (!atomic_load_explicit(&self->stuck, memory_order_relaxed)) return true;
  ic_pool *pool = self->pool;
  ic_mutex_lock(&pool->mutex);
  ic_worker_set_stuck_locked(self, false);
  ic_mutex_unlock(&pool->mutex);
  return true;
}

// The pool is there until the isolate's end lets go of its cluster.
void ic_worker_end_isolate(ic_pool *pool, ic_isolate *isolate) {
  ic_alarms_remove(&pool->alarms, isolate);
  isolate->finish(isolate);
}

// Whether the turn that is over was long, says how the isolate is queued next.
static void learn(const ic_worker *self, ic_isolate *isolate) {
  if (atomic_load_explicit(&self->stuck, memory_order_relaxed)) {
    if (isolate->trust > 0) isolate->trust--;
  } else if (isolate->trust < TRUST) {
    isolate->trust = TRUST;
  }
}

// Runs the isolate; false if the pool has abandoned this worker meanwhile.
static bool run_isolate(ic_worker *self, ic_isolate *isolate) {
  int64_t deadline_ns;
  ic_turn_outcome outcome;
  enter_isolate(self, isolate);
  ic_turn_enter(isolate);
  do {
    count_turn(self, 2);
    outcome = ic_turn_run(isolate, ic_isolate_take_now(isolate), &deadline_ns);
  } while (outcome == IC_TURN_WAITS && !has_other_work(self) &&
           comes_soon(self, isolate));
  if (outcome == IC_TURN_WAITS) ic_isolate_rest(isolate);
  if (outcome == IC_TURN_OVER) {
    // Left only behind its end, which may take long, too.
    ic_worker_end_isolate(self->pool, isolate);
    ic_turn_enter(NULL);
    return leave_isolate(self, NULL);
  }
  ic_turn_enter(NULL);
  learn(self, isolate);
  if (leave_isolate(self, settling(isolate))) {
    settle(self, isolate, outcome, deadline_ns);
    return true;
  }
  // Abandoned: nothing goes into its slot any more.
  this_worker = NULL;
  ic_worker_end_isolate(self->pool, isolate);
  return false;
}

static void end_thread(void *alternate_stack) {
  ic_escape_end_thread();
  ic_alternate_give(alternate_stack);
}

static void *run_worker(void *argument) {
  ic_worker *self = argument;
  void *alternate_stack = self->alternate_stack;
  ic_escape_begin_thread(alternate_stack, IC_THREAD_STACK_BYTES);
  this_worker = self;
  ic_thread_prepare_signals();
  atomic_store(&self->thread_id, ic_thread_id());
  for (;;) {
    ic_isolate *isolate = find_work(self);
    if (!isolate) {
      if (park(self)) continue;
      end_thread(alternate_stack);
      return NULL;
    } else if (!run_isolate(self, isolate)) {
      break;
    }
  }
  end_thread(alternate_stack);
  ic_thread_detach_self();
  release(self);
  return NULL;
}

// --- Giving up --------------------------------------------------------------

static bool abandon_locked(ic_worker *self, ic_isolate *runs) {
  hold(self);  // it may end as soon as it is told
  bool did = atomic_compare_exchange_strong(&self->runs, &runs, ABANDONED);
  if (did) {
    unlink_locked(self);
    ic_worker_give_away(self);
  }
  release(self);
  return did;
}

// True if a worker ran [isolate]. [again]: one is just putting it elsewhere.
static bool abandon_its_worker_locked(ic_pool *pool, ic_isolate *isolate,
                                      bool *again) {
  *again = false;
  for (ic_worker *worker = pool->workers; worker; worker = worker->next) {
    if (atomic_load(&worker->runs) == settling(isolate)) *again = true;
    if (abandon_locked(worker, isolate)) return true;
  }
  return false;
}

bool ic_worker_abandon_isolate(ic_pool *pool, ic_isolate *isolate) {
  bool was_run, again;
  do {
    ic_mutex_lock(&pool->mutex);
    was_run = abandon_its_worker_locked(pool, isolate, &again);
    ic_mutex_unlock(&pool->mutex);
    if (again) ic_thread_relax();
  } while (!was_run && again);
  return was_run;
}

void ic_worker_abandon_all_locked(ic_pool *pool) {
  ic_worker *next;
  for (ic_worker *worker = pool->workers; worker; worker = next) {
    next = worker->next;
    ic_isolate *runs = atomic_load(&worker->runs);
    if (runs && !((uintptr_t)runs & 1)) abandon_locked(worker, runs);
  }
}

void ic_worker_abandon_self(ic_pool *pool) {
  ic_worker *self = this_worker;
  if (!self || self->pool != pool) return;
  this_worker = NULL;
  ic_mutex_lock(&pool->mutex);
  abandon_locked(self, atomic_load(&self->runs));
  ic_mutex_unlock(&pool->mutex);
}
