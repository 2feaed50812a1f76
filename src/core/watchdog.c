// watchdog.c - looks at meters, and pokes what is doomed until it is gone.

#include "core/watchdog.h"

#include <stdlib.h>

enum {
  TICK_MS = 5,
  QUIET_TICKS = 40  // goes on looking for so long when nothing is measured
};

// A turn that has taken longer may have waited for a core.
#define SHORT_TURN_NS (50 * IC_NS_PER_MS / 1000)

// After a long turn so many are timed each; then, of short ones, at most so many are
// not before one that is.
enum { EXACT_TURNS = 256, SKIPPED_MOST = 99 };

// A look comes earlier where a budget may be used up before the next tick, but not
// at once: a thread that has to wait for a core is always just before its end.
#define SHORTEST_TICK_NS (IC_NS_PER_MS / 2)

// One for each thread that runs isolates with a limit of CPU time.
//
// A turn costs its thread plain stores, and no fence. Where the watchdog finds the
// same odd number in [calls] before and behind what it reads, that was all of one
// call: the release of each store into [calls], and of that into [runs], pairs with
// the acquire of the watchdog's loads. The isolate that it has read so is there as
// long as it holds the mutex, which each takes once behind its last turn
// (ic_watchdog_isolate_ends).
struct ic_meter {
  _Atomic uint64_t calls;      // two for each that has begun; odd in a turn
  _Atomic(ic_isolate *) runs;  // whose turn it is, or was
  ic_watchdog *watchdog;
  ic_thread_clock clock;
  // The turn of an isolate with a time for its life and without a thread of its
  // own; in [turn_began_ns] a look may put the time in place of an untimed turn.
  _Atomic int64_t
      turn_began_ns;  // the time; below 0: untimed, which turn it is
  _Atomic int64_t turn_floor_ns;  // the clock, at least
  bool is_timing;                 // its thread's: it has timed the turn itself
  uint32_t turns_before;          // likewise: for which the turn stands
  uint32_t seed;                  // likewise; never 0
  // Written by a look.
  _Atomic int64_t seen_ns;         // the clock
  _Atomic int64_t found_floor_ns;  // likewise, where it found an untimed turn
  // Guard: the watchdog's mutex.
  ic_meter *next;
  bool is_unused;       // its thread has ended: any may have it
  ic_isolate *owner;    // the only one that its thread runs, or NULL
  uint64_t seen_calls;  // at the last look
  int64_t began_ns;     // what the clock said when that call was first seen
  int64_t found_ns;     // when the last untimed turn was found
};

static _Thread_local ic_meter *own_meter;

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

static uint64_t read_calls(const ic_meter *meter) {
  return atomic_load_explicit(&meter->calls, memory_order_relaxed);
}

static ic_meter *find_unused_locked(ic_watchdog *watchdog) {
  ic_meter *meter = watchdog->meters;
  while (meter && !meter->is_unused)
    meter = meter->next;
  if (meter) return meter;
  meter = calloc(1, sizeof *meter);
  if (!meter) return NULL;
  meter->watchdog = watchdog;
  meter->next = watchdog->meters;
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
    atomic_store(&meter->turn_floor_ns, now_ns);
    meter->clock = clock;
    meter->seed = (uint32_t)ic_now_ns() | 1;
  }
  ic_mutex_unlock(&watchdog->mutex);
  own_meter = meter;
  return meter;
}

static ic_meter *get_meter(ic_watchdog *watchdog, ic_isolate *isolate) {
  ic_meter *meter = own_meter;
  return meter && meter->watchdog == watchdog ? meter
                                              : new_meter(watchdog, isolate);
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

// --- The time for a life, in a pool ------------------------------------------
//
// To read the thread's clock is a system call, and more than a short turn costs. So
// the turn is timed by the other clock, and where it was short, that is its CPU time.
// A longer one may have waited for a core: then the thread's clock is read at its
// end. What that said at its beginning is not known, but it was no less than at the
// last reading, here or by a look, and than that with the short turns since.
//
// Even the other clock costs a tenth of the shortest turns. So where an isolate has
// had nothing but short turns for long, one of them in SKIPPED_MOST / 2 is timed, at
// random, and stands for those before it. An untimed turn that a look finds is timed
// from there on.

static bool is_timed(const ic_meter *meter, const ic_isolate *isolate) {
  return isolate->limits.cpu_total_ns > 0 && !meter->owner;
}

static int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t read_own(const _Atomic int64_t *time) {
  return atomic_load_explicit(time, memory_order_relaxed);
}

static void write_own(_Atomic int64_t *time, int64_t to) {
  atomic_store_explicit(time, to, memory_order_relaxed);
}

static uint32_t random_below(ic_meter *meter, uint32_t bound) {
  uint32_t seed = meter->seed;  // xorshift32
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  meter->seed = seed;
  return seed % bound;
}

// Apart from the usual way of a short turn, as its end is.
__attribute__((noinline)) static void begin_timed_turn(ic_meter *meter,
                                                       ic_isolate *isolate) {
  meter->is_timing = true;
  meter->turns_before = isolate->untimed_turns;
  isolate->untimed_turns = 0;
  write_own(&meter->turn_floor_ns,
            larger(read_own(&meter->turn_floor_ns), read_own(&meter->seen_ns)));
  write_own(&meter->turn_began_ns, ic_now_ns());
}

static void begin_turn(ic_meter *meter, ic_isolate *isolate) {
  if (isolate->untimed_turns >= isolate->skipped_turns) {
    begin_timed_turn(meter, isolate);
    return;
  }
  isolate->untimed_turns++;
  meter->is_timing = false;
  write_own(&meter->turn_began_ns, -(int64_t)read_calls(meter) - 1);
}

// What the turn that ends has used, if it was timed.
static int64_t used_by_turn(ic_meter *meter, int64_t began_ns) {
  int64_t floor_ns = read_own(meter->is_timing ? &meter->turn_floor_ns
                                               : &meter->found_floor_ns);
  int64_t used_ns = ic_now_ns() - began_ns;
  int64_t clock_ns;
  if (used_ns > SHORT_TURN_NS &&
      ic_thread_read_clock(meter->clock, &clock_ns)) {
    used_ns = smaller(used_ns, larger(clock_ns - floor_ns, 0));
    floor_ns = clock_ns;
  } else {
    floor_ns += used_ns;
  }
  write_own(&meter->turn_floor_ns, floor_ns);
  return used_ns;
}

// How many turns are not timed before the next that is.
static void skip_turns(ic_meter *meter, ic_isolate *isolate, int64_t used_ns) {
  if (used_ns > SHORT_TURN_NS) isolate->short_turns = 0;
  if (isolate->short_turns < EXACT_TURNS) {
    isolate->short_turns++;
    isolate->skipped_turns = 0;
  } else {
    isolate->skipped_turns = random_below(meter, SKIPPED_MOST);
  }
}

__attribute__((noinline)) static void end_timed_turn(ic_meter *meter,
                                                     ic_isolate *isolate,
                                                     int64_t began_ns) {
  int64_t used_ns = used_by_turn(meter, began_ns);
  // Those that were not timed were short, as far as anybody knows.
  uint32_t before = meter->is_timing ? meter->turns_before : 0;
  int64_t before_ns = smaller(used_ns, SHORT_TURN_NS) * before;
  int64_t total_ns = read_own(&isolate->cpu_used_ns) + used_ns + before_ns;
  write_own(&isolate->cpu_used_ns, total_ns);
  skip_turns(meter, isolate, used_ns);
  if (total_ns >= isolate->limits.cpu_total_ns) {
    ic_isolate_condemn(isolate, IC_REASON_CPU);
  }
}

static void end_turn(ic_meter *meter, ic_isolate *isolate) {
  int64_t began_ns =
      atomic_load_explicit(&meter->turn_began_ns, memory_order_acquire);
  if (began_ns >= 0) end_timed_turn(meter, isolate, began_ns);
}

// --- Entering and leaving ----------------------------------------------------

static void count(ic_meter *meter, uint64_t by) {
  atomic_store_explicit(&meter->calls, read_calls(meter) + by,
                        memory_order_release);
}

ic_meter *ic_watchdog_enter(ic_watchdog *watchdog, ic_isolate *isolate) {
  if (!is_measured(isolate)) return NULL;
  ic_meter *meter = get_meter(watchdog, isolate);
  if (!meter) return NULL;
  if (is_timed(meter, isolate)) begin_turn(meter, isolate);
  atomic_store_explicit(&meter->runs, isolate, memory_order_release);
  count(meter, 1);
  if (atomic_load_explicit(&watchdog->sleeps, memory_order_relaxed)) {
    rouse(watchdog);
  }
  return meter;
}

void ic_watchdog_leave(ic_meter *meter) {
  if (!meter) return;
  ic_isolate *isolate =
      atomic_load_explicit(&meter->runs, memory_order_relaxed);
  count(meter, 1);
  if (is_timed(meter, isolate)) end_turn(meter, isolate);
}

void ic_watchdog_count_call(ic_meter *meter) {
  if (meter) count(meter, 2);
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
  int64_t used_ns = now_ns - read_own(&meter->seen_ns);
  int64_t total_ns = atomic_fetch_add(&isolate->cpu_used_ns, used_ns) + used_ns;
  compare_locked(meter->watchdog, isolate, isolate->limits.cpu_total_ns,
                 total_ns);
}

// Of one without, the turn that it is in comes to what it had before. One that is
// not timed is so from here on, if it is still the same.
static void time_turn_locked(ic_meter *meter, ic_isolate *isolate,
                             int64_t now_ns) {
  int64_t time_ns = ic_now_ns();
  int64_t began_ns =
      atomic_load_explicit(&meter->turn_began_ns, memory_order_acquire);
  if (began_ns < 0) {
    write_own(&meter->found_floor_ns, now_ns);
    meter->found_ns = time_ns;
    atomic_compare_exchange_strong(&meter->turn_began_ns, &began_ns, time_ns);
    return;
  }
  bool was_found = began_ns == meter->found_ns;
  int64_t floor_ns =
      read_own(was_found ? &meter->found_floor_ns : &meter->turn_floor_ns);
  int64_t used_ns = smaller(time_ns - began_ns, now_ns - floor_ns);
  compare_locked(meter->watchdog, isolate, isolate->limits.cpu_total_ns,
                 read_own(&isolate->cpu_used_ns) + used_ns);
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
  if (!ic_thread_read_clock(meter->clock, &now_ns)) {
    meter->is_unused = !in_turn;  // a worker that has ended does not say so
    return in_turn;
  }
  if (meter->owner) add_up_locked(meter, meter->owner, now_ns);
  if (meter->seen_calls != calls) meter->began_ns = now_ns;
  meter->seen_calls = calls;
  atomic_store(&meter->seen_ns, now_ns);
  if (in_turn && read_calls(meter) == calls) {
    time_call_locked(meter, runs, now_ns);
    if (is_timed(meter, runs)) time_turn_locked(meter, runs, now_ns);
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
  watchdog->pause_ns = TICK_MS * IC_NS_PER_MS;
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
