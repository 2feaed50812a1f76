// port_test.c - mailboxes of C programs: taken from, polled, or called for.

#include <poll.h>
#include <sched.h>
#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "core/outsiders.h"
#include "failing.h"
#include "test_body.h"

static ic_cluster *cluster;

static void set_up(void) {
  cluster = NULL;
  ic_cluster_new(NULL, &cluster);
}

static void tear_down(void) {
  ic_cluster_free(cluster);
}

static ic_port *open_at(const char *path) {
  ic_port_options options = {.path = path};
  ic_port *port = NULL;
  return ic_port_open(cluster, &options, &port) == IC_OK ? port : NULL;
}

static ic_status send_integer(ic_ref *to, int64_t integer) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return IC_MEMORY;
  ic_message_add_integer(message, integer);
  ic_status status = ic_ref_send(to, message, NULL);
  if (status != IC_OK) ic_message_free(message);
  return status;
}

// The integer in [message], which is freed; -1 if there is none.
static int64_t read_integer(ic_message *message) {
  ic_reader reader = ic_message_reader(message);
  ic_item item;
  bool read = ic_reader_next(&reader, &item) == IC_OK;
  int64_t integer = read && item.type == IC_INTEGER ? item.integer : -1;
  ic_message_free(message);
  return integer;
}

// The next integer that comes to [port], or -1.
static int64_t take_integer(ic_port *port) {
  ic_message *message = NULL;
  ic_status status = ic_port_take(port, PATIENCE_MS, &message);
  return status == IC_OK ? read_integer(message) : -1;
}

static ic_status take_status(ic_port *port, int64_t timeout_ms) {
  ic_message *message = NULL;
  ic_status status = ic_port_take(port, timeout_ms, &message);
  ic_message_free(message);
  return status;
}

// --- Taking -----------------------------------------------------------------

static void gives_messages_in_order(void) {
  set_up();
  ic_port *port = open_at(NULL);
  for (int i = 0; i < 5; i++) {
    CHECK(send_integer(ic_port_ref(port), i) == IC_OK);
  }
  for (int i = 0; i < 5; i++)
    CHECK(take_integer(port) == i);
  CHECK(take_status(port, 0) == IC_TIMEOUT);
  ic_port_close(port);
  tear_down();
}

static void waits_until_the_time_is_up(void) {
  set_up();
  ic_port *port = open_at(NULL);
  int64_t before_ns = ic_now_ns();
  CHECK(take_status(port, 3) == IC_TIMEOUT);
  CHECK(ic_now_ns() - before_ns >= 3 * IC_NS_PER_MS);
  ic_port_close(port);
  tear_down();
}

typedef struct {
  ic_ref *to;
  int count;
} number_sender;

static void *send_many(void *argument) {
  number_sender *sender = argument;
  for (int i = 0; i < sender->count; i++) {
    if (send_integer(sender->to, i) != IC_OK) break;
  }
  return NULL;
}

static void no_message_is_slept_through(void) {
  set_up();
  ic_port *port = open_at(NULL);
  number_sender numbers = {ic_port_ref(port), 3000};
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, send_many, &numbers) ==
        IC_OK);
  for (int i = 0; i < numbers.count; i++)
    CHECK(take_integer(port) == i);
  ic_thread_join(thread);
  ic_port_close(port);
  tear_down();
}

// --- The descriptor ---------------------------------------------------------

static bool is_readable(ic_port *port, int timeout_ms) {
  struct pollfd wanted = {.fd = ic_port_descriptor(port), .events = POLLIN};
  return poll(&wanted, 1, timeout_ms) == 1;
}

static void is_readable_while_messages_wait(void) {
  set_up();
  ic_port *port = open_at(NULL);
  CHECK(!is_readable(port, 0));
  send_integer(ic_port_ref(port), 1);
  send_integer(ic_port_ref(port), 2);
  CHECK(is_readable(port, PATIENCE_MS));
  CHECK(take_integer(port) == 1);
  CHECK(is_readable(port, 0));
  CHECK(take_integer(port) == 2);
  CHECK(!is_readable(port, 0));
  ic_port_close(port);
  tear_down();
}

// As an event loop does it: take without waiting until there is nothing.
static void no_message_is_missed_by_poll(void) {
  set_up();
  ic_port *port = open_at(NULL);
  int descriptor = ic_port_descriptor(port);
  number_sender numbers = {ic_port_ref(port), 3000};
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, send_many, &numbers) ==
        IC_OK);
  int64_t expected = 0;
  while (expected < numbers.count) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    CHECK(poll(&wanted, 1, PATIENCE_MS) == 1);
    ic_message *message = NULL;
    while (ic_port_take(port, 0, &message) == IC_OK) {
      CHECK(read_integer(message) == expected++);
    }
  }
  ic_thread_join(thread);
  ic_port_close(port);
  tear_down();
}

// --- Callbacks --------------------------------------------------------------

typedef struct {
  int64_t next;  // the port's thread alone writes it
  test_tally calls;
} call_counter;

static void receive(void *context, ic_message *message) {
  call_counter *counter = context;
  if (read_integer(message) == counter->next) counter->next++;
  tally_add(&counter->calls);
}

static ic_port *open_receiver(call_counter *counter) {
  counter->next = 0;
  tally_init(&counter->calls);
  ic_port_options options = {.receive = receive, .context = counter};
  ic_port *port = NULL;
  return ic_port_open(cluster, &options, &port) == IC_OK ? port : NULL;
}

static void calls_its_function_for_each(void) {
  set_up();
  call_counter heard;
  ic_port *port = open_receiver(&heard);
  for (int i = 0; i < 1000; i++)
    send_integer(ic_port_ref(port), i);
  CHECK(tally_reaches(&heard.calls, 1000));
  CHECK(take_status(port, 0) == IC_INVALID);
  CHECK(ic_port_descriptor(port) == -1);
  ic_port_close(port);
  CHECK(heard.next == 1000);
  tally_fini(&heard.calls);
  tear_down();
}

// --- Closing ----------------------------------------------------------------

static void is_gone_once_it_is_closed(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_ref *ref = ic_ref_hold(ic_port_ref(port));
  CHECK(send_integer(ref, 1) == IC_OK);
  ic_port_close(port);
  ic_port_close(NULL);
  CHECK(send_integer(ref, 2) == IC_GONE && !ic_ref_is_alive(ref));
  ic_ref_release(ref);
  tear_down();
}

static void closes_while_messages_come(void) {
  for (int round = 0; round < 100; round++) {
    set_up();
    call_counter heard;
    ic_port *port = round % 2 == 0 ? open_receiver(&heard) : open_at("/port");
    number_sender numbers = {ic_ref_hold(ic_port_ref(port)), 1000000000};
    ic_thread thread;
    CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, send_many, &numbers) ==
          IC_OK);
    if (round % 2 == 0) {
      CHECK(tally_reaches(&heard.calls, round % 5));
    } else {
      for (int i = 0; i < round % 5; i++)
        CHECK(take_integer(port) == i);
    }
    ic_port_close(port);
    ic_thread_join(thread);
    ic_ref_release(numbers.to);
    if (round % 2 == 0) tally_fini(&heard.calls);
    tear_down();
  }
}

// --- Paths ------------------------------------------------------------------

static void is_found_by_its_path_until_it_is_closed(void) {
  set_up();
  ic_port *port = open_at("/port");
  ic_ref *found = NULL;
  CHECK(ic_cluster_lookup(cluster, "/port", &found) == IC_OK);
  CHECK(found == ic_port_ref(port));
  ic_ref_release(found);
  CHECK(open_at("/port") == NULL);
  ic_port_close(port);
  CHECK(ic_cluster_lookup(cluster, "/port", &found) == IC_NOT_FOUND);
  port = open_at("/port");
  CHECK(port);
  ic_port_close(port);
  port = open_at("/ports/");
  CHECK(strcmp(ic_ref_path(ic_port_ref(port)), "/ports/1") == 0);
  ic_port_close(port);
  CHECK(open_at("port") == NULL);
  tear_down();
}

static void is_found_by_its_id_where_it_has_no_path(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_ref *ref = ic_ref_hold(ic_port_ref(port));
  ic_isolate *found = ic_outsiders_find(ref->id);
  CHECK(found == ref);
  ic_isolate_release(found);
  ic_port_close(port);
  CHECK(!ic_outsiders_find(ref->id));
  ic_ref_release(ref);
  tear_down();
}

static void is_not_waited_for(void) {
  set_up();
  ic_port *port = open_at("/port");
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  CHECK(ic_cluster_shutdown(cluster, PATIENCE_MS) == IC_OK);
  ic_port_close(port);
  tear_down();
}

// --- The end of the cluster -------------------------------------------------

static void what_waits_is_given_after_a_shutdown_then_down(void) {
  set_up();
  ic_port *port = open_at(NULL);
  send_integer(ic_port_ref(port), 1);
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_OK);
  send_integer(ic_port_ref(port), 2);
  CHECK(is_readable(port, 0));
  CHECK(take_integer(port) == 1);
  CHECK(take_integer(port) == 2);
  CHECK(take_status(port, -1) == IC_DOWN);
  CHECK(take_status(port, 0) == IC_DOWN);
  ic_port_close(port);
  tear_down();
}

static void *shut_down(void *argument) {
  ic_cluster_shutdown(cluster, 0);
  return argument;
}

static void a_shutdown_ends_a_wait_for_ever(void) {
  for (int round = 0; round < 100; round++) {
    set_up();
    ic_port *port = open_at(NULL);
    ic_thread thread;
    CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, shut_down, NULL) ==
          IC_OK);
    CHECK(take_status(port, -1) == IC_DOWN);
    ic_thread_join(thread);
    ic_port_close(port);
    tear_down();
  }
}

static void outlives_its_cluster(void) {
  set_up();
  call_counter heard;
  ic_port *called = open_receiver(&heard);
  ic_port *port = open_at("/port");
  ic_cluster_free(cluster);
  CHECK(send_integer(ic_port_ref(port), 1) == IC_OK);
  CHECK(send_integer(ic_port_ref(called), 0) == IC_OK);
  CHECK(take_integer(port) == 1);
  CHECK(take_status(port, -1) == IC_DOWN);
  CHECK(tally_reaches(&heard.calls, 1));
  ic_port_close(port);
  ic_port_close(called);
  tally_fini(&heard.calls);
}

static void can_not_be_opened_once_the_node_is_down(void) {
  set_up();
  ic_cluster_shutdown(cluster, 0);
  ic_port *port = NULL;
  CHECK(ic_port_open(cluster, NULL, &port) == IC_DOWN && !port);
  tear_down();
}

static void whatever_fails_leaves_nothing(void) {
  for (int n = 0; failing_at(n); n++) {
    ic_cluster *made = NULL;
    if (ic_cluster_new(NULL, &made) != IC_OK) {
      failing_stop();
      continue;
    }
    ic_port_options options = {.path = "/port", .receive = receive};
    ic_port *port = NULL;
    ic_status status = ic_port_open(made, &options, &port);
    bool failed = failing_stop();
    CHECK(status == (failed ? IC_MEMORY : IC_OK) && failed == (port == NULL));
    ic_ref *found = NULL;
    status = ic_cluster_lookup(made, "/port", &found);
    CHECK(status == (failed ? IC_NOT_FOUND : IC_OK));
    ic_ref_release(found);
    ic_port_close(port);
    ic_cluster_free(made);
  }
}

// --- With isolates ----------------------------------------------------------

static bool reply_with_one_more(test_script *script,
                                const ic_message *message) {
  (void)script;
  if (message->kind != IC_MESSAGE_VALUE) {
    return message->kind != IC_MESSAGE_SHUTDOWN;
  }
  ic_reader reader = ic_message_reader(message);
  ic_item item;
  ic_message *reply = NULL;
  if (ic_reader_next(&reader, &item) != IC_OK) return false;
  if (ic_message_new(&reply) != IC_OK) return false;
  ic_message_add_integer(reply, item.integer + 1);
  if (ic_message_reply(message, NULL, reply) != IC_OK) ic_message_free(reply);
  return true;
}

static void isolates_answer_to_it(void) {
  set_up();
  test_script script;
  script_init(&script);
  script.on_message = reply_with_one_more;
  ic_start start = {.path = "/a", .body = test_body_new(&script)};
  ic_isolate *isolate = NULL;
  CHECK(ic_cluster_start(cluster, &start, &isolate, NULL) == IC_OK);
  ic_port *port = open_at(NULL);
  ic_send_options options = {.sender = ic_port_ref(port)};
  for (int i = 0; i < 500; i++) {
    ic_message *message = NULL;
    CHECK(ic_message_new(&message) == IC_OK);
    CHECK(ic_message_add_integer(message, i) == IC_OK);
    CHECK(ic_ref_send(isolate, message, &options) == IC_OK);
    CHECK(take_integer(port) == i + 1);
  }
  ic_isolate_release(isolate);
  ic_port_close(port);
  tear_down();
  script_fini(&script);
}

// --- News -------------------------------------------------------------------

static ic_port *open_for(bool ups, bool downs) {
  ic_port_options options = {.path = "/port", .ups = ups, .downs = downs};
  ic_port *port = NULL;
  return ic_port_open(cluster, &options, &port) == IC_OK ? port : NULL;
}

// What comes next to [port]: the kind, the path, the reason, as "down /a done".
static const char *next_news(ic_port *port) {
  static const char *const kinds[] = {"none", "up", "down", "ended"};
  static char text[100];
  ic_message *message = NULL;
  if (ic_port_take(port, PATIENCE_MS, &message) != IC_OK) return "nothing";
  ic_news news = ic_message_news(message);
  const ic_ref *sender = ic_message_sender(message);
  snprintf(text, sizeof text, "%s %s%s%s", kinds[news.kind],
           sender ? ic_ref_path(sender) : "-", news.reason ? " " : "",
           news.reason ? news.reason : "");
  ic_message_free(message);
  return text;
}

static void hears_of_those_that_come_up_later(void) {
  set_up();
  ic_port *earlier = open_at("/earlier");
  ic_port *port = open_for(true, false);
  ic_port *later = open_at("/later");
  ic_port_close(later);
  ic_port_close(earlier);
  CHECK(strcmp(next_news(port), "up /later") == 0);
  CHECK(take_status(port, 0) == IC_TIMEOUT);
  ic_port_close(port);
  tear_down();
}

static void hears_of_those_that_end(void) {
  set_up();
  ic_port *earlier = open_at("/earlier");
  ic_port *port = open_for(false, true);
  ic_port_close(earlier);
  CHECK(strcmp(next_news(port), "down /earlier done") == 0);
  ic_port_close(port);
  tear_down();
}

static void hears_of_nobody_unless_it_asks(void) {
  set_up();
  ic_port *port = open_at("/port");
  ic_port_close(open_at("/other"));
  CHECK(send_integer(ic_port_ref(port), 7) == IC_OK);
  CHECK(strcmp(next_news(port), "none -") == 0);
  ic_port_close(port);
  tear_down();
}

static void hears_of_the_end_of_one_once_and_behind_what_that_sent(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_port *other = open_at("/other");
  CHECK(ic_port_monitor(port, ic_port_ref(other)) == IC_OK);
  ic_message *message = NULL;
  ic_message_new(&message);
  ic_message_add_integer(message, 7);
  ic_send_options options = {.sender = ic_port_ref(other)};
  CHECK(ic_ref_send(ic_port_ref(port), message, &options) == IC_OK);
  ic_port_close(other);
  CHECK(strcmp(next_news(port), "none /other") == 0);
  CHECK(strcmp(next_news(port), "ended /other done") == 0);
  CHECK(take_status(port, 0) == IC_TIMEOUT);
  ic_port_close(port);
  tear_down();
}

static void hears_of_an_end_that_is_past(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_port *other = open_at("/other");
  ic_ref *ref = ic_ref_hold(ic_port_ref(other));
  ic_port_close(other);
  CHECK(ic_port_monitor(port, ref) == IC_OK);
  CHECK(strcmp(next_news(port), "ended /other done") == 0);
  ic_ref_release(ref);
  ic_port_close(port);
  tear_down();
}

static void news_has_the_error_and_no_value(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_isolate *failed = NULL;
  CHECK(ic_registry_reserve(&cluster->registry, "/failed", true, &failed) ==
        IC_OK);
  CHECK(ic_registry_publish(&cluster->registry, failed, NULL) == IC_OK);
  CHECK(ic_port_monitor(port, failed) == IC_OK);
  ic_mailbox_close(&failed->mailbox);
  ic_registry_remove(&cluster->registry, failed, "error",
                     ic_error_new("why", 3, "why and where", 13));
  ic_message *message = NULL;
  CHECK(ic_port_take(port, PATIENCE_MS, &message) == IC_OK);
  ic_news news = ic_message_news(message);
  CHECK(news.kind == IC_NEWS_ENDED && strcmp(news.reason, "error") == 0);
  CHECK(strcmp(news.error, "why") == 0);
  CHECK(strcmp(news.traceback, "why and where") == 0);
  ic_reader reader = ic_message_reader(message);
  ic_item item;
  CHECK(ic_reader_next(&reader, &item) == IC_NOT_FOUND);
  CHECK(ic_ref_send(ic_port_ref(port), message, NULL) == IC_INVALID);
  ic_message_free(message);
  ic_port_close(port);
  tear_down();
}

static void monitors_go_with_the_port(void) {
  set_up();
  ic_port *other = open_at("/other");
  ic_port *port = open_at(NULL);
  for (int i = 0; i < 3; i++)
    CHECK(ic_port_monitor(port, ic_port_ref(other)) == IC_OK);
  ic_port_close(port);
  CHECK(!ic_port_ref(other)->watches);
  ic_port_close(other);
  tear_down();
}

static void a_monitor_without_memory_is_none(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_port *other = open_at("/other");
  for (int n = 0; failing_at(n); n++) {
    ic_status status = ic_port_monitor(port, ic_port_ref(other));
    CHECK(status == (failing_stop() ? IC_MEMORY : IC_OK));
  }
  ic_port_close(other);
  CHECK(strcmp(next_news(port), "ended /other done") == 0);
  CHECK(take_status(port, 0) == IC_TIMEOUT);
  ic_port_close(port);
  tear_down();
}

enum { ENDS = 500 };

static void *open_and_close(void *argument) {
  ic_port *port = argument;
  for (int i = 0; i < ENDS; i++) {
    ic_port *other = open_at(NULL);
    ic_ref *ref = ic_ref_hold(ic_port_ref(other));
    if (i % 2) ic_port_close(other);
    if (ic_port_monitor(port, ref) != IC_OK) abort();
    if (i % 2 == 0) ic_port_close(other);
    ic_ref_release(ref);
  }
  return NULL;
}

static void no_end_is_missed_while_others_are_read(void) {
  set_up();
  ic_port *port = open_at(NULL);
  ic_thread threads[2];
  for (int i = 0; i < 2; i++)
    CHECK(ic_thread_start(&threads[i], IC_THREAD_STACK_BYTES, open_and_close,
                          port) == IC_OK);
  int ends = 0;
  while (ends < 2 * ENDS && strcmp(next_news(port), "ended (port) done") == 0) {
    ends++;
  }
  CHECK(ends == 2 * ENDS);
  for (int i = 0; i < 2; i++)
    ic_thread_join(threads[i]);
  ic_port_close(port);
  tear_down();
}

int main(void) {
  RUN(gives_messages_in_order);
  RUN(waits_until_the_time_is_up);
  RUN(no_message_is_slept_through);
  RUN(is_readable_while_messages_wait);
  RUN(no_message_is_missed_by_poll);
  RUN(calls_its_function_for_each);
  RUN(is_gone_once_it_is_closed);
  RUN(closes_while_messages_come);
  RUN(is_found_by_its_path_until_it_is_closed);
  RUN(is_found_by_its_id_where_it_has_no_path);
  RUN(is_not_waited_for);
  RUN(what_waits_is_given_after_a_shutdown_then_down);
  RUN(a_shutdown_ends_a_wait_for_ever);
  RUN(outlives_its_cluster);
  RUN(can_not_be_opened_once_the_node_is_down);
  RUN(whatever_fails_leaves_nothing);
  RUN(isolates_answer_to_it);
  RUN(hears_of_those_that_come_up_later);
  RUN(hears_of_those_that_end);
  RUN(hears_of_nobody_unless_it_asks);
  RUN(hears_of_the_end_of_one_once_and_behind_what_that_sent);
  RUN(hears_of_an_end_that_is_past);
  RUN(news_has_the_error_and_no_value);
  RUN(monitors_go_with_the_port);
  RUN(a_monitor_without_memory_is_none);
  RUN(no_end_is_missed_while_others_are_read);
  return check_report("port");
}
