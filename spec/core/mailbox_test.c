// mailbox_test.c - order, sleep and the end, with many senders at once.
//
// The reader here sleeps on a parker, as isolates do: a wake-up that is lost
// leaves a test waiting for ever.

#include "core/mailbox.h"

#include "check.h"
#include "core/sync.h"

static ic_message *new_numbered(uint64_t sender, uint64_t number) {
  ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
  message->cluster_key = sender;
  message->request = number;
  return message;
}

// Takes what there is; how many, or -1 if they were not 0, 1, 2…
static int take_in_order(ic_message *chain) {
  int count = 0;
  bool in_order = true;
  for (ic_message *at = chain; at; at = at->next) {
    in_order = in_order && at->request == (uint64_t)count++;
  }
  ic_message_free_chain(chain);
  return in_order ? count : -1;
}

// --- One thread -------------------------------------------------------------

static void gives_all_messages_the_oldest_first(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake;
  for (uint64_t i = 0; i < 5; i++) {
    CHECK(ic_mailbox_push(&mailbox, new_numbered(0, i), &wake) == IC_OK);
  }
  ic_message *chain = ic_mailbox_take(&mailbox), *last = chain;
  while (last->next)
    last = last->next;
  CHECK(mailbox.last == last);
  CHECK(take_in_order(chain) == 5);
  CHECK(ic_mailbox_take(&mailbox) == NULL);
  CHECK(atomic_load(&mailbox.pushed) == 5);
}

static void only_the_first_push_wakes_a_sleeper(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake = true;
  ic_mailbox_push(&mailbox, new_numbered(0, 0), &wake);
  CHECK(!wake);
  ic_message_free_chain(ic_mailbox_take(&mailbox));
  CHECK(ic_mailbox_sleep(&mailbox));
  ic_mailbox_push(&mailbox, new_numbered(0, 0), &wake);
  CHECK(wake);
  ic_mailbox_push(&mailbox, new_numbered(0, 1), &wake);
  CHECK(!wake);
  CHECK(take_in_order(ic_mailbox_take(&mailbox)) == 2);
}

static void nobody_sleeps_on_a_message(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake;
  ic_mailbox_push(&mailbox, new_numbered(0, 0), &wake);
  CHECK(!ic_mailbox_sleep(&mailbox));
  ic_message_free_chain(ic_mailbox_take(&mailbox));
  CHECK(ic_mailbox_sleep(&mailbox));
  CHECK(ic_mailbox_sleep(&mailbox));
  CHECK(ic_mailbox_take(&mailbox) == NULL);
}

static void who_is_awake_again_is_not_woken(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  CHECK(ic_mailbox_sleep(&mailbox));
  ic_mailbox_awake(&mailbox);
  bool wake;
  ic_mailbox_push(&mailbox, new_numbered(0, 0), &wake);
  CHECK(!wake);
  ic_mailbox_awake(&mailbox);
  CHECK(take_in_order(ic_mailbox_take(&mailbox)) == 1);
}

static void closing_gives_what_was_left(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake;
  for (uint64_t i = 0; i < 3; i++) {
    ic_mailbox_push(&mailbox, new_numbered(0, i), &wake);
  }
  CHECK(!ic_mailbox_is_closed(&mailbox));
  CHECK(take_in_order(ic_mailbox_close(&mailbox)) == 3);
  CHECK(ic_mailbox_is_closed(&mailbox));
}

static void closed_is_closed_for_good(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  CHECK(ic_mailbox_sleep(&mailbox));
  CHECK(ic_mailbox_close(&mailbox) == NULL);
  CHECK(ic_mailbox_close(&mailbox) == NULL);
  CHECK(!ic_mailbox_sleep(&mailbox));
  ic_mailbox_awake(&mailbox);
  CHECK(ic_mailbox_take(&mailbox) == NULL);
  ic_message *message = new_numbered(0, 0);
  bool wake;
  CHECK(ic_mailbox_push(&mailbox, message, &wake) == IC_GONE);
  ic_message_free(message);
  CHECK(ic_mailbox_is_closed(&mailbox));
}

static void a_dated_one_knows_what_came_before_a_moment(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake;
  ic_mailbox_push(&mailbox, new_numbered(0, 0), &wake);
  atomic_store(&mailbox.is_dated, true);
  ic_mailbox_push(&mailbox, new_numbered(0, 1), &wake);
  uint64_t moment = ic_mailbox_next_moment();
  CHECK(moment == ic_mailbox_moment());
  ic_mailbox_push(&mailbox, new_numbered(0, 2), &wake);
  ic_message *chain = ic_mailbox_take(&mailbox);
  CHECK(chain->moment == 0);
  CHECK(chain->next->moment == moment - 1);
  CHECK(chain->next->next->moment == moment);
  ic_message_free_chain(chain);
}

static void call(ic_mailbox *mailbox) {
  ic_mailbox_unlock_calling(mailbox, ic_mailbox_lock(mailbox));
}

static void who_is_called_takes_once_more_before_a_sleep(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  call(&mailbox);
  call(&mailbox);
  CHECK(!ic_mailbox_is_empty(&mailbox));
  CHECK(!ic_mailbox_sleep(&mailbox));
  CHECK(ic_mailbox_take(&mailbox) == NULL);
  CHECK(ic_mailbox_is_empty(&mailbox));
  CHECK(ic_mailbox_sleep(&mailbox));
  call(&mailbox);  // who sleeps is not disturbed
  uint64_t naps;
  CHECK(ic_mailbox_is_asleep(&mailbox, &naps));
}

static void a_call_is_no_message(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  bool wake = true;
  call(&mailbox);
  ic_message *head = ic_mailbox_lock(&mailbox);
  ic_mailbox_push_locked(&mailbox, head, new_numbered(0, 0), &wake);
  CHECK(!wake);
  call(&mailbox);
  CHECK(take_in_order(ic_mailbox_take(&mailbox)) == 1);
  call(&mailbox);
  CHECK(ic_mailbox_close(&mailbox) == NULL);
  CHECK(mailbox.taken == 1 && atomic_load(&mailbox.pushed) == 1);
}

static void what_came_by_another_way_is_counted(void) {
  ic_mailbox mailbox;
  ic_mailbox_init(&mailbox);
  ic_mailbox_count(&mailbox, 3);
  CHECK(mailbox.taken == 3 && atomic_load(&mailbox.pushed) == 3);
}

// --- Many threads -----------------------------------------------------------

enum { SENDERS = 3, MESSAGES = 2000, CLOSINGS = 400 };

// Delays of a few dozen steps, or now and then the rest of a time slice, from a
// sequence of the thread's own: they make the threads meet in all places.
static void linger(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  uint32_t random = *state >> 24;
  if (random < 8) ic_now_ns();
  for (volatile uint32_t i = 0; i < random; i++) {
  }
}

typedef struct {
  ic_mailbox mailbox;
  ic_parker parker;
  bool locks;  // whoever pushes
  _Atomic uint64_t pushed;
} letterbox;

typedef struct {
  letterbox *to;
  uint64_t number;
  uint64_t refused;
} sender;

// Every other time the lock is taken once for nothing.
static ic_status push_with_lock(ic_mailbox *mailbox, ic_message *message,
                                bool *wake, uint32_t *state) {
  ic_message *head = ic_mailbox_lock(mailbox);
  if (message->request % 2 == 0) {
    ic_mailbox_unlock(mailbox, head);
    head = ic_mailbox_lock(mailbox);
  }
  linger(state);
  if (head == IC_MAILBOX_CLOSED) {
    ic_mailbox_unlock(mailbox, head);
    return IC_GONE;
  }
  ic_mailbox_push_locked(mailbox, head, message, wake);
  return IC_OK;
}

static void *send_all(void *argument) {
  sender *self = argument;
  uint32_t state = (uint32_t)self->number + 1;
  for (uint64_t i = 0; i < MESSAGES; i++) {
    linger(&state);
    ic_message *message = new_numbered(self->number, i);
    bool wake = false;
    ic_mailbox *mailbox = &self->to->mailbox;
    ic_status status = self->to->locks
                           ? push_with_lock(mailbox, message, &wake, &state)
                           : ic_mailbox_push(mailbox, message, &wake);
    if (status != IC_OK) {
      ic_message_free(message);
      self->refused = MESSAGES - i;
      break;
    }
    if (wake) ic_parker_unpark(&self->to->parker);
    atomic_fetch_add(&self->to->pushed, 1);
  }
  return NULL;
}

static void start(letterbox *box, bool locks, sender *senders,
                  ic_thread *threads) {
  ic_mailbox_init(&box->mailbox);
  ic_parker_init(&box->parker);
  atomic_init(&box->pushed, 0);
  box->locks = locks;
  for (uint64_t i = 0; i < SENDERS; i++) {
    senders[i] = (sender){box, i, 0};
    ic_status status = ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES,
                                       send_all, &senders[i]);
    CHECK(status == IC_OK);
  }
}

// Takes [chain], which follows what [next] says was taken before; how many,
// or -1 where a sender's messages are not in its order.
static int64_t follow(ic_message *chain, uint64_t next[SENDERS]) {
  int64_t count = 0;
  for (ic_message *at = chain; at && count >= 0; at = at->next) {
    bool is_next = at->request == next[at->cluster_key]++;
    count = is_next ? count + 1 : -1;
  }
  ic_message_free_chain(chain);
  return count;
}

static ic_message *sleep_and_take(letterbox *box) {
  ic_message *chain = ic_mailbox_take(&box->mailbox);
  if (chain) return chain;
  if (ic_mailbox_sleep(&box->mailbox)) {
    ic_parker_park(&box->parker, IC_NEVER);
    ic_mailbox_awake(&box->mailbox);
  }
  return ic_mailbox_take(&box->mailbox);
}

static void converse(bool locks) {
  letterbox box;
  sender senders[SENDERS];
  ic_thread threads[SENDERS];
  CALL(start(&box, locks, senders, threads));
  uint64_t next[SENDERS] = {0};
  uint32_t state = 99;
  int64_t taken = 0;
  while (taken < SENDERS * MESSAGES) {
    linger(&state);
    int64_t count = follow(sleep_and_take(&box), next);
    CHECK(count >= 0);
    taken += count;
  }
  for (int i = 0; i < SENDERS; i++)
    ic_thread_join(threads[i]);
  CHECK(ic_mailbox_take(&box.mailbox) == NULL);
  CHECK(atomic_load(&box.mailbox.pushed) == SENDERS * MESSAGES);
}

static void each_senders_order_is_kept_and_no_wake_up_lost(void) {
  CALL(converse(false));
}

static void likewise_where_pushes_lock_the_mailbox(void) {
  CALL(converse(true));
}

// Each message is refused or given to the reader, by a take or by the close.
static void nothing_is_lost_where_a_close_meets_pushes(void) {
  for (uint32_t round = 0; round < CLOSINGS; round++) {
    letterbox box;
    sender senders[SENDERS];
    ic_thread threads[SENDERS];
    CALL(start(&box, round % 2 == 1, senders, threads));
    uint64_t next[SENDERS] = {0};
    int64_t taken = follow(sleep_and_take(&box), next);
    uint32_t state = round;
    linger(&state);
    int64_t left = follow(ic_mailbox_close(&box.mailbox), next);
    CHECK(taken >= 0 && left >= 0);
    uint64_t refused = 0;
    for (int i = 0; i < SENDERS; i++) {
      ic_thread_join(threads[i]);
      refused += senders[i].refused;
    }
    CHECK((uint64_t)(taken + left) == atomic_load(&box.pushed));
    CHECK((uint64_t)(taken + left) + refused == SENDERS * MESSAGES);
  }
}

int main(void) {
  RUN(gives_all_messages_the_oldest_first);
  RUN(only_the_first_push_wakes_a_sleeper);
  RUN(nobody_sleeps_on_a_message);
  RUN(who_is_awake_again_is_not_woken);
  RUN(closing_gives_what_was_left);
  RUN(closed_is_closed_for_good);
  RUN(a_dated_one_knows_what_came_before_a_moment);
  RUN(who_is_called_takes_once_more_before_a_sleep);
  RUN(a_call_is_no_message);
  RUN(what_came_by_another_way_is_counted);
  RUN(each_senders_order_is_kept_and_no_wake_up_lost);
  RUN(likewise_where_pushes_lock_the_mailbox);
  RUN(nothing_is_lost_where_a_close_meets_pushes);
  return check_report("mailbox");
}
