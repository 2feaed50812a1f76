// meter.c - the time for a life, in a pool.
//
// To read the thread's clock is a system call, and more than a short turn costs. So
// the turn is timed by the other clock, and where it was short, that is its CPU time.
// A longer one may have waited for a core: then the thread's clock is read at its
// end. What that said at its beginning is not known, but it was no less than at the
// last reading, here or by a look, and than that with the short turns since.
//
// Even the other clock costs a tenth of the shortest turns. So where an isolate has
// had nothing but short turns for long, one of them in SKIPPED_MOST / 2 is timed, at
// random, and stands for those before it, as far as they were short.
//
// Where some were not, the looks find those. They meet a turn as often as it is long, and
// it is long if it goes on for more than a short one behind the look: then it stands for
// all that its thread has used since the look before. So what of long turns is beyond a
// short one comes to its sum, too; and the next turns are all timed again.

#include "core/meter.h"

// A turn that has taken longer may have waited for a core.
#define SHORT_TURN_NS (50 * IC_NS_PER_MS / 1000)

// After a long turn so many are timed each; then, of short ones, at most so many are
// not before one that is.
enum { EXACT_TURNS = 256, SKIPPED_MOST = 99 };

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

void ic_meter_begin_timed_turn(ic_meter *meter, ic_isolate *isolate) {
  meter->is_timing = true;
  meter->turns_before = isolate->untimed_turns;
  isolate->untimed_turns = 0;
  write_own(&meter->turn_floor_ns,
            larger(read_own(&meter->turn_floor_ns), read_own(&meter->seen_ns)));
  write_own(&meter->turn_began_ns, ic_now_ns());
}

// What the turn that ends has used since [began_ns], when the clock was [floor_ns], at
// least.
static int64_t used_since(ic_meter *meter, int64_t began_ns, int64_t floor_ns) {
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

static void add_up(ic_isolate *isolate, int64_t used_ns) {
  int64_t total_ns = read_own(&isolate->cpu_used_ns) + used_ns;
  write_own(&isolate->cpu_used_ns, total_ns);
  if (total_ns >= isolate->limits.cpu_total_ns) {
    ic_isolate_condemn(isolate, IC_REASON_CPU);
  }
}

// How many turns are not timed before the next that is.
static void skip_turns(ic_meter *meter, ic_isolate *isolate, int64_t used_ns) {
  if (used_ns > SHORT_TURN_NS) isolate->short_turns = 0;
  if (isolate->short_turns < EXACT_TURNS) {
    isolate->short_turns++;
  } else {
    isolate->skipped_turns = random_below(meter, SKIPPED_MOST);
    isolate->untimed_turns = isolate->skipped_turns;
  }
}

static void end_timed_turn(ic_meter *meter, ic_isolate *isolate,
                           int64_t began_ns) {
  int64_t used_ns =
      used_since(meter, began_ns, read_own(&meter->turn_floor_ns));
  int64_t before_ns = smaller(used_ns, SHORT_TURN_NS) * meter->turns_before;
  meter->is_timing = false;
  add_up(isolate, used_ns + before_ns);
  skip_turns(meter, isolate, used_ns);
}

// A look has found the turn in the middle.
static void end_found_turn(ic_meter *meter, ic_isolate *isolate,
                           int64_t found_ns) {
  int64_t used_ns =
      used_since(meter, found_ns, read_own(&meter->found_floor_ns));
  if (used_ns <= SHORT_TURN_NS) return;
  int64_t share_ns = read_own(&meter->found_share_ns);
  // Of one that is longer than a tick, the look has missed half a tick.
  bool is_longer = used_ns > IC_METER_TICK_NS;
  add_up(isolate, is_longer ? used_ns + share_ns / 2 : share_ns);
  isolate->short_turns = 0;
  isolate->untimed_turns -= isolate->skipped_turns;
  isolate->skipped_turns = 0;
}

void ic_meter_end_timed_turn(ic_meter *meter, int64_t began_ns) {
  ic_isolate *isolate =
      atomic_load_explicit(&meter->runs, memory_order_relaxed);
  write_own(&meter->turn_began_ns, IC_METER_UNTIMED);
  // A look may have taken it for the one before.
  if (!ic_meter_times(meter, isolate)) return;
  if (meter->is_timing) {
    end_timed_turn(meter, isolate, began_ns);
  } else {
    end_found_turn(meter, isolate, began_ns);
  }
}

// Does nothing if the turn is not the same any more.
static void find_turn_locked(ic_meter *meter, int64_t turn, int64_t now_ns,
                             int64_t seen_ns) {
  int64_t time_ns = ic_now_ns();
  write_own(&meter->found_floor_ns, now_ns);
  write_own(&meter->found_share_ns,
            smaller(now_ns - seen_ns, IC_METER_TICK_NS));
  meter->found_ns = time_ns;
  atomic_compare_exchange_strong(&meter->turn_began_ns, &turn, time_ns);
}

int64_t ic_meter_look_locked(ic_meter *meter, const ic_isolate *isolate,
                             int64_t now_ns, int64_t seen_ns) {
  int64_t total_ns = read_own(&isolate->cpu_used_ns);
  int64_t began_ns =
      atomic_load_explicit(&meter->turn_began_ns, memory_order_acquire);
  if (began_ns == IC_METER_UNTIMED) return total_ns;
  if (began_ns < 0) {
    find_turn_locked(meter, began_ns, now_ns, seen_ns);
    return total_ns;
  }
  bool was_found = began_ns == meter->found_ns;
  int64_t floor_ns =
      read_own(was_found ? &meter->found_floor_ns : &meter->turn_floor_ns);
  return total_ns + smaller(ic_now_ns() - began_ns, now_ns - floor_ns);
}
