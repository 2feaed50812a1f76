// simulated_test.c - a simulated cluster shuts down as any other, without threads.

#include "core/simulated.h"

#include <stdlib.h>

#include "check.h"
#include "core/shutdown.h"
#include "test_body.h"

static ic_cluster *cluster;
static test_script play;

static void set_up(void) {
  script_init(&play);
  if (ic_cluster_new(NULL, &cluster) != IC_OK) abort();
  if (ic_simulated_start(cluster, 1, true) != IC_OK) abort();
}

static void tear_down(void) {
  ic_cluster_free(cluster);
  script_fini(&play);
}

static ic_isolate *start(bool load_later, ic_isolate *spawner) {
  ic_isolate *isolate = NULL;
  ic_start start = {.body = test_body_new(&play),
                    .load_later = load_later,
                    .spawner = spawner,
                    .shared = true};
  ic_status status = ic_cluster_start(cluster, &start, &isolate, NULL);
  return status == IC_OK ? isolate : NULL;
}

static bool run_all(void) {
  return ic_simulator_run(cluster->scheduler.simulator, NULL, false, IC_NEVER);
}

static void isolates_run_while_somebody_waits(void) {
  set_up();
  ic_isolate *isolate = start(false, NULL);
  CHECK(isolate && tally_count(&play.starts) == 0);
  CHECK(!ic_scheduler_is_settled(&cluster->scheduler));
  CHECK(!run_all());
  CHECK(tally_count(&play.starts) == 1);
  CHECK(ic_scheduler_is_settled(&cluster->scheduler));
  ic_isolate_release(isolate);
  tear_down();
}

static void one_that_loads_later_does_it_in_a_turn(void) {
  set_up();
  ic_isolate *spawner = NULL;
  CHECK(ic_isolate_new("(outsider)", &spawner) == IC_OK);
  ic_isolate *isolate = start(true, spawner);
  CHECK(isolate && tally_count(&play.loads) == 0);
  run_all();
  CHECK(tally_count(&play.loads) == 1 && tally_count(&play.starts) == 1);
  ic_message *told = ic_mailbox_take(&spawner->mailbox);
  CHECK(told && told->kind == IC_MESSAGE_SPAWNED && told->status == IC_OK);
  ic_message_free(told);
  ic_isolate_release(isolate);
  ic_isolate_release(spawner);
  tear_down();
}

static void a_shutdown_asks_and_waits(void) {
  set_up();
  ic_isolate *isolate = start(false, NULL);
  ic_isolate_release(start(false, NULL));
  CHECK(ic_cluster_shutdown(cluster, 1000) == IC_OK);
  CHECK(!ic_cluster_is_up(cluster) && tally_count(&play.frees) == 2);
  CHECK(!ic_ref_is_alive(isolate));
  ic_isolate_release(isolate);
  tear_down();
}

static bool stay(test_script *script, const ic_message *message) {
  (void)script;
  (void)message;
  return true;
}

static void one_that_ignores_it_is_killed_when_the_time_is_up(void) {
  set_up();
  play.on_message = stay;
  int64_t begin_ns = ic_simulator_now_ns(cluster->scheduler.simulator);
  ic_isolate *isolate = start(false, NULL);
  CHECK(ic_cluster_shutdown(cluster, 3600 * 1000) == IC_TIMEOUT);
  CHECK(strcmp(isolate->reason, "killed") == 0);
  int64_t hour_ns = INT64_C(3600) * 1000 * IC_NS_PER_MS;
  CHECK(ic_simulator_now_ns(cluster->scheduler.simulator) ==
        begin_ns + hour_ns);
  ic_isolate_release(isolate);
  tear_down();
}

static void a_shutdown_that_has_begun_goes_on_while_somebody_waits(void) {
  set_up();
  ic_isolate_release(start(false, NULL));
  CHECK(ic_cluster_begin_shutdown(cluster, 1000) == IC_OK);
  CHECK(ic_cluster_is_up(cluster));
  run_all();
  CHECK(!ic_cluster_is_up(cluster) && ic_cluster_end_shutdown(cluster));
  tear_down();
}

static void freeing_shuts_down(void) {
  set_up();
  ic_isolate_release(start(false, NULL));
  ic_cluster_free(cluster);
  CHECK(tally_count(&play.frees) == 1);
  script_fini(&play);
}

static void *shut_all_down(void *argument) {
  (void)argument;
  ic_cluster_shutdown_all(1000);
  return NULL;
}

// As a signal does, on a thread that must not wait for the driver.
static void another_thread_only_asks_for_the_shutdown(void) {
  set_up();
  ic_isolate_release(start(false, NULL));
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, shut_all_down, NULL) ==
        IC_OK);
  ic_thread_join(thread);
  CHECK(ic_cluster_is_up(cluster));
  run_all();
  CHECK(!ic_cluster_is_up(cluster));
  tear_down();
}

int main(void) {
  RUN(isolates_run_while_somebody_waits);
  RUN(one_that_loads_later_does_it_in_a_turn);
  RUN(a_shutdown_asks_and_waits);
  RUN(one_that_ignores_it_is_killed_when_the_time_is_up);
  RUN(a_shutdown_that_has_begun_goes_on_while_somebody_waits);
  RUN(freeing_shuts_down);
  RUN(another_thread_only_asks_for_the_shutdown);
  return check_report("simulated");
}
