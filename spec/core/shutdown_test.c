// shutdown_test.c - shutting down, and spawning at the same time.

#include "core/shutdown.h"

#include <string.h>
#include <unistd.h>

#include "check.h"
#include "failing.h"
#include "test_cluster.h"

static void a_shutdown_asks_and_waits(void) {
  set_up();
  for (int i = 0; i < 5; i++)
    ic_isolate_release(start("/a/"));
  CHECK(ic_cluster_is_up(cluster));
  CHECK(ic_cluster_shutdown(cluster, PATIENCE_MS) == IC_OK);
  CHECK(!ic_cluster_is_up(cluster));
  CHECK(tally_count(&play.frees) == 5);
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_OK);
  ic_isolate *isolate = NULL;
  CHECK(try_start("/a", &isolate, NULL) == IC_DOWN);
  CHECK(find_status("/a") == IC_DOWN);
  tear_down();
}

static void one_that_ignores_it_is_killed(void) {
  set_up();
  play.on_message = body_ignores;
  ic_isolate *watcher = new_outsider();
  ic_registry_watch(&cluster->registry, watcher, IC_WATCH_DOWN, NULL);
  ic_isolate_release(start("/a"));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  ic_message *down = ic_isolate_take(watcher, 0);
  CHECK(down && strcmp(down->reason, "killed") == 0);
  CHECK(tally_count(&play.frees) == 1);
  ic_message_free_chain(down);
  ic_registry_watch(&cluster->registry, watcher, 0, NULL);
  ic_isolate_release(watcher);
  tear_down();
}

static void one_that_spins_is_interrupted(void) {
  set_up();
  play.on_message = body_spins;
  ic_isolate_release(start("/a"));
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(ic_cluster_shutdown(cluster, 1) == IC_TIMEOUT);
  CHECK(tally_count(&play.frees) == 1);
  tear_down();
}

// Each ends a while behind the one before; all of it takes longer than a shutdown
// waits where none ends.
enum { IN_TURN = 8, TURN_MS = 100 };
static _Atomic int turns_given;

static bool body_ends_in_turn(test_script *script, const ic_message *message) {
  (void)message;
  int turn = atomic_fetch_add(&turns_given, 1);
  while (!atomic_load(&script->interrupted))
    usleep(1000);
  tally_reaches(&script->frees, turn);
  int64_t until_ns = ic_deadline_ns(TURN_MS);
  while (ic_now_ns() < until_ns)
    usleep(1000);  // interrupts end it
  return true;
}

static void the_kill_goes_on_while_isolates_end(void) {
  set_up();
  play.on_message = body_ends_in_turn;
  for (int i = 0; i < IN_TURN; i++)
    ic_isolate_release(start("/a/"));
  CHECK(tally_reaches(&play.starts, IN_TURN));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  CHECK(tally_count(&play.frees) == IN_TURN);
  tear_down();
}

// Its thread ends when the C function returns, and may free the cluster then.
static void one_that_sits_in_c_is_left_behind(void) {
  set_up();
  play.on_message = body_waits_at_gate;
  ic_isolate *isolate = start("/a");
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  CHECK(!ic_ref_is_alive(isolate));
  CHECK(send_integer(isolate, NULL, 0) == IC_GONE);
  CHECK(tally_count(&play.frees) == 0);
  uint64_t key = cluster->key;
  ic_cluster_free(cluster);
  tally_add(&play.gate);
  CHECK(tally_reaches(&play.frees, 1));
  ic_isolate_release(isolate);
  ic_cluster *found;
  while ((found = ic_cluster_find(key)) != NULL)
    ic_cluster_release(found);
  script_fini(&play);
}

static ic_status late_status;

static void *start_on_thread(void *context) {
  ic_isolate *isolate = NULL;
  late_status = try_start("/late", &isolate, NULL);
  ic_isolate_release(isolate);
  return context;
}

static void a_load_that_outlasts_the_shutdown_is_refused(void) {
  set_up();
  play.on_load = wait_at_gate;
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, start_on_thread, NULL) ==
        IC_OK);
  CHECK(tally_reaches(&play.loads, 1));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  tally_add(&play.gate);
  ic_thread_join(thread);
  CHECK(late_status == IC_DOWN);
  CHECK(tally_reaches(&play.frees, 1) && tally_count(&play.turns) == 0);
  tear_down();
}

typedef struct {
  int64_t timeout_ms;
  ic_status status;
} shutdown_call;

static void *shut_down(void *argument) {
  shutdown_call *call = argument;
  call->status = ic_cluster_shutdown(cluster, call->timeout_ms);
  return NULL;
}

static void several_shutdowns_are_one(void) {
  enum { CALLS = 4 };
  for (int round = 0; round < 50; round++) {
    set_up();
    ic_isolate_release(start("/a"));
    shutdown_call calls[CALLS];
    ic_thread threads[CALLS];
    for (int i = 0; i < CALLS; i++) {
      calls[i] = (shutdown_call){PATIENCE_MS + i, IC_ERROR};
      CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, shut_down,
                            &calls[i]) == IC_OK);
    }
    for (int i = 0; i < CALLS; i++) {
      ic_thread_join(threads[i]);
      CHECK(calls[i].status == IC_OK);
    }
    tear_down();
  }
}

static void a_shorter_timeout_makes_it_end_earlier(void) {
  set_up();
  play.on_message = body_ignores;
  ic_isolate_release(start("/a"));
  CHECK(ic_cluster_begin_shutdown(cluster, -1) == IC_OK);
  CHECK(ic_cluster_is_up(cluster));
  CHECK(ic_cluster_begin_shutdown(cluster, 0) == IC_OK);
  CHECK(!ic_cluster_end_shutdown(cluster));
  CHECK(!ic_cluster_end_shutdown(cluster));
  tear_down();
}

static void *spawn_until_down(void *argument) {
  ic_status *status = argument;
  do {
    ic_isolate *isolate = NULL;
    *status = try_start("/a/", &isolate, NULL);
    ic_isolate_release(isolate);
  } while (*status == IC_OK);
  return NULL;
}

static void a_shutdown_amid_spawns_leaves_nobody(void) {
  enum { SPAWNERS = 3 };
  for (int round = 1; round <= 40; round++) {
    set_up();
    ic_status statuses[SPAWNERS];
    ic_thread threads[SPAWNERS];
    for (int i = 0; i < SPAWNERS; i++) {
      CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, spawn_until_down,
                            &statuses[i]) == IC_OK);
    }
    CHECK(tally_reaches(&play.loads, round % 8));
    CHECK(ic_cluster_shutdown(cluster, PATIENCE_MS) == IC_OK);
    for (int i = 0; i < SPAWNERS; i++) {
      ic_thread_join(threads[i]);
      CHECK(statuses[i] == IC_DOWN);
    }
    ic_cluster_free(cluster);
    script_fini(&play);
  }
}

static void where_no_thread_starts_the_caller_shuts_down(void) {
  set_up();
  ic_isolate_release(start("/a"));
  failing_at(0);
  ic_status begun = ic_cluster_begin_shutdown(cluster, PATIENCE_MS);
  CHECK(failing_stop() && begun == IC_MEMORY);
  ic_isolate_release(start("/b"));
  CHECK(find_status("/b") == IC_OK);
  failing_at(0);
  ic_status status = ic_cluster_shutdown(cluster, PATIENCE_MS);
  CHECK(failing_stop() && status == IC_OK);
  CHECK(!ic_cluster_is_up(cluster) && tally_count(&play.frees) == 2);
  tear_down();
}

static void freeing_shuts_down(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  ic_cluster_free(cluster);
  ic_cluster_free(NULL);
  CHECK(tally_count(&play.frees) == 1);
  script_fini(&play);
  // Refs outlive it.
  CHECK(strcmp(ic_ref_path(isolate), "/a") == 0 && !ic_ref_is_alive(isolate));
  CHECK(send_integer(isolate, NULL, 0) == IC_GONE);
  ic_isolate_release(isolate);
}

static void requests_to_one_left_behind_are_refused(void) {
  set_up();
  play.on_message = body_waits_at_gate;
  ic_isolate *asker = new_outsider();
  ic_isolate *isolate = start("/a");
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(send_integer(isolate, asker, 41) == IC_OK);
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  ic_message *refusal = ic_isolate_take(asker, 0);
  CHECK(refusal && refusal->request == 41 && refusal->status == IC_GONE);
  CHECK(totals().dead_letters == 1);
  ic_message_free_chain(refusal);
  tally_add(&play.gate);
  CHECK(tally_reaches(&play.frees, 1));
  ic_isolate_release(isolate);
  ic_isolate_release(asker);
  tear_down();
}

static void all_clusters_are_shut_down_at_once(void) {
  set_up();
  ic_isolate_release(start("/a"));
  ic_cluster *other = NULL;
  CHECK(ic_cluster_new(NULL, &other) == IC_OK);
  CHECK(ic_cluster_shutdown_all(PATIENCE_MS) == 2);
  CHECK(!ic_cluster_is_up(cluster) && !ic_cluster_is_up(other));
  CHECK(ic_cluster_shutdown_all(0) == 0);
  ic_cluster_free(other);
  tear_down();
}

int main(void) {
  RUN(a_shutdown_asks_and_waits);
  RUN(one_that_ignores_it_is_killed);
  RUN(one_that_spins_is_interrupted);
  RUN(the_kill_goes_on_while_isolates_end);
  RUN(one_that_sits_in_c_is_left_behind);
  RUN(a_load_that_outlasts_the_shutdown_is_refused);
  RUN(several_shutdowns_are_one);
  RUN(a_shorter_timeout_makes_it_end_earlier);
  RUN(a_shutdown_amid_spawns_leaves_nobody);
  RUN(where_no_thread_starts_the_caller_shuts_down);
  RUN(freeing_shuts_down);
  RUN(requests_to_one_left_behind_are_refused);
  RUN(all_clusters_are_shut_down_at_once);
  return check_report("shutdown");
}
