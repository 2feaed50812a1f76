// weight_test.c - what waits for an isolate weighs, of whatever kind it is.

#include "core/weight.h"

#include "check.h"
#include "core/isolate.h"
#include "core/sync.h"

static ic_message *value(size_t size) {
  ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
  message->value_size = size;
  return message;
}

static void a_message_weighs_until_it_is_lifted(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 10000};
  ic_message *message = value(1);
  CHECK(ic_weight_add(&weight, &mailbox, message));
  CHECK(ic_weight_outside_bytes(&mailbox) >= sizeof *message);
  ic_weight_lift(&mailbox, message);
  ic_weight_lift(&mailbox, message);
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
  ic_message_free(message);
}

static void what_was_lifted_leaves_room(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 1000};
  for (int i = 0; i < 100; i++) {
    ic_message *message = value(1);
    CHECK(ic_weight_add(&weight, &mailbox, message));
    ic_weight_lift(&mailbox, message);
    ic_message_free(message);
  }
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
}

static void what_was_not_pushed_leaves_room(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 1000};
  for (int i = 0; i < 100; i++) {
    ic_message *message = value(1);
    CHECK(ic_weight_add(&weight, &mailbox, message));
    ic_weight_take_back(&mailbox, message);
    ic_message_free(message);
  }
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
}

static void nothing_weighs_without_a_limit(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {0};
  ic_message *message = value(1);
  CHECK(ic_weight_add(&weight, &mailbox, message));
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
  ic_message_free(message);
}

static void what_is_built_apart_weighs(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 1 << 20};
  static const char text[100000];
  ic_message *message;
  CHECK(ic_message_new(&message) == IC_OK);
  CHECK(ic_message_add_string(message, text, sizeof text) == IC_OK);
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_OK);
  CHECK(ic_weight_add(&weight, &mailbox, message));
  CHECK(ic_weight_outside_bytes(&mailbox) >= sizeof text);
  ic_message_free(message);
}

static void the_state_is_counted_with_it(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 10000, .state_bytes = 10000};
  ic_message *message = value(1);
  CHECK(!ic_weight_try(&weight, &mailbox, message));
  CHECK(!atomic_load(&weight.is_over));
  CHECK(!ic_weight_add(&weight, &mailbox, message));
  CHECK(atomic_load(&weight.is_over));
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
  ic_message_free(message);
}

static void what_is_held_besides_is_counted(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 10000};
  ic_message *message = value(1);
  ic_weight_hold(&mailbox, 10000);
  CHECK(!ic_weight_try(&weight, &mailbox, message));
  ic_message_free(message);
}

static void it_is_over_for_good(void) {
  ic_mailbox mailbox = {0};
  ic_weight weight = {.most_bytes = 10000, .state_bytes = 10000};
  ic_message *message = value(1);
  CHECK(!ic_weight_add(&weight, &mailbox, message));
  atomic_store(&weight.state_bytes, 0);
  CHECK(!ic_weight_add(&weight, &mailbox, message));
  ic_message_free(message);
}

// Each kind, but those that come before there is a state.
static void all_kinds_weigh(void) {
  for (int kind = IC_MESSAGE_VALUE; kind <= IC_MESSAGE_NODE_DOWN; kind++) {
    ic_isolate *isolate;
    CHECK(ic_isolate_new("/a", &isolate) == IC_OK);
    isolate->weight.most_bytes = 1 << 20;
    CHECK(ic_isolate_push(isolate, ic_message_new_event(kind)) == IC_OK);
    size_t bytes = ic_weight_outside_bytes(&isolate->mailbox);
    bool is_first = kind == IC_MESSAGE_LOAD || kind == IC_MESSAGE_CANCEL;
    CHECK(is_first ? bytes == 0 : bytes >= sizeof(ic_message));
    ic_message *message = ic_mailbox_take(&isolate->mailbox);
    CHECK(ic_isolate_admit(isolate, message) == message);
    CHECK(ic_weight_outside_bytes(&isolate->mailbox) == 0);
    ic_message_free(message);
    ic_isolate_release(isolate);
  }
}

static void who_is_over_by_an_event_ends_in_its_next_turn(void) {
  ic_isolate *isolate;
  CHECK(ic_isolate_new("/a", &isolate) == IC_OK);
  isolate->weight.most_bytes = 10;
  ic_mailbox_sleep(&isolate->mailbox);
  ic_message *event = ic_message_new_event(IC_MESSAGE_UP);
  bool wake = false;
  CHECK(ic_isolate_put(isolate, event, &wake) == IC_GONE);
  CHECK(wake);
  CHECK(!atomic_load(&isolate->killed));
  ic_isolate_weigh(isolate);
  CHECK(atomic_load(&isolate->killed));
  ic_message_free(event);
  ic_isolate_release(isolate);
}

enum { SENDERS = 4, EACH = 20000 };

static ic_isolate *receiver;

static void *send_many(void *argument) {
  (void)argument;
  for (int i = 0; i < EACH; i++) {
    ic_message *message = value(1);
    if (ic_isolate_push(receiver, message) != IC_OK) ic_message_free(message);
  }
  return NULL;
}

static void nothing_is_left_of_what_many_threads_send(void) {
  ic_thread threads[SENDERS];
  int handled = 0;
  CHECK(ic_isolate_new("/a", &receiver) == IC_OK);
  receiver->weight.most_bytes = (size_t)1 << 30;
  for (int i = 0; i < SENDERS; i++) {
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, send_many, NULL) ==
          IC_OK);
  }
  while (handled < SENDERS * EACH) {
    ic_message *chain = ic_isolate_take(receiver, ic_deadline_ns(10000));
    for (ic_message *next = chain; next; next = next->next, handled++)
      ic_isolate_admit(receiver, next);
    ic_message_free_chain(chain);
  }
  for (int i = 0; i < SENDERS; i++)
    ic_thread_join(threads[i]);
  CHECK(ic_weight_outside_bytes(&receiver->mailbox) == 0);
  ic_isolate_release(receiver);
}

int main(void) {
  RUN(a_message_weighs_until_it_is_lifted);
  RUN(what_was_lifted_leaves_room);
  RUN(what_was_not_pushed_leaves_room);
  RUN(nothing_weighs_without_a_limit);
  RUN(what_is_built_apart_weighs);
  RUN(the_state_is_counted_with_it);
  RUN(what_is_held_besides_is_counted);
  RUN(it_is_over_for_good);
  RUN(all_kinds_weigh);
  RUN(who_is_over_by_an_event_ends_in_its_next_turn);
  RUN(nothing_is_left_of_what_many_threads_send);
  return check_report("weight");
}
