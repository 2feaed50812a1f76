// meter_test.c - what a turn of the pool comes to, whether it was timed or found.

#include "core/meter.h"

#include "check.h"
#include "samples.h"

enum { LIMIT_MS = 1000 };

static ic_meter meter;

static ic_isolate *set_up(void) {
  ic_isolate *isolate = new_isolate("/a");
  isolate->limits.cpu_total_ns = LIMIT_MS * IC_NS_PER_MS;
  meter = (ic_meter){.turn_began_ns = IC_METER_UNTIMED, .seed = 1};
  ic_thread_get_clock(&meter.clock);
  return isolate;
}

static int64_t read_clock(void) {
  int64_t now_ns = 0;
  ic_thread_read_clock(meter.clock, &now_ns);
  return now_ns;
}

static void use_cpu_for(int64_t time_ns) {
  int64_t end_ns = read_clock() + time_ns;
  while (read_clock() < end_ns) {
  }
}

// A look comes in the middle of it, [share_ns] of CPU time behind the one before; 0:
// none does.
static void take_a_turn(ic_isolate *isolate, int64_t share_ns,
                        int64_t time_ns) {
  if (isolate->skipped_turns > 0) {
    ic_meter_skip_turn(&meter, isolate);
  } else {
    ic_meter_begin_timed_turn(&meter, isolate);
  }
  atomic_store(&meter.runs, isolate);
  ic_meter_count(&meter, 1);
  if (share_ns > 0) {
    int64_t now_ns = read_clock();
    ic_meter_look_locked(&meter, isolate, now_ns, now_ns - share_ns);
  }
  use_cpu_for(time_ns);
  ic_meter_count(&meter, 1);
  int64_t began_ns = atomic_load(&meter.turn_began_ns);
  if (began_ns >= 0) ic_meter_end_timed_turn(&meter, began_ns);
}

static int64_t used_ns(const ic_isolate *isolate) {
  return atomic_load(&isolate->cpu_used_ns);
}

static void a_timed_turn_is_added_up(void) {
  ic_isolate *isolate = set_up();
  take_a_turn(isolate, 0, IC_NS_PER_MS);
  CHECK(used_ns(isolate) >= IC_NS_PER_MS);
  CHECK(used_ns(isolate) < LIMIT_MS * IC_NS_PER_MS);
  CHECK(!atomic_load(&isolate->killed));
  isolate->limits.cpu_total_ns = 2 * IC_NS_PER_MS;
  take_a_turn(isolate, 0, IC_NS_PER_MS);
  CHECK(atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
}

static void a_skipped_turn_is_added_up_with_the_next(void) {
  ic_isolate *isolate = set_up();
  isolate->skipped_turns = isolate->untimed_turns = 100;
  for (int i = 0; i < 100; i++)
    take_a_turn(isolate, 0, 0);
  CHECK(used_ns(isolate) == 0 && isolate->skipped_turns == 0);
  take_a_turn(isolate, 0, IC_NS_PER_MS / 100);
  CHECK(used_ns(isolate) >= 101 * IC_NS_PER_MS / 100);
  CHECK(isolate->untimed_turns == 0);
  ic_isolate_release(isolate);
}

static void a_long_turn_that_is_found_stands_for_the_time_between_looks(void) {
  ic_isolate *isolate = set_up();
  isolate->skipped_turns = isolate->untimed_turns = 5;
  take_a_turn(isolate, 2 * IC_NS_PER_MS, IC_NS_PER_MS);
  CHECK(used_ns(isolate) == 2 * IC_NS_PER_MS);
  CHECK(isolate->skipped_turns == 0);  // the next is timed,
  CHECK(isolate->untimed_turns == 1);  // and stands for the one
  ic_isolate_release(isolate);
}

static void a_short_turn_that_is_found_stays_untimed(void) {
  ic_isolate *isolate = set_up();
  int64_t turn_ns;
  do {  // on a busy machine it is not always short
    atomic_store(&isolate->cpu_used_ns, 0);
    isolate->skipped_turns = isolate->untimed_turns = 5;
    int64_t began_ns = read_clock();
    take_a_turn(isolate, 2 * IC_NS_PER_MS, 0);
    turn_ns = read_clock() - began_ns;
  } while (turn_ns > IC_NS_PER_MS / 20);
  CHECK(used_ns(isolate) == 0);
  CHECK(isolate->skipped_turns == 4 && isolate->untimed_turns == 5);
  ic_isolate_release(isolate);
}

// A look has taken the turn of one without a time for its life for the one before.
static void what_has_no_time_for_its_life_is_not_added_up(void) {
  ic_isolate *isolate = set_up();
  isolate->limits.cpu_total_ns = 0;
  atomic_store(&meter.runs, isolate);
  ic_meter_end_timed_turn(&meter, ic_now_ns());
  CHECK(used_ns(isolate) == 0 && !atomic_load(&isolate->killed));
  CHECK(atomic_load(&meter.turn_began_ns) == IC_METER_UNTIMED);
  ic_isolate_release(isolate);
}

int main(void) {
  RUN(a_timed_turn_is_added_up);
  RUN(a_skipped_turn_is_added_up_with_the_next);
  RUN(a_long_turn_that_is_found_stands_for_the_time_between_looks);
  RUN(a_short_turn_that_is_found_stays_untimed);
  RUN(what_has_no_time_for_its_life_is_not_added_up);
  return check_report("meter");
}
