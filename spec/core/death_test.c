// death_test.c - hearing of one isolate's end, before and after, from anywhere.

#include "core/death.h"

#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "failing.h"
#include "test_body.h"

static ic_cluster *cluster;
static ic_isolate *watcher;
static test_script play;

static void set_up(void) {
  script_init(&play);
  ic_cluster_new(NULL, &cluster);
  ic_isolate_new("(watcher)", &watcher);
}

static void tear_down(void) {
  ic_isolate_release(watcher);
  ic_cluster_free(cluster);
  script_fini(&play);
}

static ic_isolate *start(const char *path) {
  ic_isolate *isolate = NULL;
  ic_start start = {.path = path, .body = test_body_new(&play)};
  return ic_cluster_start(cluster, &start, &isolate, NULL) == IC_OK ? isolate
                                                                    : NULL;
}

static bool end_at_value(test_script *script, const ic_message *message) {
  (void)script;
  return message->kind != IC_MESSAGE_VALUE &&
         message->kind != IC_MESSAGE_SHUTDOWN;
}

static bool stay(test_script *script, const ic_message *message) {
  (void)script;
  (void)message;
  return true;
}

static bool send_value(ic_isolate *to) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return false;
  ic_message_add_integer(message, 7);
  if (ic_ref_send(to, message, NULL) == IC_OK) return true;
  ic_message_free(message);
  return false;
}

static ic_message *next_event(void) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  ic_message *event = NULL;
  while (!event && ic_now_ns() < deadline_ns) {
    event = ic_isolate_take(watcher, deadline_ns);
  }
  return event;
}

// Whether the next event is the only one, tells of [isolate] and has [reason].
static bool hears(ic_isolate *isolate, uint64_t number, const char *reason) {
  ic_message *event = next_event();
  if (!event) return false;
  bool is_it = event->kind == IC_MESSAGE_ENDED && !event->next &&
               event->sender == isolate && event->request == number;
  is_it = is_it && (reason ? event->reason && !strcmp(event->reason, reason)
                           : !event->reason);
  ic_message_free_chain(event);
  return is_it;
}

static void an_end_is_told_once(void) {
  set_up();
  play.on_message = end_at_value;
  ic_isolate *isolate = start("/a");
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 5, &watch) == IC_OK);
  CHECK(!ic_isolate_take(watcher, 0));
  CHECK(send_value(isolate));
  CHECK(hears(isolate, 5, "done"));
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  tear_down();
}

static void an_end_that_is_past_is_told_at_once(void) {
  set_up();
  play.on_message = end_at_value;
  ic_isolate *isolate = start("/a");
  CHECK(send_value(isolate));
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 6, &watch) == IC_OK);
  CHECK(hears(isolate, 6, "done"));
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  tear_down();
}

static void a_watch_that_is_forgotten_tells_nothing(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 7, &watch) == IC_OK);
  ic_death_forget(watch);
  CHECK(ic_cluster_shutdown(cluster, PATIENCE_MS) == IC_OK);
  CHECK(!ic_isolate_take(watcher, 0));
  ic_isolate_release(isolate);
  tear_down();
}

static void a_killing_is_told_too(void) {
  set_up();
  play.on_message = stay;
  ic_isolate *isolate = start("/a");
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 8, &watch) == IC_OK);
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  CHECK(hears(isolate, 8, "killed"));
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  tear_down();
}

static void a_cluster_that_is_gone_is_remembered(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  ic_cluster_free(cluster);
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 9, &watch) == IC_OK);
  CHECK(hears(isolate, 9, "done"));
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  ic_cluster_new(NULL, &cluster);
  tear_down();
}

static void a_watch_may_outlive_the_cluster(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 10, &watch) == IC_OK);
  ic_cluster_free(cluster);
  CHECK(hears(isolate, 10, "done"));
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  ic_cluster_new(NULL, &cluster);
  tear_down();
}

static void of_an_isolate_nobody_knows_there_is_no_reason(void) {
  set_up();
  ic_isolate *unknown;
  CHECK(ic_isolate_new("/unknown", &unknown) == IC_OK);
  unknown->stage = IC_STAGE_ENDED;
  unknown->cluster_key = cluster->key;
  ic_watch *watch;
  CHECK(ic_death_watch(unknown, watcher, 11, &watch) == IC_OK);
  CHECK(hears(unknown, 11, NULL));
  ic_death_forget(watch);
  ic_isolate_release(unknown);
  tear_down();
}

// --- The error --------------------------------------------------------------

static void the_error_comes_with_the_end(void) {
  set_up();
  ic_isolate *isolate;
  ic_registry *registry = &cluster->registry;
  CHECK(ic_registry_reserve(registry, "/a", false, &isolate) == IC_OK);
  ic_isolate_hold(isolate);
  ic_watch *watch;
  CHECK(ic_death_watch(isolate, watcher, 12, &watch) == IC_OK);
  ic_error *error = ic_error_new("a\0b", 3, "where", 5);
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_registry_remove(registry, isolate, "error", error);
  ic_registry_remove(registry, isolate, "done", ic_error_new("", 0, "", 0));
  CHECK(hears(isolate, 12, "error"));
  CHECK(isolate->error == error && error->message_size == 3);
  CHECK(memcmp(error->bytes, "a\0b", 4) == 0);
  CHECK(strcmp(ic_error_traceback(error), "where") == 0);
  ic_death_forget(watch);
  ic_isolate_release(isolate);
  tear_down();
}

// --- At once ----------------------------------------------------------------

enum { ROUNDS = 300, WATCHES = 8 };

static void *end_by_value(void *isolate) {
  send_value(isolate);
  return NULL;
}

// Watching and forgetting beside the end: what is not forgotten is told, once.
static void ends_and_watches_race(void) {
  set_up();
  play.on_message = end_at_value;
  for (int round = 0; round < ROUNDS; round++) {
    ic_isolate *isolate = start("/a");
    ic_thread thread;
    CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, end_by_value,
                          isolate) == IC_OK);
    ic_watch *kept[WATCHES];
    for (uint64_t i = 0; i < WATCHES; i++) {
      ic_watch *passing;
      CHECK(ic_death_watch(isolate, watcher, 100, &passing) == IC_OK);
      CHECK(ic_death_watch(isolate, watcher, i, &kept[i]) == IC_OK);
      ic_death_forget(passing);
    }
    unsigned heard = 0;
    while (heard != (1u << WATCHES) - 1) {
      ic_message *chain = next_event();
      CHECK(chain);
      for (ic_message *at = chain; at; at = at->next) {
        if (at->request == 100) continue;
        CHECK(!(heard & 1u << at->request));
        heard |= 1u << at->request;
      }
      ic_message_free_chain(chain);
    }
    for (int i = 0; i < WATCHES; i++)
      ic_death_forget(kept[i]);
    ic_thread_join(thread);
    ic_isolate_release(isolate);
    CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  }
  tear_down();
}

static void no_memory_leaves_nothing(void) {
  set_up();
  ic_isolate *isolate = start("/a");
  for (int n = 0; failing_at(n); n++) {
    ic_watch *watch = NULL;
    ic_status status = ic_death_watch(isolate, watcher, 1, &watch);
    CHECK(status == (failing_stop() ? IC_MEMORY : IC_OK));
    CHECK(!isolate->watches == !watch);
    ic_death_forget(watch);
  }
  ic_isolate_release(isolate);
  tear_down();
}

int main(void) {
  RUN(an_end_is_told_once);
  RUN(an_end_that_is_past_is_told_at_once);
  RUN(a_watch_that_is_forgotten_tells_nothing);
  RUN(a_killing_is_told_too);
  RUN(a_cluster_that_is_gone_is_remembered);
  RUN(a_watch_may_outlive_the_cluster);
  RUN(of_an_isolate_nobody_knows_there_is_no_reason);
  RUN(the_error_comes_with_the_end);
  RUN(ends_and_watches_race);
  RUN(no_memory_leaves_nothing);
  return check_report("death");
}
