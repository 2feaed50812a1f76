// scheduler.c - own threads: start, run to the end; and of all isolates: kill,
// abandon, join.

#include "core/scheduler.h"

#include <assert.h>

#include "core/alternates.h"
#include "core/escape.h"

void ic_scheduler_init(ic_scheduler *scheduler, size_t pool_threads) {
  ic_turn_handle_interrupts();
  *scheduler = (ic_scheduler){.pool_threads = pool_threads,
                              .most_threads = ic_thread_most()};
  ic_mutex_init(&scheduler->mutex);
  ic_condition_init(&scheduler->left);
  scheduler->ended_end = &scheduler->ended;
}

// --- The list of isolates that run; all with the mutex held -----------------

static void link_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  isolate->is_listed = true;
  isolate->previous_thread = NULL;
  isolate->next_thread = scheduler->newest;
  if (scheduler->newest) scheduler->newest->previous_thread = isolate;
  scheduler->newest = isolate;
  scheduler->running++;
}

static void unlink_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_isolate *previous = isolate->previous_thread;
  ic_isolate *next = isolate->next_thread;
  *(previous ? &previous->next_thread : &scheduler->newest) = next;
  if (next) next->previous_thread = previous;
  isolate->is_listed = false;
  if (--scheduler->running == 0) ic_condition_broadcast(&scheduler->left);
}

// --- Threads that have ended -------------------------------------------------

enum { JOINED_AT_ONCE = 4 };  // more than are added at a time

static void add_ended_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  isolate->next_thread = NULL;
  *scheduler->ended_end = isolate;
  scheduler->ended_end = &isolate->next_thread;
}

static ic_isolate *take_ended(ic_scheduler *scheduler) {
  ic_mutex_lock(&scheduler->mutex);
  ic_isolate *isolate = scheduler->ended;
  if (isolate) {
    scheduler->ended = isolate->next_thread;
    if (!scheduler->ended) scheduler->ended_end = &scheduler->ended;
  }
  ic_mutex_unlock(&scheduler->mutex);
  return isolate;
}

// Joins some of those that are over, and waits for none.
static void join_some(ic_scheduler *scheduler) {
  for (int i = 0; i < JOINED_AT_ONCE; i++) {
    ic_isolate *isolate = take_ended(scheduler);
    if (!isolate) return;
    if (!ic_thread_try_join(isolate->thread)) {
      ic_mutex_lock(&scheduler->mutex);
      add_ended_locked(scheduler, isolate);
      ic_mutex_unlock(&scheduler->mutex);
      return;
    }
    ic_isolate_release(isolate);
  }
}

static void join_all(ic_scheduler *scheduler) {
  ic_isolate *isolate;
  while ((isolate = take_ended(scheduler)) != NULL) {
    // The last thread to leave may be the one that frees the cluster.
    if (ic_thread_is_self(isolate->thread)) {
      ic_thread_detach_self();
    } else {
      ic_thread_join(isolate->thread);
    }
    ic_isolate_release(isolate);
  }
}

void ic_scheduler_fini(ic_scheduler *scheduler) {
  assert(scheduler->running == 0);
  join_all(scheduler);
  ic_pool_free(scheduler->pool);
  ic_simulator_free(scheduler->simulator);
  ic_condition_fini(&scheduler->left);
  ic_mutex_fini(&scheduler->mutex);
}

// --- A thread's life --------------------------------------------------------

// Takes the isolate, and its user, from the list of those that run to that of those
// whose threads are to be joined. An abandoned one was taken from there already, and
// nobody waits for its thread.
static void leave(ic_scheduler *scheduler, ic_isolate *isolate) {
  join_some(scheduler);
  ic_mutex_lock(&scheduler->mutex);
  scheduler->own_threads--;
  bool was_abandoned = !isolate->is_listed;
  if (!was_abandoned) {
    unlink_locked(scheduler, isolate);
    add_ended_locked(scheduler, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  if (!was_abandoned) return;
  ic_thread_detach_self();
  ic_isolate_release(isolate);
}

static void run_to_end(ic_isolate *isolate) {
  int64_t deadline_ns = IC_NEVER;
  for (;;) {
    ic_isolate_want(isolate, deadline_ns);
    ic_message *chain = ic_isolate_take(isolate, deadline_ns);
    ic_turn_outcome outcome = ic_turn_run(isolate, chain, &deadline_ns);
    if (outcome == IC_TURN_OVER) return;
    if (outcome == IC_TURN_MORE) deadline_ns = 0;
  }
}

static void *own_thread(void *argument) {
  ic_isolate *isolate = argument;
  ic_cluster *cluster = isolate->cluster;
  ic_scheduler *scheduler = isolate->scheduler;
  ic_escape_begin_thread(isolate->alternate_stack, IC_THREAD_STACK_BYTES);
  ic_turn_enter(isolate);
  ic_thread_prepare_signals();
  ic_mutex_lock(&scheduler->mutex);
  isolate->thread = ic_thread_self();
  isolate->thread_known = true;
  ic_mutex_unlock(&scheduler->mutex);
  run_to_end(isolate);
  const ic_life *life = isolate->life;
  life->end(isolate);
  ic_turn_enter(NULL);
  ic_escape_end_thread();
  ic_alternate_give(isolate->alternate_stack);
  leave(scheduler, isolate);
  life->left(cluster);
  return NULL;
}

// The end of an isolate without a thread of its own, on the one that ran it last.
static void finish_shared(ic_isolate *isolate) {
  ic_cluster *cluster = isolate->cluster;
  ic_scheduler *scheduler = isolate->scheduler;
  const ic_life *life = isolate->life;
  life->end(isolate);
  ic_mutex_lock(&scheduler->mutex);
  if (isolate->is_listed) unlink_locked(scheduler, isolate);
  ic_mutex_unlock(&scheduler->mutex);
  ic_isolate_release(isolate);
  life->left(cluster);
}

// The pool is made when it is first needed. In one critical section, so that a
// kill finds the isolate in the list only as one of the pool.
static ic_status start_shared(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_mutex_lock(&scheduler->mutex);
  ic_status status = scheduler->pool_has_stopped ? IC_DOWN : IC_OK;
  if (status == IC_OK && !scheduler->pool) {
    status = ic_pool_new(scheduler->pool_threads, &scheduler->pool);
  }
  if (status == IC_OK) {
    isolate->finish = finish_shared;
    ic_pool_add(scheduler->pool, isolate);
    link_locked(scheduler, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  return status;
}

static ic_status start_own(ic_scheduler *scheduler, ic_isolate *isolate) {
  join_some(scheduler);
  void *alternate_stack = ic_alternate_take();
  if (!alternate_stack) return IC_MEMORY;
  isolate->alternate_stack = alternate_stack;
  ic_mutex_lock(&scheduler->mutex);
  bool has_place = scheduler->own_threads < scheduler->most_threads;
  if (has_place) {
    scheduler->own_threads++;
    link_locked(scheduler, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  ic_thread thread;
  ic_status status = IC_MEMORY;
  if (has_place) {
    status =
        ic_thread_start(&thread, IC_THREAD_STACK_BYTES, own_thread, isolate);
  }
  if (status == IC_OK) return IC_OK;
  ic_alternate_give(alternate_stack);
  ic_mutex_lock(&scheduler->mutex);
  if (has_place) scheduler->own_threads--;
  // A shutdown that had no more time may have abandoned it already.
  if (isolate->is_listed) unlink_locked(scheduler, isolate);
  ic_mutex_unlock(&scheduler->mutex);
  return status;
}

static ic_status start_simulated(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_status status = ic_simulator_add(scheduler->simulator, isolate);
  if (status != IC_OK) return status;
  isolate->finish = finish_shared;
  ic_mutex_lock(&scheduler->mutex);
  isolate->thread = ic_simulator_thread(scheduler->simulator);
  isolate->thread_known = true;
  link_locked(scheduler, isolate);
  ic_mutex_unlock(&scheduler->mutex);
  return IC_OK;
}

ic_status ic_scheduler_start(ic_scheduler *scheduler, ic_isolate *isolate,
                             bool shared) {
  isolate->scheduler = scheduler;
  if (scheduler->simulator) return start_simulated(scheduler, isolate);
  return shared ? start_shared(scheduler, isolate)
                : start_own(scheduler, isolate);
}

// --- Settling ---------------------------------------------------------------
//
// Two walks over all isolates find each asleep, and in the same sleep (Mattern's
// four-counter method, with the count of sleeps in place of those of messages).
// Then all of them slept at the moment T between the walks:
//
//   - The mutex is held, so both walks see the same isolates. One that loads or
//     ends is among them and is not asleep: its mailbox is awake, or closed.
//   - An isolate that was asleep in both walks, and woke in between, has fallen
//     asleep again, so its [naps] rose in between. The count is raised before the
//     mailbox says "asleep" (release), and read after that was seen (acquire).
//   - Where the second walk reads a sleep whose count the first has seen too early,
//     the isolate was between raising it and the mailbox's word at T: behind its
//     last handler.
//
// So at T no handler ran. A message that had been pushed by then was in a mailbox
// (taking it out needs a reader that is awake), and that mailbox was not asleep:
// "asleep" replaces only "empty". One that had not been pushed was in the hands of
// a handler, and none ran. Nobody is left who could wake another, but for clocks:
// hence the look at when each wants to run. And for the watchdog: one that is
// condemned does not sleep, whatever its mailbox says, as that is about to wake it.

static bool sleeps(ic_isolate *isolate, int64_t now_ns, uint64_t *naps) {
  return ic_mailbox_is_asleep(&isolate->mailbox, naps) &&
         atomic_load(&isolate->killed) == NULL &&
         atomic_load_explicit(&isolate->wants_ns, memory_order_relaxed) >
             now_ns;
}

static bool all_sleep_locked(ic_scheduler *scheduler, int64_t now_ns,
                             uint64_t *naps) {
  *naps = 0;
  for (ic_isolate *isolate = scheduler->newest; isolate;
       isolate = isolate->next_thread) {
    uint64_t own_naps;
    if (!sleeps(isolate, now_ns, &own_naps)) return false;
    *naps += own_naps;  // none ever falls: the same sum is the same of each
  }
  return true;
}

static int64_t now_ns(const ic_scheduler *scheduler) {
  return ic_simulator_now_ns(scheduler->simulator);
}

bool ic_scheduler_is_settled_until(ic_scheduler *scheduler, int64_t until_ns) {
  uint64_t first, second;
  ic_mutex_lock(&scheduler->mutex);
  bool settled = all_sleep_locked(scheduler, INT64_MIN, &first) &&
                 all_sleep_locked(scheduler, until_ns, &second) &&
                 first == second;
  ic_mutex_unlock(&scheduler->mutex);
  return settled;
}

bool ic_scheduler_is_settled(ic_scheduler *scheduler) {
  return ic_scheduler_is_settled_until(scheduler, now_ns(scheduler));
}

ic_status ic_scheduler_list_busy(ic_scheduler *scheduler, ic_ref_list *out) {
  ic_ref_list list = {0};
  ic_status status = IC_OK;
  uint64_t naps;
  ic_mutex_lock(&scheduler->mutex);
  for (ic_isolate *isolate = scheduler->newest; isolate && status == IC_OK;
       isolate = isolate->next_thread) {
    if (sleeps(isolate, now_ns(scheduler), &naps)) continue;
    status = ic_ref_list_add(&list, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  if (status == IC_OK) {
    *out = list;
  } else {
    ic_ref_list_fini(&list);
  }
  return status;
}

// --- Stopping ---------------------------------------------------------------

// The signals are sent under the mutex: that keeps every thread in the list
// from leaving, so each exists when its signal is sent.
void ic_scheduler_kill_all(ic_scheduler *scheduler) {
  ic_mutex_lock(&scheduler->mutex);
  for (ic_isolate *isolate = scheduler->newest; isolate;
       isolate = isolate->next_thread) {
    if (atomic_load(&isolate->is_over)) continue;
    ic_isolate_condemn(isolate, IC_REASON_KILLED);
    ic_isolate_rouse(isolate);
    if (isolate->thread_known) ic_thread_interrupt(isolate->thread);
  }
  if (scheduler->pool) ic_pool_interrupt(scheduler->pool);
  ic_mutex_unlock(&scheduler->mutex);
}

bool ic_scheduler_poke(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_mutex_lock(&scheduler->mutex);
  bool is_there = isolate->is_listed;
  if (is_there) {
    ic_isolate_rouse(isolate);
    if (isolate->thread_known) ic_thread_interrupt(isolate->thread);
    if (isolate->pool) ic_pool_interrupt_one(isolate->pool, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  return is_there;
}

static void abandon_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  unlink_locked(scheduler, isolate);
  if (!isolate->pool) return;
  ic_isolate_condemn(isolate, IC_REASON_KILLED);
  ic_pool_abandon(isolate->pool, isolate);
}

ic_isolate *ic_scheduler_abandon(ic_scheduler *scheduler) {
  ic_mutex_lock(&scheduler->mutex);
  ic_isolate *isolate = scheduler->newest;
  while (isolate && atomic_load(&isolate->is_over))
    isolate = isolate->next_thread;
  if (isolate) {
    ic_isolate_hold(isolate);
    abandon_locked(scheduler, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  return isolate;
}

void ic_scheduler_join(ic_scheduler *scheduler, int64_t deadline_ns) {
  ic_mutex_lock(&scheduler->mutex);
  while (scheduler->running > 0 &&
         ic_condition_wait(&scheduler->left, &scheduler->mutex, deadline_ns)) {
  }
  while (scheduler->newest)
    abandon_locked(scheduler, scheduler->newest);
  ic_pool *pool = scheduler->pool;
  scheduler->pool_has_stopped = true;
  ic_mutex_unlock(&scheduler->mutex);
  join_all(scheduler);
  if (pool) ic_pool_stop(pool);
}

void ic_scheduler_adopt(ic_isolate *isolate) {
  ic_turn_enter(isolate);
}
