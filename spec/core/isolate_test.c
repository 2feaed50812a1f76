// isolate_test.c - counting an isolate's users, sending to it, waiting for what
// was sent.

#include "core/isolate.h"

#include <stdlib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "check.h"
#include "failing.h"
#include "samples.h"

static ic_status push_event(ic_isolate *to) {
  ic_message *event = ic_message_new_event(IC_MESSAGE_VALUE);
  ic_status status = ic_isolate_push(to, event);
  if (status != IC_OK) ic_message_free(event);
  return status;
}

// --- Users ------------------------------------------------------------------

static void has_a_number_of_its_own(void) {
  ic_isolate *first = new_isolate("/a");
  ic_isolate *second = new_isolate("/a");
  CHECK(first->id != 0 && second->id > first->id);
  ic_isolate_release(first);
  ic_isolate_release(second);
}

static void lives_until_its_last_user_releases_it(void) {
  ic_isolate *witness = new_isolate("/witness");
  ic_isolate *isolate = new_isolate("/a");
  isolate->properties = ic_message_new_event(IC_MESSAGE_VALUE);
  isolate->properties->sender = ic_isolate_hold(witness);
  CHECK(ic_isolate_hold(isolate) == isolate);
  ic_isolate_release(isolate);
  CHECK(strcmp(isolate->path, "/a") == 0);
  CHECK(atomic_load(&witness->mailbox.users) == 2);
  ic_isolate_release(isolate);
  CHECK(atomic_load(&witness->mailbox.users) == 1);
  ic_isolate_release(witness);
  ic_isolate_release(NULL);
}

static void unread_messages_go_with_it(void) {
  ic_isolate *isolate = new_isolate("/a");
  CHECK(push_event(isolate) == IC_OK);
  CHECK(push_event(isolate) == IC_OK);
  ic_isolate_release(isolate);
}

// Each is named by the next one's properties alone, as where every isolate
// spawns another and tells it who it is.
static void a_chain_of_them_is_freed_without_recursion(void) {
  enum { LENGTH = 200000 };
  ic_isolate *last = new_isolate("/0");
  for (int i = 1; i < LENGTH; i++) {
    ic_isolate *isolate = new_isolate("/i");
    isolate->properties = ic_message_new_event(IC_MESSAGE_VALUE);
    CHECK(ic_ref_list_add(&isolate->properties->refs, last) == IC_OK);
    ic_isolate_release(last);
    last = isolate;
  }
  ic_isolate_release(last);
}

static void *hold_and_release(void *argument) {
  ic_isolate *isolate = argument;
  for (int i = 0; i < 20000; i++) {
    ic_isolate_hold(isolate);
    ic_isolate_release(isolate);
  }
  ic_isolate_release(isolate);
  return NULL;
}

static void is_counted_by_many_threads(void) {
  enum { ROUNDS = 20, THREADS = 3 };
  for (int round = 0; round < ROUNDS; round++) {
    ic_isolate *isolate = new_isolate("/a");
    ic_thread threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
      ic_status status =
          ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, hold_and_release,
                          ic_isolate_hold(isolate));
      CHECK(status == IC_OK);
    }
    ic_isolate_release(isolate);
    for (int i = 0; i < THREADS; i++)
      ic_thread_join(threads[i]);
  }
}

static void no_memory_leaves_nothing(void) {
  int n = 0;
  for (; failing_at(n); n++) {
    ic_isolate *isolate = NULL;
    ic_status status = ic_isolate_new("/a", &isolate);
    bool failed = failing_stop();
    CHECK(status == (failed ? IC_MEMORY : IC_OK));
    CHECK(failed == (isolate == NULL));
    ic_isolate_release(isolate);
  }
  CHECK(n == 3);  // the struct, the path, and a round without a failure
}

// --- Sending and waiting ----------------------------------------------------

static void gives_what_was_pushed(void) {
  ic_isolate *isolate = new_isolate("/a");
  CHECK(ic_isolate_take(isolate, 0) == NULL);
  CHECK(push_event(isolate) == IC_OK);
  CHECK(push_event(isolate) == IC_OK);
  ic_message *chain = ic_isolate_take(isolate, IC_NEVER);
  CHECK(chain && chain->next && !chain->next->next);
  ic_message_free_chain(chain);
  ic_isolate_release(isolate);
}

static void waits_until_the_deadline(void) {
  ic_isolate *isolate = new_isolate("/a");
  int64_t deadline = ic_deadline_ns(5);
  CHECK(ic_isolate_take(isolate, deadline) == NULL);
  CHECK(ic_now_ns() >= deadline);
  ic_isolate_release(isolate);
}

static void a_wake_ends_the_wait(void) {
  ic_isolate *isolate = new_isolate("/a");
  ic_isolate_wake(isolate);
  CHECK(ic_isolate_take(isolate, IC_NEVER) == NULL);
  ic_isolate_release(isolate);
}

static void is_gone_once_its_mailbox_is_closed(void) {
  ic_isolate *isolate = new_isolate("/a");
  ic_mailbox_close(&isolate->mailbox);
  CHECK(push_event(isolate) == IC_GONE);
  CHECK(ic_isolate_take(isolate, IC_NEVER) == NULL);  // does not sleep
  ic_isolate_release(isolate);
}

static void *push_often(void *argument) {
  for (int i = 0; i < 3000; i++)
    push_event(argument);
  return NULL;
}

static void no_push_is_slept_through(void) {
  ic_isolate *isolate = new_isolate("/a");
  ic_thread threads[2];
  for (int i = 0; i < 2; i++) {
    ic_status status =
        ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, push_often, isolate);
    CHECK(status == IC_OK);
  }
  for (int taken = 0; taken < 6000;) {
    ic_message *chain = ic_isolate_take(isolate, IC_NEVER);
    for (ic_message *at = chain; at; at = at->next)
      taken++;
    ic_message_free_chain(chain);
  }
  for (int i = 0; i < 2; i++)
    ic_thread_join(threads[i]);
  ic_isolate_release(isolate);
}

// Waits each time until it has been let in.
static void *push_where_there_is_room(void *argument) {
  ic_isolate *to = argument;
  for (int i = 0; i < 3000; i++) {
    ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
    bool waits;
    ic_status status = ic_isolate_push_later(to, message, NULL, &waits);
    if (status != IC_OK) return NULL;
    int64_t deadline = ic_deadline_ns(20000);
    while (waits && ic_bound_is_awaited(to->bound)) {
      if (ic_now_ns() > deadline) return NULL;
    }
  }
  return NULL;
}

// The reader has no fence between giving up a place and its look at who waits.
static void nobody_who_waits_for_room_is_slept_through(void) {
  ic_isolate *isolate = new_isolate("/a");
  ic_limits limits = {.mailbox_messages = 1, .when_full = IC_WHEN_FULL_WAIT};
  isolate->bound = ic_bound_new(&limits, &isolate->weight);
  ic_thread threads[2];
  for (int i = 0; i < 2; i++) {
    ic_status status = ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES,
                                       push_where_there_is_room, isolate);
    CHECK(status == IC_OK);
  }
  int taken = 0;
  int64_t deadline = ic_deadline_ns(20000);
  while (taken < 6000 && ic_now_ns() < deadline) {
    ic_message *chain = ic_isolate_take(isolate, deadline);
    while (chain) {
      ic_message *next = chain->next;
      ic_message_free(ic_isolate_admit(isolate, chain));
      chain = next;
      taken++;
    }
  }
  CHECK(taken == 6000);
  for (int i = 0; i < 2; i++)
    ic_thread_join(threads[i]);
  ic_isolate_release(isolate);
}

typedef struct {
  ic_isolate *self, *other;
  int trips;  // answered by this side
} talker;

static void rest(int i) {
  struct timespec time = {.tv_nsec = i % 100 == 0 ? 200000 : 0};
  nanosleep(&time, NULL);
}

// Waits for a message and answers it, now quickly and now after a rest, so that
// the other side's waits are of all lengths: it spins, sleeps, and is caught in
// between.
static void *talk(void *argument) {
  talker *this = argument;
  while (this->trips < 5000) {
    ic_message *chain = ic_isolate_take(this->self, IC_NEVER);
    if (!chain) continue;
    ic_message_free_chain(chain);
    this->trips++;
    if (this->trips % 7 == 0) rest(this->trips);
    push_event(this->other);
  }
  return NULL;
}

// Ends only if not one message is slept through.
static void a_conversation_goes_on_whether_hot_or_cold(void) {
  ic_isolate *a = new_isolate("/a"), *b = new_isolate("/b");
  talker first = {a, b, 0}, second = {b, a, 0};
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, talk, &second) == IC_OK);
  push_event(a);
  talk(&first);
  ic_thread_join(thread);
  CHECK(first.trips == second.trips);
  ic_isolate_release(a);
  ic_isolate_release(b);
}

// --- The descriptor ---------------------------------------------------------

static bool is_readable(int descriptor, int timeout_ms) {
  struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
  return poll(&wanted, 1, timeout_ms) == 1 && (wanted.revents & POLLIN);
}

static void its_descriptor_is_readable_from_a_push_on(void) {
  ic_isolate *isolate = new_isolate("/a");
  int descriptor = ic_isolate_open_descriptor(isolate);
  CHECK(descriptor >= 0);
  CHECK(ic_isolate_open_descriptor(isolate) == descriptor);
  ic_isolate_settle_descriptor(isolate, false);
  CHECK(!is_readable(descriptor, 0));
  CHECK(push_event(isolate) == IC_OK);
  CHECK(is_readable(descriptor, 10000));
  ic_message_free_chain(ic_isolate_take(isolate, 0));
  ic_isolate_settle_descriptor(isolate, false);
  CHECK(!is_readable(descriptor, 0));
  ic_isolate_settle_descriptor(isolate, true);
  CHECK(is_readable(descriptor, 0));
  ic_isolate_release(isolate);
}

static void its_descriptor_is_readable_for_what_came_before(void) {
  ic_isolate *isolate = new_isolate("/a");
  CHECK(push_event(isolate) == IC_OK);
  int descriptor = ic_isolate_open_descriptor(isolate);
  ic_isolate_settle_descriptor(isolate, false);
  CHECK(is_readable(descriptor, 0));
  ic_isolate_release(isolate);
}

static void no_push_is_missed_by_poll(void) {
  ic_isolate *isolate = new_isolate("/a");
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, push_often, isolate) ==
        IC_OK);
  int descriptor = ic_isolate_open_descriptor(isolate);
  ic_isolate_settle_descriptor(isolate, false);
  for (int taken = 0; taken < 3000;) {
    CHECK(is_readable(descriptor, 10000));
    ic_message *chain = ic_isolate_take(isolate, 0);
    for (ic_message *at = chain; at; at = at->next)
      taken++;
    ic_message_free_chain(chain);
    ic_isolate_settle_descriptor(isolate, false);
  }
  ic_thread_join(thread);
  ic_isolate_release(isolate);
}

static void works_without_a_descriptor_where_there_is_none_left(void) {
  struct rlimit before, none;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  none = before;
  none.rlim_cur = 0;
  ic_isolate *isolate = new_isolate("/a");
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  int descriptor = ic_isolate_open_descriptor(isolate);
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(descriptor == -1);
  ic_isolate_settle_descriptor(isolate, true);
  CHECK(push_event(isolate) == IC_OK);
  ic_message_free_chain(ic_isolate_take(isolate, 0));
  ic_isolate_release(isolate);
}

static void an_error_is_not_kept_in_any_length(void) {
  enum { LONG = 1 << 20 };
  char *text = malloc(LONG);
  CHECK(text);
  memset(text, 'x', LONG);
  ic_error *error = ic_error_new(text, LONG, text, 3);
  CHECK(error && error->message_size == IC_ERROR_MOST_BYTES);
  CHECK(strlen(error->bytes) == IC_ERROR_MOST_BYTES);
  CHECK(strcmp(ic_error_traceback(error), "xxx") == 0);
  free(error);
  free(text);
}

int main(void) {
  RUN(has_a_number_of_its_own);
  RUN(an_error_is_not_kept_in_any_length);
  RUN(lives_until_its_last_user_releases_it);
  RUN(unread_messages_go_with_it);
  RUN(a_chain_of_them_is_freed_without_recursion);
  RUN(is_counted_by_many_threads);
  RUN(no_memory_leaves_nothing);
  RUN(gives_what_was_pushed);
  RUN(waits_until_the_deadline);
  RUN(a_wake_ends_the_wait);
  RUN(is_gone_once_its_mailbox_is_closed);
  RUN(no_push_is_slept_through);
  RUN(nobody_who_waits_for_room_is_slept_through);
  RUN(a_conversation_goes_on_whether_hot_or_cold);
  RUN(its_descriptor_is_readable_from_a_push_on);
  RUN(its_descriptor_is_readable_for_what_came_before);
  RUN(no_push_is_missed_by_poll);
  RUN(works_without_a_descriptor_where_there_is_none_left);
  return check_report("isolate");
}
