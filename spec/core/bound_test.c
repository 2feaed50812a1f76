// bound_test.c - the count is exact, whoever pushes and takes at once.

#include "core/bound.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/sync.h"

static ic_mailbox mailbox;
static ic_weight weight;

static ic_message *value(size_t size) {
  ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
  message->value_size = size;
  return message;
}

static ic_bound *bound_of(size_t messages, size_t bytes, ic_when_full full) {
  ic_limits limits = {
      .mailbox_messages = messages, .mailbox_bytes = bytes, .when_full = full};
  ic_mailbox_init(&mailbox);
  weight = (ic_weight){0};
  return ic_bound_new(&limits, &weight);
}

// Pushes a value of [size]; what is dropped is freed and counted.
static ic_status push(ic_bound *bound, size_t size, int *dropped) {
  bool wake;
  ic_message *drops = NULL, *message = value(size);
  ic_status status = ic_bound_push(bound, &mailbox, message, &wake, &drops);
  for (ic_message *next = drops; next; next = next->next)
    ++*dropped;
  ic_message_free_chain(drops);
  if (status != IC_OK) ic_message_free(message);
  return status;
}

// As readers do, who look behind each time whether anybody waits.
static ic_message *take(ic_bound *bound) {
  ic_message *chain = ic_mailbox_take(&mailbox);
  if (ic_bound_is_awaited(bound))
    ic_message_free_chain(ic_bound_serve(bound, &mailbox));
  return chain;
}

// [message] leaves its place, and those that wait come in. Gives their notices.
static ic_message *make_room(ic_bound *bound, const ic_message *message) {
  bool is_awaited =
      ic_bound_leave_place(bound, &mailbox, ic_bound_size(message));
  return is_awaited ? ic_bound_serve(bound, &mailbox) : NULL;
}

// Handles one message, whose size is the result; 0: there was none.
static size_t handle_one(ic_bound *bound, ic_message **queue) {
  if (!*queue) *queue = take(bound);
  ic_message *message = *queue;
  if (!message) return 0;
  *queue = message->next;
  ic_weight_lift(&mailbox, message);
  if (message->kind == IC_MESSAGE_TOKEN) {
    ic_message_free(message);
    message = ic_bound_redeem(bound, &mailbox);
    if (!message) return 0;
  } else {
    ic_message_free_chain(make_room(bound, message));
  }
  size_t size = message->value_size;
  ic_message_free(message);
  return size;
}

static void end(ic_bound *bound, ic_message *queue) {
  ic_message_free_chain(queue);
  ic_message_free_chain(ic_mailbox_close(&mailbox));
  ic_bound_free(bound);
}

static void is_full_at_its_count(void) {
  ic_bound *bound = bound_of(2, 0, IC_WHEN_FULL_FAIL);
  ic_message *queue = NULL;
  int dropped = 0;
  CHECK(push(bound, 1, &dropped) == IC_OK);
  CHECK(push(bound, 2, &dropped) == IC_OK);
  CHECK(push(bound, 3, &dropped) == IC_FULL);
  CHECK(handle_one(bound, &queue) == 1);
  CHECK(push(bound, 4, &dropped) == IC_OK);
  CHECK(push(bound, 5, &dropped) == IC_FULL);
  CHECK(dropped == 0 && ic_bound_dropped(bound) == 0);
  end(bound, queue);
}

static void is_full_at_its_bytes(void) {
  ic_bound *bound = bound_of(0, 10, IC_WHEN_FULL_FAIL);
  ic_message *queue = NULL;
  int dropped = 0;
  CHECK(push(bound, 11, &dropped) == IC_FULL);
  CHECK(push(bound, 10, &dropped) == IC_OK);
  CHECK(push(bound, 1, &dropped) == IC_FULL);
  CHECK(handle_one(bound, &queue) == 10);
  CHECK(push(bound, 4, &dropped) == IC_OK);
  CHECK(push(bound, 7, &dropped) == IC_FULL);
  CHECK(push(bound, 6, &dropped) == IC_OK);
  end(bound, queue);
}

// The numbers that places are counted by only grow, and begin anew.
static void counts_on_beyond_the_largest_number(void) {
  ic_bound *bound = bound_of(2, 10, IC_WHEN_FULL_FAIL);
  ic_message *queue = NULL;
  int dropped = 0;
  mailbox.placed_values = mailbox.placed_values_end = UINT32_MAX - 1;
  mailbox.placed_bytes = mailbox.placed_bytes_end = UINT64_MAX - 1;
  atomic_store(&mailbox.freed_values, UINT32_MAX - 1);
  atomic_store(&mailbox.freed_bytes, UINT64_MAX - 1);
  for (int i = 0; i < 10; i++) {
    CHECK(push(bound, 1, &dropped) == IC_OK);
    CHECK(push(bound, 10, &dropped) == IC_FULL);
    CHECK(push(bound, 9, &dropped) == IC_OK);
    CHECK(push(bound, 0, &dropped) == IC_FULL);
    CHECK(handle_one(bound, &queue) == 1);
    CHECK(handle_one(bound, &queue) == 9);
  }
  end(bound, queue);
}

static void has_room_within_the_largest_bounds(void) {
  ic_bound *bound = bound_of(SIZE_MAX, SIZE_MAX, IC_WHEN_FULL_FAIL);
  ic_message *queue = NULL;
  int dropped = 0;
  CHECK(push(bound, 1, &dropped) == IC_OK);
  CHECK(push(bound, (size_t)1 << 30, &dropped) == IC_OK);
  CHECK(handle_one(bound, &queue) == 1);
  CHECK(handle_one(bound, &queue) == (size_t)1 << 30);
  end(bound, queue);
}

static void drops_the_newest(void) {
  ic_bound *bound = bound_of(2, 0, IC_WHEN_FULL_DROP_NEWEST);
  ic_message *queue = NULL;
  int dropped = 0;
  for (size_t i = 1; i <= 5; i++)
    CHECK(push(bound, i, &dropped) == IC_OK);
  CHECK(dropped == 3 && ic_bound_dropped(bound) == 3);
  CHECK(handle_one(bound, &queue) == 1);
  CHECK(handle_one(bound, &queue) == 2);
  CHECK(handle_one(bound, &queue) == 0);
  end(bound, queue);
}

static void drops_the_oldest(void) {
  ic_bound *bound = bound_of(2, 0, IC_WHEN_FULL_DROP_OLDEST);
  ic_message *queue = NULL;
  int dropped = 0;
  for (size_t i = 1; i <= 5; i++)
    CHECK(push(bound, i, &dropped) == IC_OK);
  CHECK(dropped == 3 && ic_bound_dropped(bound) == 3);
  CHECK(handle_one(bound, &queue) == 4);
  CHECK(handle_one(bound, &queue) == 5);
  CHECK(handle_one(bound, &queue) == 0);
  CHECK(push(bound, 6, &dropped) == IC_OK);
  CHECK(handle_one(bound, &queue) == 6);
  end(bound, queue);
}

// One large value takes the place of several, whose tokens are spare then.
static void drops_as_many_as_it_must(void) {
  ic_bound *bound = bound_of(0, 10, IC_WHEN_FULL_DROP_OLDEST);
  ic_message *queue = NULL;
  int dropped = 0;
  for (int i = 0; i < 5; i++)
    CHECK(push(bound, 2, &dropped) == IC_OK);
  CHECK(push(bound, 9, &dropped) == IC_OK);
  CHECK(dropped == 5);
  CHECK(push(bound, 1, &dropped) == IC_OK);
  CHECK(push(bound, 11, &dropped) == IC_OK && dropped == 6);
  CHECK(handle_one(bound, &queue) == 9);
  CHECK(handle_one(bound, &queue) == 1);
  for (int i = 0; i < 5; i++)
    CHECK(handle_one(bound, &queue) == 0);
  CHECK(push(bound, 3, &dropped) == IC_OK);
  CHECK(handle_one(bound, &queue) == 3);
  end(bound, queue);
}

static void lets_wait_in_order(void) {
  ic_bound *bound = bound_of(1, 0, IC_WHEN_FULL_WAIT);
  ic_message *queue = NULL;
  int dropped = 0;
  bool wake, waits;
  CHECK(push(bound, 1, &dropped) == IC_OK);
  CHECK(push(bound, 2, &dropped) == IC_FULL);
  for (size_t i = 2; i <= 3; i++) {
    CHECK(ic_bound_push_later(bound, &mailbox, value(i), NULL, &wake, &waits) ==
          IC_OK);
    CHECK(waits);
  }
  CHECK(handle_one(bound, &queue) == 1);
  CHECK(push(bound, 4, &dropped) == IC_FULL);  // 3 is before it
  CHECK(handle_one(bound, &queue) == 2);
  CHECK(handle_one(bound, &queue) == 3);
  CHECK(push(bound, 4, &dropped) == IC_OK);
  end(bound, queue);
}

static void tells_who_waited(void) {
  ic_bound *bound = bound_of(1, 0, IC_WHEN_FULL_WAIT);
  ic_message *queue = NULL, *notices, *left;
  ic_message *first = ic_message_new_event(IC_MESSAGE_ROOM);
  ic_message *second = ic_message_new_event(IC_MESSAGE_ROOM);
  int dropped = 0;
  bool wake, waits;
  CHECK(push(bound, 1, &dropped) == IC_OK);
  CHECK(ic_bound_push_later(bound, &mailbox, value(2), first, &wake, &waits) ==
        IC_OK);
  CHECK(ic_bound_push_later(bound, &mailbox, value(3), second, &wake, &waits) ==
        IC_OK);
  queue = ic_mailbox_take(&mailbox);
  notices = make_room(bound, queue);
  CHECK(notices == first && !first->next && first->status == IC_OK);
  ic_message_free_chain(notices);
  left = ic_bound_close(bound, &notices);
  CHECK(notices == second && second->status == IC_GONE);
  CHECK(left && left->value_size == 3 && !left->next);
  ic_message_free_chain(notices);
  ic_message_free_chain(left);
  CHECK(push(bound, 4, &dropped) == IC_GONE);
  end(bound, queue);
}

static void takes_a_request_back(void) {
  ic_bound *bound = bound_of(1, 0, IC_WHEN_FULL_WAIT);
  int dropped = 0;
  bool wake, waits;
  CHECK(push(bound, 1, &dropped) == IC_OK);
  ic_message *request = value(2);
  request->request = 7;
  CHECK(ic_bound_push_later(bound, &mailbox, request, NULL, &wake, &waits) ==
        IC_OK);
  CHECK(ic_bound_withdraw(bound, &mailbox, NULL, 8) == NULL);
  CHECK(ic_bound_withdraw(bound, &mailbox, NULL, 7) == request);
  CHECK(ic_bound_withdraw(bound, &mailbox, NULL, 7) == NULL);
  ic_message_free(request);
  CHECK(ic_bound_push_later(bound, &mailbox, value(3), NULL, &wake, &waits) ==
        IC_OK);
  CHECK(waits);
  end(bound, NULL);
}

// --- Many threads -----------------------------------------------------------

enum { SENDERS = 4, EACH = 5000, MOST = 8 };

typedef struct {
  ic_bound *bound;
  bool waits;
  int dropped;
  _Atomic int *left;
} sender;

static void *send_many(void *argument) {
  sender *self = argument;
  for (int i = 0; i < EACH;) {
    ic_status status;
    if (self->waits) {
      bool wake, waits;
      ic_message *message = value(1);
      status = ic_bound_push_later(self->bound, &mailbox, message, NULL, &wake,
                                   &waits);
      if (status != IC_OK) ic_message_free(message);
    } else {
      status = push(self->bound, 1, &self->dropped);
    }
    if (status == IC_OK) i++;
    if (status == IC_FULL) ic_thread_relax();
  }
  atomic_fetch_sub(self->left, 1);
  return NULL;
}

static void keep_count(ic_when_full when_full) {
  ic_bound *bound = bound_of(MOST, 0, when_full);
  _Atomic int left = SENDERS;
  sender senders[SENDERS];
  ic_thread threads[SENDERS];
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = (sender){bound, when_full == IC_WHEN_FULL_WAIT, 0, &left};
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, send_many,
                          &senders[i]) == IC_OK);
  }
  int handled = 0, dropped = 0;
  size_t longest = 0;
  ic_message *queue = NULL;
  for (;;) {
    bool all_sent = atomic_load(&left) == 0;
    if (!queue) {
      queue = take(bound);
      size_t length = 0;
      for (ic_message *next = queue; next; next = next->next)
        length++;
      if (length > longest) longest = length;
      if (!queue && all_sent) break;
    }
    if (handle_one(bound, &queue) > 0) handled++;
  }
  for (int i = 0; i < SENDERS; i++) {
    ic_thread_join(threads[i]);
    dropped += senders[i].dropped;
  }
  CHECK(longest <= MOST);
  CHECK(handled + dropped == SENDERS * EACH);
  CHECK(ic_bound_dropped(bound) == (uint64_t)dropped);
  end(bound, queue);
}

// Where there is no memory for it nobody waits, and the isolate need not end.
static void is_full_where_there_is_no_memory_to_wait(void) {
  ic_bound *bound = bound_of(1, 0, IC_WHEN_FULL_WAIT);
  int dropped = 0, waiting = 0;
  bool wake, waits = true;
  weight.most_bytes = 100 * sizeof(ic_message);
  CHECK(push(bound, 1, &dropped) == IC_OK);
  while (waits) {
    ic_message *message = value(1);
    ic_status status =
        ic_bound_push_later(bound, &mailbox, message, NULL, &wake, &waits);
    CHECK(status == (waits ? IC_OK : IC_FULL));
    if (!waits) ic_message_free(message);
    waiting += waits;
  }
  CHECK(waiting > 10 && waiting < 100);
  CHECK(!atomic_load(&weight.is_over));
  end(bound, NULL);
}

// Tokens weigh, too, the spare ones with them.
static void weighs_what_it_keeps_apart(void) {
  ic_bound *bound = bound_of(0, 1000, IC_WHEN_FULL_DROP_OLDEST);
  ic_message *queue = NULL;
  int dropped = 0;
  weight.most_bytes = 1 << 20;
  for (int i = 0; i < 100; i++)
    CHECK(push(bound, 10, &dropped) == IC_OK);
  CHECK(ic_weight_outside_bytes(&mailbox) >= 200 * sizeof(ic_message));
  CHECK(push(bound, 1000, &dropped) == IC_OK);
  CHECK(ic_weight_outside_bytes(&mailbox) >= 100 * sizeof(ic_message));
  CHECK(handle_one(bound, &queue) == 1000);
  for (int i = 0; i < 99; i++)
    CHECK(handle_one(bound, &queue) == 0);
  CHECK(ic_weight_outside_bytes(&mailbox) == 0);
  end(bound, queue);
}

static void is_never_exceeded_where_senders_fail(void) {
  CALL(keep_count(IC_WHEN_FULL_FAIL));
}

static void is_never_exceeded_where_senders_wait(void) {
  CALL(keep_count(IC_WHEN_FULL_WAIT));
}

static void is_never_exceeded_where_messages_are_dropped(void) {
  CALL(keep_count(IC_WHEN_FULL_DROP_NEWEST));
  CALL(keep_count(IC_WHEN_FULL_DROP_OLDEST));
}

int main(void) {
  RUN(is_full_at_its_count);
  RUN(is_full_at_its_bytes);
  RUN(counts_on_beyond_the_largest_number);
  RUN(has_room_within_the_largest_bounds);
  RUN(drops_the_newest);
  RUN(drops_the_oldest);
  RUN(drops_as_many_as_it_must);
  RUN(lets_wait_in_order);
  RUN(tells_who_waited);
  RUN(takes_a_request_back);
  RUN(is_full_where_there_is_no_memory_to_wait);
  RUN(weighs_what_it_keeps_apart);
  RUN(is_never_exceeded_where_senders_fail);
  RUN(is_never_exceeded_where_senders_wait);
  RUN(is_never_exceeded_where_messages_are_dropped);
  return check_report("bound");
}
