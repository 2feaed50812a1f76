// watchdog.c - looks at meters, and pokes what is doomed until it is gone.

#include "core/watchdog.h"

#include <stdlib.h>

enum { QUIET_TICKS = 40 };  // looks for so long when nothing is measured

// A look comes earlier where a budget may be used up before the next tick, but not
// at once: a thread that has to wait for a core is always just before its end.
#define SHORTEST_TICK_NS (IC_NS_PER_MS / 2)

// The calling thread's; as in escape.h.
static _Thread_local ic_meter *own_meter
    __attribute__((tls_model("initial-exec")));

void ic_watchdog_init(ic_watchdog *watchdog, ic_scheduler *scheduler) {
  *watchdog = (ic_watchdog){.scheduler = scheduler};
  ic_parker_init(&watchdog->parker);
  ic_mutex_init(&watchdog->mutex);
}

static void rouse(ic_watchdog *watchdog) {
  if (atomic_load(&watchdog->sleeps) &&
      atomic_exchange(&watchdog->sleeps, false)) {
    ic_parker_unpark(&watchdog->parker);
  }
}

// --- Meters -----------------------------------------------------------------

static bool is_measured(const ic_isolate *isolate) {
  return isolate->limits.cpu_ns > 0 || isolate->limits.cpu_total_ns > 0;
}

static ic_meter *find_unused_locked(ic_watchdog *watchdog) {
  ic_meter *meter = watchdog->meters;
  while (meter && !meter->is_unused)
    meter = meter->next;
  if (meter) return meter;
  meter = aligned_alloc(_Alignof(ic_meter), sizeof *meter);
  if (!meter) return NULL;
  *meter = (ic_meter){.watchdog = watchdog, .next = watchdog->meters};
  watchdog->meters = meter;
  return meter;
}

// Gives the calling thread one; it is a thread of this watchdog's cluster only.
__attribute__((noinline)) static ic_meter *new_meter(ic_watchdog *watchdog,
                                                     ic_isolate *isolate) {
  ic_thread_clock clock;
  int64_t now_ns;
  if (!ic_thread_get_clock(&clock) || !ic_thread_read_clock(clock, &now_ns)) {
    return NULL;
  }
  ic_mutex_lock(&watchdog->mutex);
  ic_meter *meter = find_unused_locked(watchdog);
  if (meter) {
    meter->is_unused = false;
    bool is_own = !isolate->pool && !isolate->simulator;
    meter->owner = is_own ? isolate : NULL;
    atomic_store(&meter->seen_ns, 0);
    atomic_store(&meter->turn_began_ns, IC_METER_UNTIMED);
    atomic_store(&meter->turn_floor_ns, now_ns);
    meter->clock = clock;
    meter->seed = (uint32_t)ic_now_ns() | 1;
  }
  ic_mutex_unlock(&watchdog->mutex);
  own_meter = meter;
  return meter;
}

void ic_watchdog_thread_ends(ic_watchdog *watchdog) {
  ic_meter *meter = own_meter;
  if (!meter || meter->watchdog != watchdog) return;
  own_meter = NULL;
  ic_mutex_lock(&watchdog->mutex);
  meter->is_unused = true;
  meter->owner = NULL;
  ic_mutex_unlock(&watchdog->mutex);
}

void ic_watchdog_isolate_ends(ic_watchdog *watchdog, ic_isolate *isolate) {
  if (!isolate->pool) {
    ic_watchdog_thread_ends(watchdog);
  } else if (is_measured(isolate)) {
    ic_mutex_lock(&watchdog->mutex);
    ic_mutex_unlock(&watchdog->mutex);
  }
}

// --- Entering and leaving ----------------------------------------------------

static void begin_turn(ic_meter *meter, ic_isolate *isolate) {
  atomic_store_explicit(&meter->runs, isolate, memory_order_release);
  ic_meter_count(meter, 1);
}

// Apart from the usual way of a short turn, in which nothing is called and so no
// register saved.
__attribute__((noinline)) static ic_meter *enter_otherwise(
    ic_watchdog *watchdog, ic_isolate *isolate) {
  ic_meter *meter = own_meter;
  if (!meter || meter->watchdog != watchdog) {
    meter = new_meter(watchdog, isolate);
  }
  if (!meter) return NULL;
  if (ic_meter_times(meter, isolate)) {
    if (isolate->skipped_turns > 0) {
      ic_meter_skip_turn(meter, isolate);
    } else {
      ic_meter_begin_timed_turn(meter, isolate);
    }
  }
  begin_turn(meter, isolate);
  rouse(watchdog);
  return meter;
}

ic_meter *ic_watchdog_enter(ic_watchdog *watchdog, ic_isolate *isolate) {
  if (!is_measured(isolate)) return NULL;
  ic_meter *meter = own_meter;
  if (!meter || meter->watchdog != watchdog ||
      atomic_load_explicit(&watchdog->sleeps, memory_order_relaxed)) {
    return enter_otherwise(watchdog, isolate);
  }
  if (ic_meter_times(meter, isolate)) {
    if (isolate->skipped_turns == 0) return enter_otherwise(watchdog, isolate);
    ic_meter_skip_turn(meter, isolate);
  }
  begin_turn(meter, isolate);
  return meter;
}

void ic_watchdog_leave(ic_meter *meter) {
  if (!meter) return;
  ic_meter_count(meter, 1);
  int64_t began_ns =
      atomic_load_explicit(&meter->turn_began_ns, memory_order_acquire);
  if (began_ns >= 0) ic_meter_end_timed_turn(meter, began_ns);
}

void ic_watchdog_count_call(ic_meter *meter) {
  if (meter) ic_meter_count(meter, 2);
}

// --- Killing ----------------------------------------------------------------

static void doom_locked(ic_watchdog *watchdog, ic_isolate *isolate,
                        const char *reason) {
  ic_isolate_condemn(isolate, reason);
  if (isolate->is_doomed) return;
  isolate->is_doomed = true;
  isolate->next_doomed = watchdog->doomed;
  watchdog->doomed = ic_isolate_hold(isolate);
}

// Interrupts whoever is doomed; those that have ended are so no more, and given
// to the caller.
static ic_isolate *poke_all_locked(ic_watchdog *watchdog) {
  ic_isolate *gone = NULL;
  ic_isolate **link = &watchdog->doomed;
  while (*link) {
    ic_isolate *isolate = *link;
    if (ic_scheduler_poke(watchdog->scheduler, isolate)) {
      link = &isolate->next_doomed;
      continue;
    }
    *link = isolate->next_doomed;
    isolate->next_doomed = gone;
    gone = isolate;
  }
  return gone;
}

static void release_all(ic_isolate *isolate) {
  while (isolate) {
    ic_isolate *next = isolate->next_doomed;
    ic_isolate_release(isolate);
    isolate = next;
  }
}

ic_status ic_watchdog_kill(ic_watchdog *watchdog, ic_isolate *isolate,
                           const char *reason) {
  ic_isolate_condemn(isolate, reason);
  if (watchdog->scheduler->simulator) {
    // It is the driver's thread that runs it, and no other may wake it.
    ic_scheduler_poke(watchdog->scheduler, isolate);
    return IC_OK;
  }
  ic_status status = ic_watchdog_start(watchdog);
  if (status != IC_OK) {
    ic_scheduler_poke(watchdog->scheduler, isolate);
    return status;
  }
  ic_mutex_lock(&watchdog->mutex);
  doom_locked(watchdog, isolate, reason);
  ic_mutex_unlock(&watchdog->mutex);
  // At once, where it is between two ticks too.
  atomic_store(&watchdog->sleeps, false);
  ic_parker_unpark(&watchdog->parker);
  return IC_OK;
}

// --- Looking ----------------------------------------------------------------

// Of its budget [most_ns] (0: none) the isolate has used [used_ns].
static void compare_locked(ic_watchdog *watchdog, ic_isolate *isolate,
                           int64_t most_ns, int64_t used_ns) {
  if (most_ns == 0) return;
  int64_t left_ns = most_ns - used_ns;
  if (left_ns <= 0) {
    doom_locked(watchdog, isolate, IC_REASON_CPU);
  } else if (left_ns < watchdog->pause_ns) {
    watchdog->pause_ns = left_ns;
  }
}

// Of an isolate with a thread of its own, all that this has used since the last
// look, whether it ran just then or slept.
static void add_up_locked(ic_meter *meter, ic_isolate *isolate,
                          int64_t now_ns) {
  int64_t used_ns = now_ns - atomic_load(&meter->seen_ns);
  int64_t total_ns = atomic_fetch_add(&isolate->cpu_used_ns, used_ns) + used_ns;
  compare_locked(meter->watchdog, isolate, isolate->limits.cpu_total_ns,
                 total_ns);
}

// The call that runs, if it did at the last look, has all of the time since then.
static void time_call_locked(ic_meter *meter, ic_isolate *isolate,
                             int64_t now_ns) {
  compare_locked(meter->watchdog, isolate, isolate->limits.cpu_ns,
                 now_ns - meter->began_ns);
}

// Whether an isolate runs on the meter's thread. The thread's own is looked at
// though it sleeps: its turns may be too short to be seen.
static bool look_locked(ic_meter *meter) {
  int64_t now_ns;
  if (meter->is_unused) return false;
  uint64_t calls = atomic_load_explicit(&meter->calls, memory_order_acquire);
  bool in_turn = calls % 2 == 1;
  ic_isolate *runs = atomic_load_explicit(&meter->runs, memory_order_acquire);
  uint64_t handled = in_turn ? ic_counted(&runs->handled) : 0;
  if (!ic_thread_read_clock(meter->clock, &now_ns)) {
    meter->is_unused = !in_turn;  // a worker that has ended does not say so
    return in_turn;
  }
  if (meter->owner) add_up_locked(meter, meter->owner, now_ns);
  if (meter->seen_calls != calls || meter->seen_handled != handled) {
    meter->began_ns = now_ns;
  }
  meter->seen_calls = calls;
  meter->seen_handled = handled;
  int64_t seen_ns = atomic_exchange(&meter->seen_ns, now_ns);
  if (in_turn && ic_meter_calls(meter) == calls) {
    if (ic_counted(&runs->handled) == handled) {
      time_call_locked(meter, runs, now_ns);
    }
    if (ic_meter_times(meter, runs)) {
      compare_locked(meter->watchdog, runs, runs->limits.cpu_total_ns,
                     ic_meter_look_locked(meter, runs, now_ns, seen_ns));
    }
  }
  return in_turn;
}

static bool look_at_all_locked(ic_watchdog *watchdog) {
  bool any = false;
  for (ic_meter *meter = watchdog->meters; meter; meter = meter->next) {
    any |= look_locked(meter);
  }
  return any;
}

static bool look(ic_watchdog *watchdog) {
  ic_mutex_lock(&watchdog->mutex);
  watchdog->pause_ns = IC_METER_TICK_NS;
  bool any = look_at_all_locked(watchdog);
  ic_isolate *gone = poke_all_locked(watchdog);
  any |= watchdog->doomed != NULL;
  ic_mutex_unlock(&watchdog->mutex);
  release_all(gone);
  return any;
}

static int64_t next_look_ns(const ic_watchdog *watchdog) {
  int64_t pause_ns = watchdog->pause_ns;
  return ic_now_ns() +
         (pause_ns < SHORTEST_TICK_NS ? SHORTEST_TICK_NS : pause_ns);
}

// It falls asleep one look after it has said so: by then any turn that was begun
// without seeing that is long to be seen.
static void *run(void *argument) {
  ic_watchdog *watchdog = argument;
  unsigned quiet_ticks = 0;
  while (!atomic_load(&watchdog->stopping)) {
    quiet_ticks = look(watchdog) ? 0 : quiet_ticks + 1;
    bool sleeps = quiet_ticks > QUIET_TICKS && atomic_load(&watchdog->sleeps);
    atomic_store(&watchdog->sleeps, quiet_ticks >= QUIET_TICKS);
    ic_parker_park(&watchdog->parker,
                   sleeps ? IC_NEVER : next_look_ns(watchdog));
    if (sleeps) quiet_ticks = 0;
  }
  return NULL;
}

ic_status ic_watchdog_start(ic_watchdog *watchdog) {
  ic_status status = IC_OK;
  ic_mutex_lock(&watchdog->mutex);
  if (atomic_load(&watchdog->stopping)) {
    status = IC_DOWN;
  } else if (!watchdog->has_thread) {
    status =
        ic_thread_start(&watchdog->thread, IC_SMALL_STACK_BYTES, run, watchdog);
    watchdog->has_thread = status == IC_OK;
  }
  ic_mutex_unlock(&watchdog->mutex);
  return status;
}

void ic_watchdog_stop(ic_watchdog *watchdog) {
  ic_mutex_lock(&watchdog->mutex);
  atomic_store(&watchdog->stopping, true);
  bool has_thread = watchdog->has_thread;
  watchdog->has_thread = false;
  ic_mutex_unlock(&watchdog->mutex);
  if (has_thread) {
    ic_parker_unpark(&watchdog->parker);
    ic_thread_join(watchdog->thread);
  }
  release_all(watchdog->doomed);
  watchdog->doomed = NULL;
}

void ic_watchdog_fini(ic_watchdog *watchdog) {
  while (watchdog->meters) {
    ic_meter *meter = watchdog->meters;
    watchdog->meters = meter->next;
    free(meter);
  }
  ic_mutex_fini(&watchdog->mutex);
}
