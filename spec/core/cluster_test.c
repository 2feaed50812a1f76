// cluster_test.c - spawning, looking up, counting.

#include "core/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "failing.h"
#include "test_cluster.h"

static ic_status start_later(const char *path, ic_isolate *spawner,
                             ic_isolate **out) {
  ic_start start = {.path = path,
                    .body = test_body_new(&play),
                    .load_later = true,
                    .spawner = spawner,
                    .request = 12};
  return ic_cluster_start(cluster, &start, out, NULL);
}

// The next messages to [isolate]; NULL only if none comes in all patience.
static ic_message *wait_for_message(ic_isolate *isolate) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  ic_message *chain = NULL;
  while (!chain && ic_now_ns() < deadline_ns) {
    chain = ic_isolate_take(isolate, deadline_ns);
  }
  return chain;
}

// --- Spawning ---------------------------------------------------------------

static void starts_an_isolate_that_can_be_found(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  CHECK(isolate && tally_count(&play.loads) == 1);
  ic_ref *found = NULL;
  CHECK(ic_cluster_lookup(cluster, "/a", &found) == IC_OK && found == isolate);
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(send_integer(found, NULL, 0) == IC_OK);
  CHECK(tally_reaches(&play.values, 1));
  ic_ref_release(found);
  ic_isolate_release(isolate);
  tear_down();
}

static void a_full_cluster_says_so_to_who_wants_to_know(void) {
  script_init(&play);
  ic_cluster_options options = {.isolates = 1};
  CHECK(ic_cluster_new(&options, &cluster) == IC_OK);
  ic_isolate_release(start("/a"));
  ic_isolate *isolate = NULL;
  char *text = NULL;
  CHECK(try_start("/b", &isolate, NULL) == IC_FULL);
  CHECK(try_start("/b", &isolate, &text) == IC_FULL && !isolate);
  CHECK(text && strstr(text, "the cluster may have"));
  free(text);
  tear_down();
}

static void lists_isolates_for_c_programs(void) {
  set_up();
  ic_isolate_release(start("/w/b"));
  ic_isolate_release(start("/w/a"));
  ic_ref **refs = NULL;
  size_t count = 0;
  CHECK(ic_cluster_lookup_all(cluster, "/w/", &refs, &count) == IC_OK);
  CHECK(count == 2 && strcmp(ic_ref_path(refs[0]), "/w/a") == 0);
  for (size_t i = 0; i < count; i++)
    ic_ref_release(refs[i]);
  free(refs);
  CHECK(ic_cluster_lookup_all(cluster, "/w", &refs, &count) == IC_INVALID);
  tear_down();
}

static void a_path_in_use_takes_the_body_all_the_same(void) {
  set_up();
  ic_isolate_release(start("/a"));
  ic_isolate *other = NULL;
  CHECK(try_start("/a", &other, NULL) == IC_IN_USE);
  CHECK(try_start("a", &other, NULL) == IC_INVALID);
  CHECK(other == NULL && tally_count(&play.frees) == 2);
  tear_down();
}

static void what_does_not_load_leaves_nothing(void) {
  set_up();
  play.load_status = IC_LOAD;
  ic_isolate *isolate = NULL;
  char *text = NULL;
  CHECK(try_start("/a", &isolate, &text) == IC_LOAD);
  CHECK(isolate == NULL && text && strcmp(text, "no") == 0);
  free(text);
  CHECK(tally_count(&play.frees) == 1);
  play.load_status = IC_OK;
  ic_isolate_release(start("/a"));
  CHECK(totals().spawned == 1);
  tear_down();
}

static void a_later_load_tells_the_spawner(void) {
  set_up();
  ic_isolate *spawner = new_outsider();
  ic_isolate *isolate = NULL;
  CHECK(start_later("/a", spawner, &isolate) == IC_OK);
  ic_message *told = wait_for_message(spawner);
  CHECK(told && told->kind == IC_MESSAGE_SPAWNED && told->request == 12);
  CHECK(told->status == IC_OK && told->sender == isolate);
  CHECK(find_status("/a") == IC_OK);
  CHECK(tally_reaches(&play.starts, 1));
  ic_message_free_chain(told);
  ic_isolate_release(isolate);
  ic_isolate_release(spawner);
  tear_down();
}

static void a_later_load_that_fails_tells_why_and_frees_the_path(void) {
  set_up();
  ic_isolate *spawner = new_outsider();
  play.load_status = IC_LOAD;
  ic_isolate *isolate = NULL;
  CHECK(start_later("/a", spawner, &isolate) == IC_OK);
  ic_message *told = wait_for_message(spawner);
  CHECK(told && told->kind == IC_MESSAGE_SPAWNED && told->request == 12);
  CHECK(told->status == IC_LOAD && strcmp(told->text, "no") == 0);
  CHECK(!told->sender);
  CHECK(tally_reaches(&play.frees, 1));
  play.load_status = IC_OK;
  ic_isolate *next = start("/a");
  CHECK(next);
  ic_message_free_chain(told);
  ic_isolate_release(isolate);
  ic_isolate_release(next);
  ic_isolate_release(spawner);
  tear_down();
}

static void a_spawner_that_is_gone_needs_not_be_told(void) {
  set_up();
  ic_isolate *spawner = new_outsider();
  ic_mailbox_close(&spawner->mailbox);
  ic_isolate *isolate = NULL;
  CHECK(start_later("/a", spawner, &isolate) == IC_OK);
  CHECK(tally_reaches(&play.starts, 1));
  ic_isolate_release(isolate);
  ic_isolate_release(spawner);
  tear_down();
}

// The nth allocation fails, or the thread does not start, for every n.
static void whatever_fails_leaves_nothing(void) {
  set_up();
  for (int n = 0; failing_at(n); n++) {
    ic_message *properties = ic_message_new_event(IC_MESSAGE_VALUE);
    ic_body *body = test_body_new(&play);
    if (!properties || !body) {
      ic_message_free(properties);
      free(body);
      failing_stop();
      continue;
    }
    int frees = tally_count(&play.frees);
    ic_start start = {.path = "/a", .properties = properties, .body = body};
    ic_isolate *isolate = NULL;
    ic_status status = ic_cluster_start(cluster, &start, &isolate, NULL);
    bool failed = failing_stop();
    // Whom to wake later need not be remembered: then it is woken at once.
    CHECK(status == IC_OK || (failed && status == IC_MEMORY));
    bool started = isolate != NULL;
    CHECK(started == (status == IC_OK));
    CHECK(find_status("/a") == (started ? IC_OK : IC_NOT_FOUND));
    if (started) ic_scheduler_kill_all(&cluster->scheduler);
    ic_isolate_release(isolate);
    CHECK(tally_reaches(&play.frees, frees + 1));
    CHECK(!started || ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  }
  tear_down();
}

static void many_come_and_go(void) {
  enum { COUNT = 1000 };
  set_up();
  for (int i = 0; i < COUNT; i++) {
    ic_isolate *isolate = start("/a/");
    ic_message *event = ic_message_new_event(IC_MESSAGE_SHUTDOWN);
    CHECK(isolate && ic_isolate_push(isolate, event) == IC_OK);
    ic_isolate_release(isolate);
  }
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  CHECK(tally_count(&play.frees) == COUNT);
  CHECK(totals().spawned == COUNT && totals().ended == COUNT);
  tear_down();
}

// --- Waiting and shutting down ----------------------------------------------

static void waits_until_no_isolate_is_left(void) {
  set_up();
  CHECK(ic_cluster_wait(cluster, 0) == IC_OK);
  ic_isolate *isolate = start("/a");
  CHECK(ic_cluster_wait(cluster, 1) == IC_TIMEOUT);
  ic_isolate_push(isolate, ic_message_new_event(IC_MESSAGE_SHUTDOWN));
  CHECK(ic_cluster_wait(cluster, -1) == IC_OK);
  ic_isolate_release(isolate);
  tear_down();
}

// --- Dead letters -----------------------------------------------------------

static bool end_behind_first_value(test_script *script,
                                   const ic_message *message) {
  if (message->kind == IC_MESSAGE_START) wait_at_gate(script);
  return message->kind != IC_MESSAGE_VALUE;
}

// All three are in its mailbox when it reads the first, which ends it.
static void requests_left_behind_are_refused(void) {
  set_up();
  play.on_message = end_behind_first_value;
  ic_isolate *asker = new_outsider();
  ic_isolate *isolate = start("/a");
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(send_integer(isolate, asker, 0) == IC_OK);
  CHECK(send_integer(isolate, asker, 41) == IC_OK);
  CHECK(send_integer(isolate, asker, 0) == IC_OK);
  tally_add(&play.gate);
  ic_message *refusal = wait_for_message(asker);
  CHECK(refusal && refusal->kind == IC_MESSAGE_REPLY && !refusal->next);
  CHECK(refusal->request == 41 && refusal->status == IC_GONE);
  ic_message_free_chain(refusal);
  ic_isolate_release(isolate);
  ic_isolate_release(asker);
  tear_down();
}

// --- Several ----------------------------------------------------------------

static void two_clusters_know_nothing_of_each_other(void) {
  set_up();
  ic_cluster *first = cluster;
  ic_isolate *watcher = new_outsider();
  ic_registry_watch(&first->registry, watcher, IC_WATCH_UP | IC_WATCH_NODE,
                    NULL);
  CHECK(ic_cluster_new(NULL, &cluster) == IC_OK);
  CHECK(first->key != cluster->key);
  ic_isolate_release(start("/a"));
  CHECK(ic_cluster_shutdown(cluster, PATIENCE_MS) == IC_OK);
  CHECK(ic_isolate_take(watcher, 0) == NULL);
  CHECK(ic_cluster_is_up(first));
  ic_cluster_free(cluster);
  cluster = first;
  ic_isolate_release(start("/a"));
  ic_message *up = ic_isolate_take(watcher, 0);
  CHECK(up && up->kind == IC_MESSAGE_UP && up->cluster_key == first->key);
  ic_message_free_chain(up);
  ic_registry_watch(&first->registry, watcher, 0, NULL);
  ic_isolate_release(watcher);
  tear_down();
}

static void is_found_by_its_key_while_somebody_uses_it(void) {
  set_up();
  uint64_t key = cluster->key;
  ic_cluster *found = ic_cluster_find(key);
  CHECK(found == cluster);
  ic_cluster_release(found);
  CHECK(ic_cluster_find(key + 1) == NULL);
  tear_down();
  CHECK(ic_cluster_find(key) == NULL);
}

static void no_memory_for_a_cluster_is_told(void) {
  for (int n = 0; failing_at(n); n++) {
    ic_cluster *made = NULL;
    ic_status status = ic_cluster_new(NULL, &made);
    bool failed = failing_stop();
    CHECK(status == (failed ? IC_MEMORY : IC_OK) && failed == (made == NULL));
    ic_cluster_free(made);
  }
}

// --- For the binding --------------------------------------------------------

static void note_report(void *context, const char *path, const char *text) {
  if (strcmp(path, "/a") == 0 && strcmp(text, "why") == 0) {
    *(bool *)context = true;
  }
}

static void reports_to_whom_the_options_name(void) {
  bool reported = false;
  ic_cluster_options options = {.report = note_report,
                                .report_context = &reported};
  ic_cluster *made = NULL;
  CHECK(ic_cluster_new(&options, &made) == IC_OK);
  CHECK(ic_cluster_report(made, "/a", "why") && reported);
  ic_cluster_free(made);
  CHECK(ic_cluster_new(NULL, &made) == IC_OK);
  CHECK(!ic_cluster_report(made, "/a", "why"));
  ic_cluster_free(made);
}

static void note_text(void *context, const char *path, const char *text) {
  (void)path;
  snprintf(context, 64, "%s", text);
}

// What is said of an isolate that spins, and is ended for [reason].
static void end_one_for(const char *reason, char text[64]) {
  script_init(&play);
  play.on_message = body_spins;
  text[0] = '\0';
  ic_cluster_options options = {.report = note_text, .report_context = text};
  CHECK(ic_cluster_new(&options, &cluster) == IC_OK);
  ic_isolate *isolate = start("/a");
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(ic_cluster_kill(cluster, isolate, reason) == IC_OK);
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  ic_isolate_release(isolate);
  tear_down();
}

static void reports_an_end_by_a_limit_and_none_by_a_kill(void) {
  char text[64];
  end_one_for(IC_REASON_CPU, text);
  CHECK(strcmp(text, "/a ended (cpu)") == 0);
  end_one_for(IC_REASON_KILLED, text);
  CHECK(strcmp(text, "") == 0);
}

static void counts_what_the_living_and_the_ended_did(void) {
  set_up();
  ic_isolate *living = start("/living");
  ic_isolate *ended = start("/ended");
  CHECK(tally_reaches(&play.starts, 2));
  ic_count(&living->sent);
  ic_count(&living->received);
  CHECK(ic_cluster_kill(cluster, ended, IC_REASON_KILLED) == IC_OK);
  CHECK(tally_reaches(&play.frees, 1));
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  ic_port *port;
  CHECK(ic_port_open(cluster, NULL, &port) == IC_OK);
  ic_stats stats;
  ic_cluster_stats(cluster, &stats);
  CHECK(stats.live == 1 && stats.spawned == 2 && stats.ended == 1);
  CHECK(stats.sent == 1 && stats.received == 1);
  CHECK(send_integer(ended, NULL, 0) == IC_GONE);
  ic_cluster_stats(cluster, &stats);
  CHECK(stats.dead_letters == 1);
  ic_port_close(port);
  ic_isolate_release(living);
  ic_isolate_release(ended);
  tear_down();
}

static int open_nothing(struct lua_State *L) {
  (void)L;
  return 0;
}

static void keeps_the_modules_that_are_registered(void) {
  set_up();
  char name[] = "clock";
  CHECK(ic_cluster_register_module(cluster, name, open_nothing) == IC_OK);
  name[0] = 'b';
  CHECK(ic_cluster_register_module(cluster, name, open_nothing) == IC_OK);
  const ic_module *newest = cluster->modules;
  CHECK(strcmp(newest->name, "block") == 0);
  CHECK(strcmp(newest->next->name, "clock") == 0);
  CHECK(newest->next->open == open_nothing && !newest->next->next);
  tear_down();
}

int main(void) {
  RUN(starts_an_isolate_that_can_be_found);
  RUN(a_full_cluster_says_so_to_who_wants_to_know);
  RUN(lists_isolates_for_c_programs);
  RUN(a_path_in_use_takes_the_body_all_the_same);
  RUN(what_does_not_load_leaves_nothing);
  RUN(a_later_load_tells_the_spawner);
  RUN(a_later_load_that_fails_tells_why_and_frees_the_path);
  RUN(a_spawner_that_is_gone_needs_not_be_told);
  RUN(whatever_fails_leaves_nothing);
  RUN(many_come_and_go);
  RUN(waits_until_no_isolate_is_left);
  RUN(requests_left_behind_are_refused);
  RUN(two_clusters_know_nothing_of_each_other);
  RUN(is_found_by_its_key_while_somebody_uses_it);
  RUN(no_memory_for_a_cluster_is_told);
  RUN(reports_to_whom_the_options_name);
  RUN(reports_an_end_by_a_limit_and_none_by_a_kill);
  RUN(counts_what_the_living_and_the_ended_did);
  RUN(keeps_the_modules_that_are_registered);
  return check_report("cluster");
}
