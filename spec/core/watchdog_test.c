// watchdog_test.c - killing one, whatever it does, and the time that a call has.

#include "core/watchdog.h"

#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "test_body.h"

static ic_cluster *cluster;
static ic_isolate *watcher;
static test_script play;

static void set_up(void) {
  script_init(&play);
  ic_cluster_new(NULL, &cluster);
  ic_isolate_new("(watcher)", &watcher);
  ic_registry_watch(&cluster->registry, watcher, IC_WATCH_DOWN, NULL);
}

static void tear_down(void) {
  ic_registry_watch(&cluster->registry, watcher, 0, NULL);
  ic_cluster_free(cluster);
  ic_isolate_release(watcher);
  script_fini(&play);
}

static ic_isolate *start(const char *path, ic_limits limits, bool shared) {
  ic_start start = {.path = path,
                    .body = test_body_new(&play),
                    .limits = limits,
                    .shared = shared};
  ic_isolate *isolate = NULL;
  return ic_cluster_start(cluster, &start, &isolate, NULL) == IC_OK ? isolate
                                                                    : NULL;
}

// Whether the next end is told with [reason].
static bool ends_with(const char *reason) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  ic_message *chain = NULL;
  while (!chain && ic_now_ns() < deadline_ns) {
    chain = ic_isolate_take(watcher, deadline_ns);
  }
  bool does = chain && chain->kind == IC_MESSAGE_DOWN &&
              strcmp(chain->reason, reason) == 0;
  ic_message_free_chain(chain);
  return does;
}

static void check_kill(bool shared) {
  ic_isolate *isolate = start("/a", (ic_limits){0}, shared);
  CHECK(isolate);
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(ic_ref_kill(isolate) == IC_OK);
  CHECK(ends_with("killed"));
  CHECK(ic_ref_kill(isolate) == IC_GONE);
  ic_isolate_release(isolate);
}

static void kills_one_that_sleeps(void) {
  set_up();
  check_kill(false);
  tear_down();
}

static void kills_one_of_the_pool_that_sleeps(void) {
  set_up();
  check_kill(true);
  tear_down();
}

static void kills_one_that_spins(void) {
  set_up();
  play.on_message = body_spins;
  CALL(check_kill(false));
  tear_down();
}

static void kills_one_of_the_pool_that_spins(void) {
  set_up();
  play.on_message = body_spins;
  CALL(check_kill(true));
  tear_down();
}

static void the_first_reason_stays(void) {
  set_up();
  ic_isolate *isolate = start("/a", (ic_limits){0}, false);
  ic_cluster_kill(cluster, isolate, IC_REASON_MEMORY);
  ic_cluster_kill(cluster, isolate, IC_REASON_KILLED);
  CHECK(strcmp(atomic_load(&isolate->killed), "memory") == 0);
  ic_isolate_release(isolate);
  tear_down();
}

static void kills_many_at_once(void) {
  enum { COUNT = 50 };
  set_up();
  for (int i = 0; i < COUNT; i++) {
    ic_isolate *isolate = start("/a/", (ic_limits){0}, i % 2 == 0);
    CHECK(isolate);
    ic_ref_kill(isolate);
    ic_isolate_release(isolate);
  }
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  tear_down();
}

static void a_port_is_not_killed(void) {
  set_up();
  ic_port *port = NULL;
  CHECK(ic_port_open(cluster, NULL, &port) == IC_OK);
  CHECK(ic_ref_kill(ic_port_ref(port)) == IC_INVALID);
  ic_port_close(port);
  tear_down();
}

// Runs one call after the other, which are all measured, for longer than one may
// last.
static void *measured_calls(void *argument) {
  ic_isolate *isolate = argument;
  ic_watchdog *watchdog = &cluster->watchdog;
  ic_meter *meter = ic_watchdog_enter(watchdog, isolate);
  int64_t end_ns = ic_deadline_ns(150);
  while (ic_now_ns() < end_ns)
    ic_watchdog_count_call(meter);
  ic_watchdog_leave(meter);
  ic_watchdog_thread_ends(watchdog);
  return NULL;
}

static void *one_long_call(void *argument) {
  ic_isolate *isolate = argument;
  ic_watchdog *watchdog = &cluster->watchdog;
  ic_meter *meter = ic_watchdog_enter(watchdog, isolate);
  int64_t end_ns = ic_deadline_ns(PATIENCE_MS);
  while (!atomic_load(&isolate->killed) && ic_now_ns() < end_ns) {
  }
  ic_watchdog_leave(meter);
  ic_watchdog_thread_ends(watchdog);
  return NULL;
}

static void run_measured(void *(*run)(void *argument), ic_isolate *isolate) {
  ic_thread thread;
  ic_watchdog_start(&cluster->watchdog);
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, run, isolate) == IC_OK);
  ic_thread_join(thread);
}

static void a_call_has_its_time(void) {
  set_up();
  ic_isolate *isolate =
      start("/a", (ic_limits){.cpu_ns = 20 * IC_NS_PER_MS}, false);
  CALL(run_measured(one_long_call, isolate));
  CHECK(strcmp(atomic_load(&isolate->killed), "cpu") == 0);
  ic_isolate_release(isolate);
  tear_down();
}

static void many_calls_may_take_longer_than_one(void) {
  set_up();
  ic_isolate *isolate =
      start("/a", (ic_limits){.cpu_ns = 100 * IC_NS_PER_MS}, false);
  CALL(run_measured(measured_calls, isolate));
  CHECK(!atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

// Likewise in messages of one turn, which nobody counts but the isolate.
static void *measured_messages(void *argument) {
  ic_isolate *isolate = argument;
  ic_watchdog *watchdog = &cluster->watchdog;
  ic_meter *meter = ic_watchdog_enter(watchdog, isolate);
  int64_t end_ns = ic_deadline_ns(150);
  while (ic_now_ns() < end_ns)
    ic_count(&isolate->handled);
  ic_watchdog_leave(meter);
  ic_watchdog_thread_ends(watchdog);
  return NULL;
}

static void many_messages_of_a_turn_may_take_longer_than_one(void) {
  set_up();
  ic_isolate *isolate =
      start("/a", (ic_limits){.cpu_ns = 100 * IC_NS_PER_MS}, true);
  CALL(run_measured(measured_messages, isolate));
  CHECK(!atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

static void a_life_has_its_time(void) {
  set_up();
  ic_isolate *isolate =
      start("/a", (ic_limits){.cpu_total_ns = 20 * IC_NS_PER_MS}, false);
  for (int i = 0; i < 20 && !atomic_load(&isolate->killed); i++) {
    CALL(run_measured(measured_calls, isolate));
  }
  CHECK(atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

static void spin_for(int64_t time_ns) {
  int64_t end_ns = ic_now_ns() + time_ns;
  while (ic_now_ns() < end_ns) {
  }
}

// One of the pool that sleeps, so that the test can take its turns.
static ic_isolate *start_asleep(ic_limits limits) {
  ic_isolate *isolate = start("/a", limits, true);
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  uint64_t naps;
  while (!(tally_count(&play.starts) == 1 &&
           ic_mailbox_is_asleep(&isolate->mailbox, &naps)) &&
         ic_now_ns() < deadline_ns) {
    ic_thread_relax();
  }
  return isolate;
}

static void sleep_for(int64_t time_ns) {
  ic_parker nobody;
  ic_parker_init(&nobody);
  ic_parker_park(&nobody, ic_now_ns() + time_ns);
}

static void take_a_turn(ic_isolate *isolate, void (*function)(int64_t time_ns),
                        int64_t time_ns) {
  ic_meter *meter = ic_watchdog_enter(&cluster->watchdog, isolate);
  function(time_ns);
  ic_watchdog_leave(meter);
}

// Nobody looks: the watchdog has no thread.
static void turns_of_the_pool_are_added_up_each(void) {
  set_up();
  ic_isolate *isolate =
      start_asleep((ic_limits){.cpu_total_ns = 20 * IC_NS_PER_MS});
  for (int i = 0; i < 10000 && !atomic_load(&isolate->killed); i++) {
    take_a_turn(isolate, spin_for, IC_NS_PER_MS / 100);
  }
  ic_watchdog_thread_ends(&cluster->watchdog);
  CHECK(atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

static void a_turn_that_sleeps_does_not_count_its_sleep(void) {
  set_up();
  ic_isolate *isolate =
      start_asleep((ic_limits){.cpu_total_ns = 100 * IC_NS_PER_MS});
  for (int i = 0; i < 3; i++)
    take_a_turn(isolate, sleep_for, 50 * IC_NS_PER_MS);
  ic_watchdog_thread_ends(&cluster->watchdog);
  CHECK(!atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

static void take_turns(ic_isolate *isolate, int count, bool is_long) {
  int64_t time_ns = is_long ? IC_NS_PER_MS : IC_NS_PER_MS / 1000;
  for (int i = 0; i < count; i++)
    take_a_turn(isolate, spin_for, time_ns);
}

// What is not timed is added up all the same.
static void short_turns_stand_for_others(void) {
  set_up();
  ic_isolate *isolate =
      start_asleep((ic_limits){.cpu_total_ns = 100000 * IC_NS_PER_MS});
  bool skipped = false;
  for (int i = 0; i < 4000; i++) {
    take_turns(isolate, 1, false);
    skipped |= isolate->untimed_turns > 0;
  }
  CHECK(skipped);
  // Less than 100 are not added yet.
  CHECK(atomic_load(&isolate->cpu_used_ns) >= 3900 * IC_NS_PER_MS / 1000);
  ic_watchdog_thread_ends(&cluster->watchdog);
  ic_isolate_release(isolate);
  tear_down();
}

static void behind_a_long_turn_each_is_timed(void) {
  set_up();
  ic_isolate *isolate =
      start_asleep((ic_limits){.cpu_total_ns = 100000 * IC_NS_PER_MS});
  take_turns(isolate, 4000, false);
  do {
    take_turns(isolate, 1, true);
  } while (isolate->untimed_turns > 0);
  for (int i = 0; i < 100; i++) {
    int64_t before_ns = atomic_load(&isolate->cpu_used_ns);
    take_turns(isolate, 1, false);
    CHECK(atomic_load(&isolate->cpu_used_ns) > before_ns);
  }
  ic_watchdog_thread_ends(&cluster->watchdog);
  ic_isolate_release(isolate);
  tear_down();
}

static void use_cpu_for(int64_t time_ns) {
  ic_thread_clock clock;
  int64_t began_ns = 0, now_ns = 0;
  CHECK(ic_thread_get_clock(&clock) && ic_thread_read_clock(clock, &began_ns));
  do {
    CHECK(ic_thread_read_clock(clock, &now_ns));
  } while (now_ns - began_ns < time_ns);
}

// They are so rare that few of them are timed: half a second in all, beside about a
// third as much in the short ones.
static void long_turns_among_short_ones_are_found(void) {
  set_up();
  ic_isolate *isolate =
      start_asleep((ic_limits){.cpu_total_ns = 100000 * IC_NS_PER_MS});
  CHECK(ic_watchdog_start(&cluster->watchdog) == IC_OK);
  for (int i = 0; i < 500; i++) {
    take_turns(isolate, 299, false);
    CALL(take_a_turn(isolate, use_cpu_for, IC_NS_PER_MS));
  }
  int64_t used_ns = atomic_load(&isolate->cpu_used_ns);
  CHECK(used_ns > 550 * IC_NS_PER_MS && used_ns < 1200 * IC_NS_PER_MS);
  ic_watchdog_thread_ends(&cluster->watchdog);
  ic_isolate_release(isolate);
  tear_down();
}

static void what_has_no_limit_is_not_measured(void) {
  set_up();
  ic_isolate *isolate = start("/a", (ic_limits){0}, false);
  CHECK(!ic_watchdog_enter(&cluster->watchdog, isolate));
  ic_isolate_release(isolate);
  tear_down();
}

int main(void) {
  RUN(kills_one_that_sleeps);
  RUN(kills_one_of_the_pool_that_sleeps);
  RUN(kills_one_that_spins);
  RUN(kills_one_of_the_pool_that_spins);
  RUN(the_first_reason_stays);
  RUN(kills_many_at_once);
  RUN(a_port_is_not_killed);
  RUN(a_call_has_its_time);
  RUN(many_calls_may_take_longer_than_one);
  RUN(many_messages_of_a_turn_may_take_longer_than_one);
  RUN(a_life_has_its_time);
  RUN(turns_of_the_pool_are_added_up_each);
  RUN(a_turn_that_sleeps_does_not_count_its_sleep);
  RUN(short_turns_stand_for_others);
  RUN(behind_a_long_turn_each_is_timed);
  RUN(long_turns_among_short_ones_are_found);
  RUN(what_has_no_limit_is_not_measured);
  return check_report("watchdog");
}
