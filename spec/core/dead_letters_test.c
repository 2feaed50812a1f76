// dead_letters_test.c - values that reach nobody: counted, told, and not too many
// at once.

#include "core/dead_letters.h"

#include <string.h>

#include "check.h"

static ic_registry registry;
static ic_isolate *gone, *listener;

static void set_up(void) {
  ic_registry_init(&registry, 9);
  ic_isolate_new("/gone", &gone);
  ic_isolate_new("(listener)", &listener);
}

static void tear_down(void) {
  ic_registry_watch(&registry, listener, 0, NULL);
  ic_isolate_release(listener);
  ic_isolate_release(gone);
  ic_registry_fini(&registry);
}

static ic_message *new_letter(size_t size) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return NULL;
  static char bytes[4 << 20];
  ic_message_add_string(message, bytes, size);
  ic_message_finish(message, NULL, 0, "greeting");
  return message;
}

static void bury(size_t size) {
  ic_dead_letters_add(&registry, gone, new_letter(size), IC_LETTER_GONE);
}

// How many events wait for the listener; notes each as heard.
static size_t hear(uint64_t *missed) {
  size_t count = 0;
  *missed = 0;
  ic_message *chain = ic_isolate_take(listener, 0);
  for (ic_message *at = chain; at; at = at->next) {
    if (at->kind != IC_MESSAGE_DEAD) continue;
    ic_dead_letters_read(&registry, at);
    *missed += at->request;
    count++;
  }
  ic_message_free_chain(chain);
  return count;
}

static void counts_where_nobody_listens(void) {
  set_up();
  bury(10);
  bury(10);
  uint64_t missed;
  CHECK(registry.totals.dead_letters == 2 && registry.letters == 0);
  CHECK(hear(&missed) == 0);
  tear_down();
}

static void tells_who_listens_all_of_it(void) {
  set_up();
  ic_registry_watch(&registry, listener, IC_WATCH_DEAD, NULL);
  bury(10);
  ic_message *event = ic_isolate_take(listener, 0);
  CHECK(event && !event->next && event->kind == IC_MESSAGE_DEAD);
  CHECK(event->reply_to == gone && event->cluster_key == 9);
  CHECK(strcmp(event->reason, "gone") == 0);
  CHECK(strcmp(ic_message_type(event), "greeting") == 0);
  ic_dead_letters_read(&registry, event);
  ic_message_free(event);
  CHECK(registry.letters == 0 && registry.letter_bytes == 0);
  tear_down();
}

static void what_is_no_value_is_none(void) {
  set_up();
  ic_registry_watch(&registry, listener, IC_WATCH_DEAD, NULL);
  ic_message *refusal = ic_message_new_event(IC_MESSAGE_REPLY);
  refusal->status = IC_GONE;
  refusal->next = ic_message_new_event(IC_MESSAGE_UP);
  refusal->next->next = ic_message_new_event(IC_MESSAGE_DEAD);
  ic_dead_letters_add(&registry, gone, refusal, IC_LETTER_UNREAD);
  uint64_t missed;
  CHECK(registry.totals.dead_letters == 0 && hear(&missed) == 0);
  tear_down();
}

static void tells_of_a_limited_number_and_how_many_it_left_out(void) {
  set_up();
  ic_registry_watch(&registry, listener, IC_WATCH_DEAD, NULL);
  uint64_t missed;
  for (int i = 0; i < IC_LETTERS_MAX + 7; i++)
    bury(1);
  CHECK(hear(&missed) == IC_LETTERS_MAX && missed == 0);
  bury(1);
  CHECK(hear(&missed) == 1 && missed == 7);
  bury(1);
  CHECK(hear(&missed) == 1 && missed == 0);
  CHECK(registry.totals.dead_letters == IC_LETTERS_MAX + 9);
  tear_down();
}

static void tells_of_limited_bytes(void) {
  set_up();
  ic_registry_watch(&registry, listener, IC_WATCH_DEAD, NULL);
  for (int i = 0; i < 5; i++)
    bury(3 << 20);
  uint64_t missed;
  CHECK(hear(&missed) == 2);
  bury(1);
  CHECK(hear(&missed) == 1 && missed == 3);
  tear_down();
}

static void a_listener_that_has_ended_holds_nothing(void) {
  set_up();
  ic_registry_watch(&registry, listener, IC_WATCH_DEAD, NULL);
  ic_message_free_chain(ic_mailbox_close(&listener->mailbox));
  bury(10);
  CHECK(registry.letters == 0 && registry.letter_bytes == 0);
  CHECK(registry.totals.dead_letters == 1);
  tear_down();
}

static void unread_requests_are_answered_too(void) {
  set_up();
  ic_isolate *asker = NULL;
  CHECK(ic_isolate_new("/asker", &asker) == IC_OK);
  ic_message *request = new_letter(1);
  request->sender = ic_isolate_hold(asker);
  request->request = 5;
  ic_dead_letters_drop(&registry, gone, request);
  ic_message *refusal = ic_isolate_take(asker, 0);
  CHECK(refusal && refusal->status == IC_GONE && refusal->request == 5);
  CHECK(registry.totals.dead_letters == 1);
  ic_message_free(refusal);
  ic_isolate_release(asker);
  tear_down();
}

int main(void) {
  RUN(counts_where_nobody_listens);
  RUN(tells_who_listens_all_of_it);
  RUN(what_is_no_value_is_none);
  RUN(tells_of_a_limited_number_and_how_many_it_left_out);
  RUN(tells_of_limited_bytes);
  RUN(a_listener_that_has_ended_holds_nothing);
  RUN(unread_requests_are_answered_too);
  return check_report("dead_letters");
}
