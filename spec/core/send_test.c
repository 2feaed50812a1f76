// send_test.c - what C programs send: with all that the options say, as a reply, to
// those that have ended.

#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "core/ref.h"
#include "failing.h"
#include "samples.h"

static ic_message *new_integer(int64_t integer) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return NULL;
  ic_message_add_integer(message, integer);
  return message;
}

// The one message that came to [isolate], to be freed; NULL if not one did.
static ic_message *take_one(ic_isolate *isolate) {
  ic_message *chain = ic_isolate_take(isolate, 0);
  if (!chain || !chain->next) return chain;
  ic_message_free_chain(chain);
  return NULL;
}

// --- Sending ----------------------------------------------------------------

static void sends_with_all_that_the_options_say(void) {
  ic_ref *to = new_isolate("/to");
  ic_ref *sender = new_isolate("/sender");
  ic_ref *other = new_isolate("/other");
  ic_send_options options = {.type = "note",
                             .sender = sender,
                             .reply_to = other,
                             .correlation_id = "n1"};
  CHECK(ic_ref_send(to, new_integer(7), &options) == IC_OK);
  ic_message *message = take_one(to);
  CHECK(message && has_integer(message, 7));
  CHECK(strcmp(ic_message_type(message), "note") == 0);
  CHECK(ic_message_sender(message) == sender);
  CHECK(ic_message_reply_to(message) == other);
  CHECK(message->correlation_size == 3);
  CHECK(memcmp(message->bytes + message->value_size, "\x62n1", 3) == 0);
  ic_message_free(message);
  ic_ref_release(to);
  ic_ref_release(sender);
  ic_ref_release(other);
}

static void sends_without_options(void) {
  ic_ref *to = new_isolate("/to");
  CHECK(ic_ref_send(to, new_integer(7), NULL) == IC_OK);
  ic_message *message = take_one(to);
  CHECK(message && has_integer(message, 7));
  CHECK(!ic_message_type(message) && !ic_message_sender(message));
  CHECK(!ic_message_reply_to(message) && message->correlation_size == 0);
  ic_message_free(message);
  ic_ref_release(to);
}

static void what_was_not_sent_can_be_sent_to_another(void) {
  ic_ref *gone = new_isolate("/gone");
  ic_ref *to = new_isolate("/to");
  ic_mailbox_close(&gone->mailbox);
  ic_message *message = new_integer(7);
  ic_send_options options = {
      .type = "first", .sender = gone, .reply_to = to, .correlation_id = "x"};
  CHECK(ic_ref_send(gone, message, &options) == IC_GONE);
  CHECK(!ic_message_sender(message) && !ic_message_reply_to(message));
  CHECK(atomic_load(&gone->mailbox.users) == 1 &&
        atomic_load(&to->mailbox.users) == 1);
  CHECK(ic_ref_send(to, message, NULL) == IC_OK);
  ic_message *came = take_one(to);
  CHECK(came == message && has_integer(came, 7));
  ic_reader correlation = ic_message_correlation(came);
  CHECK(ic_reader_next(&correlation, &(ic_item){0}) == IC_NOT_FOUND);
  CHECK(!ic_message_type(came));
  ic_message_free(came);
  ic_ref_release(gone);
  ic_ref_release(to);
}

static void a_message_is_sent_once(void) {
  ic_ref *to = new_isolate("/to");
  ic_send_options options = {.sender = to};
  CHECK(ic_ref_send(to, new_integer(7), &options) == IC_OK);
  ic_message *message = take_one(to);
  CHECK(ic_ref_send(to, message, NULL) == IC_INVALID);
  CHECK(ic_message_reply(message, NULL, message) == IC_INVALID);
  CHECK(ic_message_sender(message) == to);
  ic_message_free(message);
  CHECK(atomic_load(&to->mailbox.users) == 1);
  ic_ref_release(to);
}

static void what_is_not_complete_is_not_sent(void) {
  ic_ref *to = new_isolate("/to");
  ic_message *message = NULL;
  CHECK(ic_message_new(&message) == IC_OK);
  CHECK(ic_ref_send(to, message, NULL) == IC_INVALID);
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_ref_send(to, message, NULL) == IC_INVALID);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_ref_send(to, message, NULL) == IC_OK);
  ic_ref_release(to);
}

static void without_memory_it_can_be_sent_again(void) {
  ic_ref *to = new_isolate("/to");
  char type[200];
  memset(type, 't', sizeof type - 1);
  type[sizeof type - 1] = '\0';
  ic_send_options options = {
      .sender = to, .type = type, .correlation_id = type};
  for (int n = 0; failing_at(n); n++) {
    ic_message *message = NULL;
    ic_status made = ic_message_new(&message);
    if (made == IC_OK) made = ic_message_add_integer(message, n);
    ic_status sent = made == IC_OK ? ic_ref_send(to, message, &options) : made;
    if (failing_stop()) {
      CHECK(sent == IC_MEMORY && !ic_isolate_take(to, 0));
      if (made == IC_OK) sent = ic_ref_send(to, message, &options);
    }
    if (made != IC_OK) {
      ic_message_free(message);
      continue;
    }
    CHECK(sent == IC_OK);
    message = take_one(to);
    CHECK(message && has_integer(message, n));
    CHECK(strcmp(ic_message_type(message), type) == 0);
    ic_message_free(message);
  }
  CHECK(atomic_load(&to->mailbox.users) == 1);
  ic_ref_release(to);
}

// --- Replying ---------------------------------------------------------------

// A message to [to] that [sender] sent, with a request's number unless it is 0.
static ic_message *receive_from(ic_isolate *sender, ic_isolate *to,
                                uint64_t request) {
  ic_send_options options = {.sender = sender, .correlation_id = "id"};
  ic_message *message = new_integer(1);
  message->request = request;
  if (ic_ref_send(to, message, &options) != IC_OK) return NULL;
  return take_one(to);
}

static void a_reply_goes_to_the_sender(void) {
  ic_ref *asker = new_isolate("/asker");
  ic_ref *me = new_isolate("/me");
  ic_message *message = receive_from(asker, me, 0);
  CHECK(ic_message_reply(message, me, new_integer(2)) == IC_OK);
  ic_message *reply = take_one(asker);
  CHECK(reply && reply->kind == IC_MESSAGE_VALUE && has_integer(reply, 2));
  CHECK(ic_message_sender(reply) == me);
  ic_reader correlation = ic_message_correlation(reply);
  ic_item item;
  CHECK(ic_reader_next(&correlation, &item) == IC_OK);
  CHECK(item.type == IC_STRING && item.size == 2);
  CHECK(memcmp(item.bytes, "id", 2) == 0);
  CHECK(ic_reader_next(&correlation, &item) == IC_NOT_FOUND);
  ic_message_free(reply);
  ic_message_free(message);
  ic_ref_release(asker);
  ic_ref_release(me);
}

static void a_reply_to_a_request_answers_it(void) {
  ic_ref *asker = new_isolate("/asker");
  ic_ref *me = new_isolate("/me");
  ic_message *message = receive_from(asker, me, 41);
  CHECK(ic_message_reply(message, NULL, new_integer(2)) == IC_OK);
  ic_message *reply = take_one(asker);
  CHECK(reply && reply->kind == IC_MESSAGE_REPLY && reply->request == 41);
  CHECK(reply->status == IC_OK && has_integer(reply, 2));
  CHECK(!ic_message_sender(reply));
  ic_message_free(reply);
  ic_message_free(message);
  ic_ref_release(asker);
  ic_ref_release(me);
}

static void a_reply_that_failed_is_a_plain_message_again(void) {
  ic_ref *asker = new_isolate("/asker");
  ic_ref *me = new_isolate("/me");
  ic_message *message = receive_from(asker, me, 41);
  ic_mailbox_close(&asker->mailbox);
  ic_message *reply = new_integer(2);
  CHECK(ic_message_reply(message, me, reply) == IC_GONE);
  CHECK(ic_ref_send(me, reply, NULL) == IC_OK);
  ic_message *came = take_one(me);
  CHECK(came == reply && came->kind == IC_MESSAGE_VALUE && came->request == 0);
  ic_message_free(came);
  ic_message_free(message);
  ic_ref_release(asker);
  ic_ref_release(me);
}

static void nobody_to_reply_to_is_not_found(void) {
  ic_ref *me = new_isolate("/me");
  ic_message *message = receive_from(NULL, me, 0);
  ic_message *reply = new_integer(2);
  CHECK(ic_message_reply(message, me, reply) == IC_NOT_FOUND);
  ic_message_free(reply);
  ic_message_free(message);
  ic_ref_release(me);
}

static void a_request_that_nobody_reads_is_refused(void) {
  ic_ref *asker = new_isolate("/asker");
  ic_ref *me = new_isolate("/me");
  ic_message *plain = receive_from(asker, me, 0);
  ic_message *request = receive_from(asker, me, 41);
  ic_ref_refuse(plain);
  ic_ref_refuse(request);
  ic_message *refusal = take_one(asker);
  CHECK(refusal && refusal->kind == IC_MESSAGE_REPLY);
  CHECK(refusal->request == 41 && refusal->status == IC_GONE);
  ic_message_free(refusal);
  ic_message_free(plain);
  ic_message_free(request);
  ic_ref_release(asker);
  ic_ref_release(me);
}

// --- Sending in vain --------------------------------------------------------

static uint64_t dead_letters(ic_cluster *cluster) {
  ic_stats stats;
  ic_cluster_stats(cluster, &stats);
  return stats.dead_letters;
}

static void what_is_sent_to_the_ended_is_counted(void) {
  ic_cluster *cluster = NULL;
  ic_port *port = NULL;
  CHECK(ic_cluster_new(NULL, &cluster) == IC_OK);
  CHECK(ic_port_open(cluster, NULL, &port) == IC_OK);
  ic_ref *to = ic_ref_hold(ic_port_ref(port));
  ic_ref *me = new_isolate("/me");
  ic_message *message = receive_from(to, me, 0);
  ic_port_close(port);
  CHECK(dead_letters(cluster) == 0);
  ic_message *value = new_integer(7);
  CHECK(ic_ref_send(to, value, NULL) == IC_GONE);
  CHECK(ic_ref_send(to, value, NULL) == IC_GONE);
  CHECK(ic_message_reply(message, NULL, value) == IC_GONE);
  CHECK(dead_letters(cluster) == 3);
  ic_cluster_free(cluster);
  CHECK(ic_ref_send(to, value, NULL) == IC_GONE);
  ic_message_free(value);
  ic_message_free(message);
  ic_ref_release(me);
  ic_ref_release(to);
}

int main(void) {
  RUN(sends_with_all_that_the_options_say);
  RUN(sends_without_options);
  RUN(what_was_not_sent_can_be_sent_to_another);
  RUN(a_message_is_sent_once);
  RUN(what_is_not_complete_is_not_sent);
  RUN(without_memory_it_can_be_sent_again);
  RUN(a_reply_goes_to_the_sender);
  RUN(a_reply_to_a_request_answers_it);
  RUN(a_reply_that_failed_is_a_plain_message_again);
  RUN(nobody_to_reply_to_is_not_found);
  RUN(a_request_that_nobody_reads_is_refused);
  RUN(what_is_sent_to_the_ended_is_counted);
  return check_report("send");
}
