// mailbox.c - the chain in [head] runs from the newest to the oldest message;
// take reverses it once for the whole batch.

#include "core/mailbox.h"

#include <stddef.h>

ic_message ic_mailbox_marks[3];
#define ASLEEP IC_MAILBOX_ASLEEP
#define CLOSED IC_MAILBOX_CLOSED
#define CALLED IC_MAILBOX_CALLED

void ic_mailbox_init(ic_mailbox *mailbox) {
  *mailbox = (ic_mailbox){0};
}

static _Atomic uint64_t last_moment;

uint64_t ic_mailbox_moment(void) {
  return atomic_load_explicit(&last_moment, memory_order_acquire);
}

uint64_t ic_mailbox_next_moment(void) {
  return atomic_fetch_add_explicit(&last_moment, 1, memory_order_acq_rel) + 1;
}

static void date(const ic_mailbox *mailbox, ic_message *message) {
  if (atomic_load_explicit(&mailbox->is_dated, memory_order_relaxed)) {
    message->moment = ic_mailbox_moment();
  }
}

ic_status ic_mailbox_push(ic_mailbox *mailbox, ic_message *message,
                          bool *wake) {
  // Counted first, so that what was taken was counted before.
  atomic_fetch_add_explicit(&mailbox->pushed, 1, memory_order_relaxed);
  date(mailbox, message);
  ic_message *head;
  do {
    head = ic_mailbox_head(mailbox);
    if (head == CLOSED) return IC_GONE;
    message->next = head == ASLEEP ? NULL : head;
  } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head,
                                                  message, memory_order_acq_rel,
                                                  memory_order_relaxed));
  *wake = head == ASLEEP;
  return IC_OK;
}

ic_message *ic_mailbox_await_unlock(const ic_mailbox *mailbox) {
  enum { ROUNDS = 100 };
  for (unsigned round = 1;; round++) {
    ic_message *head =
        atomic_load_explicit(&mailbox->head, memory_order_relaxed);
    if (!((uintptr_t)head & 1)) return head;
    if (round % ROUNDS == 0) ic_thread_give_way();
    ic_thread_relax();
  }
}

void ic_mailbox_push_locked(ic_mailbox *mailbox, ic_message *head,
                            ic_message *message, bool *wake) {
  date(mailbox, message);
  ic_mailbox_link_locked(mailbox, head, message, wake);
}

// [*count] rises by how many there are.
static ic_message *reverse(ic_message *newest, uint64_t *count) {
  ic_message *oldest = NULL;
  while (newest) {
    ic_message *older = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = older;
    ++*count;
  }
  return oldest;
}

ic_message *ic_mailbox_take(ic_mailbox *mailbox) {
  ic_message *head;
  do {
    head = ic_mailbox_head(mailbox);
    if (!head || head == ASLEEP || head == CLOSED) return NULL;
    // From another core, as the mailbox: all of it on its way at once.
    __builtin_prefetch(head);
    __builtin_prefetch((const char *)head + IC_CACHE_LINE);
  } while (!atomic_compare_exchange_weak_explicit(
      &mailbox->head, &head, NULL, memory_order_acquire, memory_order_relaxed));
  if (head == CALLED) return NULL;
  mailbox->last = head;
  return reverse(head, &mailbox->taken);
}

void ic_mailbox_count(ic_mailbox *mailbox, uint64_t count) {
  ic_message *head = ic_mailbox_lock(mailbox);
  atomic_fetch_add_explicit(&mailbox->pushed, count, memory_order_relaxed);
  ic_mailbox_unlock(mailbox, head);
  mailbox->taken += count;
}

bool ic_mailbox_sleep(ic_mailbox *mailbox) {
  ic_message *empty = NULL;
  // The reader's own, and published by the release below.
  uint64_t naps = atomic_load_explicit(&mailbox->naps, memory_order_relaxed);
  atomic_store_explicit(&mailbox->naps, naps + 1, memory_order_relaxed);
  return atomic_compare_exchange_strong_explicit(&mailbox->head, &empty, ASLEEP,
                                                 memory_order_release,
                                                 memory_order_relaxed) ||
         empty == ASLEEP;
}

// Makes it empty if it is asleep.
static bool end_sleep(ic_mailbox *mailbox, memory_order order) {
  ic_message *head;
  do {
    head = ic_mailbox_head(mailbox);
    if (head != ASLEEP) return false;
  } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, NULL,
                                                  order, memory_order_relaxed));
  return true;
}

void ic_mailbox_awake(ic_mailbox *mailbox) {
  end_sleep(mailbox, memory_order_relaxed);
}

bool ic_mailbox_rouse(ic_mailbox *mailbox) {
  return end_sleep(mailbox, memory_order_acquire);
}

bool ic_mailbox_is_asleep(const ic_mailbox *mailbox, uint64_t *naps) {
  if (atomic_load_explicit(&mailbox->head, memory_order_acquire) != ASLEEP) {
    return false;
  }
  *naps = atomic_load_explicit(&mailbox->naps, memory_order_relaxed);
  return true;
}

bool ic_mailbox_is_empty(const ic_mailbox *mailbox) {
  return !atomic_load_explicit(&mailbox->head, memory_order_relaxed);
}

ic_message *ic_mailbox_close(ic_mailbox *mailbox) {
  uint64_t left = 0;
  ic_message *head;
  do {
    head = ic_mailbox_head(mailbox);
  } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, CLOSED,
                                                  memory_order_acquire,
                                                  memory_order_relaxed));
  bool is_mark = head == ASLEEP || head == CLOSED || head == CALLED;
  return is_mark ? NULL : reverse(head, &left);
}

bool ic_mailbox_is_closed(const ic_mailbox *mailbox) {
  return ic_mailbox_head(mailbox) == CLOSED;
}
