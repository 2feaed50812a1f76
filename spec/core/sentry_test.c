// sentry_test.c - isolates that are stuck are told of, and no others.

#include "core/sentry.h"

#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "test_body.h"

static ic_cluster *cluster;
static test_script play;
static test_tally reports;
static char last_text[256];  // guard: the tally's mutex, by its counting up

static void note(void *context, const char *path, const char *text) {
  (void)context;
  (void)path;
  ic_mutex_lock(&reports.mutex);
  strncpy(last_text, text, sizeof last_text - 1);
  ic_mutex_unlock(&reports.mutex);
  tally_add(&reports);
}

static void set_up(int64_t after_ms) {
  script_init(&play);
  tally_init(&reports);
  ic_cluster_options options = {.report = note, .stuck_after_ms = after_ms};
  ic_cluster_new(&options, &cluster);
}

static void tear_down(void) {
  ic_cluster_free(cluster);
  tally_fini(&reports);
  script_fini(&play);
}

static ic_isolate *start(const char *path, bool shared) {
  ic_isolate *isolate = NULL;
  ic_start start = {
      .path = path, .shared = shared, .body = test_body_new(&play)};
  ic_cluster_start(cluster, &start, &isolate, NULL);
  return isolate;
}

static bool says(const char *beginning, const char *part) {
  ic_mutex_lock(&reports.mutex);
  bool does = strncmp(last_text, beginning, strlen(beginning)) == 0 &&
              strstr(last_text, part) != NULL;
  ic_mutex_unlock(&reports.mutex);
  return does;
}

// Likewise, sooner or later: on a busy machine others may be told before.
static bool comes_to_say(const char *beginning, const char *part) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (!says(beginning, part) && ic_now_ns() < deadline_ns)
    ic_thread_relax();
  return says(beginning, part);
}

static bool falls_asleep(ic_sentry *sentry) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (!atomic_load(&sentry->sleeps) && ic_now_ns() < deadline_ns)
    ic_thread_relax();
  return atomic_load(&sentry->sleeps);
}

static bool spin_at_value(test_script *script, const ic_message *message) {
  if (message->kind == IC_MESSAGE_VALUE) spin_until_interrupted(script);
  return message->kind != IC_MESSAGE_SHUTDOWN;
}

static bool block_at_value(test_script *script, const ic_message *message) {
  if (message->kind == IC_MESSAGE_VALUE) wait_at_gate(script);
  return message->kind != IC_MESSAGE_SHUTDOWN;
}

static void send_value(ic_isolate *to) {
  ic_message *message = NULL;
  ic_message_new(&message);
  ic_message_add_integer(message, 7);
  if (ic_ref_send(to, message, NULL) != IC_OK) ic_message_free(message);
}

static void one_that_computes_is_busy_again_and_again(void) {
  for (int shared = 0; shared < 2; shared++) {
    set_up(20);
    play.on_message = spin_at_value;
    ic_isolate *isolate = start("/a", shared);
    send_value(isolate);
    CHECK(tally_reaches(&reports, 3));
    CHECK(comes_to_say("/a busy for ", " s in a C function that computes"));
    atomic_store(&play.interrupted, true);
    ic_isolate_release(isolate);
    tear_down();
  }
}

static void one_that_waits_in_c_is_blocked(void) {
  for (int shared = 0; shared < 2; shared++) {
    set_up(20);
    play.on_message = block_at_value;
    ic_isolate *isolate = start("/a", shared);
    send_value(isolate);
    CHECK(comes_to_say("/a blocked for ", " s in a C function"));
    tally_add(&play.gate);
    ic_isolate_release(isolate);
    tear_down();
  }
}

static void one_that_is_idle_is_not_told(void) {
  set_up(10);
  ic_isolate *isolate = start("/a", false);
  for (int i = 0; i < 5; i++) {
    send_value(isolate);
    CHECK(tally_reaches(&play.values, i + 1));
  }
  CHECK(falls_asleep(&cluster->sentry));
  int count = tally_count(&reports);
  // Longer than it takes to tell, were there anything.
  ic_parker parker;
  ic_parker_init(&parker);
  ic_parker_park(&parker, ic_deadline_ns(100));
  CHECK(tally_count(&reports) == count);
  CHECK(atomic_load(&cluster->sentry.sleeps));
  ic_isolate_release(isolate);
  tear_down();
}

static void one_that_is_idle_is_forgotten_until_its_next_turn(void) {
  for (int shared = 0; shared < 2; shared++) {
    set_up(20);
    play.on_message = block_at_value;
    ic_isolate *idle = start("/idle", shared);
    ic_isolate *over = start("/over", shared);
    CHECK(tally_reaches(&play.turns, 2));
    CHECK(ic_cluster_kill(cluster, over, IC_REASON_KILLED) == IC_OK);
    CHECK(falls_asleep(&cluster->sentry));
    send_value(idle);
    CHECK(comes_to_say("/idle blocked for ", " s in a C function"));
    tally_add(&play.gate);
    ic_isolate_release(idle);
    ic_isolate_release(over);
    tear_down();
  }
}

// A look takes back that it is known, while the sentry has not taken it over yet.
static void one_that_tells_again_is_taken_over_once(void) {
  ic_scheduler scheduler = {0};
  ic_sentry sentry;
  ic_sentry_init(&sentry, &scheduler, IC_NS_PER_MS, NULL, NULL);
  atomic_store(&sentry.sleeps, false);  // so that no thread is started
  ic_isolate *isolates[2];
  for (int i = 0; i < 2; i++)
    CHECK(ic_isolate_new("/a", &isolates[i]) == IC_OK);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 2; i++) {
      ic_sentry_tell_turn(&sentry, isolates[i]);
      CHECK(atomic_load(&isolates[i]->post.is_known));
      atomic_store(&isolates[i]->post.is_known, false);
    }
  }
  ic_sentry_stop(&sentry);
  for (int i = 0; i < 2; i++) {
    CHECK(atomic_load(&isolates[i]->mailbox.users) == 1);
    ic_isolate_release(isolates[i]);
  }
  ic_sentry_fini(&sentry);
}

static void nothing_is_told_where_nobody_wants_it(void) {
  set_up(-1);
  play.on_message = block_at_value;
  ic_isolate *isolate = start("/a", false);
  send_value(isolate);
  CHECK(tally_reaches(&play.turns, 1));
  CHECK(!cluster->sentry.has_thread);
  tally_add(&play.gate);
  ic_isolate_release(isolate);
  tear_down();
}

int main(void) {
  RUN(one_that_computes_is_busy_again_and_again);
  RUN(one_that_waits_in_c_is_blocked);
  RUN(one_that_is_idle_is_not_told);
  RUN(one_that_is_idle_is_forgotten_until_its_next_turn);
  RUN(one_that_tells_again_is_taken_over_once);
  RUN(nothing_is_told_where_nobody_wants_it);
  return check_report("sentry");
}
