// bound.c - counts that are taken before a push; lists of messages by their own links.

#include "core/bound.h"

#include <stdlib.h>

struct ic_waiter {
  ic_waiter *next;
  ic_message *message;
  ic_message *notice;  // or NULL
};

static void list_init(ic_message_list *self) {
  self->first = NULL;
  self->end = &self->first;
}

static void append(ic_message_list *self, ic_message *message) {
  message->next = NULL;
  *self->end = message;
  self->end = &message->next;
}

static ic_message *shift(ic_message_list *self) {
  ic_message *message = self->first;
  if (!message) return NULL;
  self->first = message->next;
  if (!self->first) self->end = &self->first;
  message->next = NULL;
  return message;
}

ic_bound *ic_bound_new(const ic_limits *limits, ic_weight *weight) {
  ic_bound *bound = calloc(1, sizeof *bound);
  if (!bound) return NULL;
  // There is no memory for more than can be counted.
  bool is_counted = limits->mailbox_messages - 1 < UINT32_MAX;
  bound->most_messages =
      is_counted ? (uint32_t)limits->mailbox_messages : UINT32_MAX;
  bound->most_bytes =
      limits->mailbox_bytes > 0 ? limits->mailbox_bytes : SIZE_MAX;
  bound->when_full = limits->when_full;
  bound->weight = weight;
  ic_mutex_init(&bound->mutex);
  list_init(&bound->values);
  bound->waiting_end = &bound->waiting;
  return bound;
}

void ic_bound_free(ic_bound *bound) {
  if (!bound) return;
  ic_message *notices;
  ic_message_free_chain(ic_bound_close(bound, &notices));
  ic_message_free_chain(notices);
  ic_mutex_fini(&bound->mutex);
  free(bound);
}

// --- Pushing ----------------------------------------------------------------

// What is freed was placed before: so it never exceeds that.
bool ic_bound_place_locked(const ic_bound *bound, ic_mailbox *mailbox,
                           size_t size) {
  if (ic_bound_place_as_seen(mailbox, size)) return true;
  // Behind this one there is no older of the other, as they are freed together.
  mailbox->placed_bytes_end =
      atomic_load_explicit(&mailbox->freed_bytes, memory_order_acquire) +
      bound->most_bytes;
  mailbox->placed_values_end =
      atomic_load_explicit(&mailbox->freed_values, memory_order_relaxed) +
      bound->most_messages;
  return ic_bound_place_as_seen(mailbox, size);
}

static bool take_place(const ic_bound *bound, ic_mailbox *mailbox,
                       size_t size) {
  ic_message *head = ic_mailbox_lock(mailbox);
  bool has_place = ic_bound_place_locked(bound, mailbox, size);
  ic_mailbox_unlock(mailbox, head);
  return has_place;
}

// Likewise; where there is none, the reader is called.
static bool take_place_or_call(const ic_bound *bound, ic_mailbox *mailbox,
                               size_t size) {
  ic_message *head = ic_mailbox_lock(mailbox);
  bool has_place = ic_bound_place_locked(bound, mailbox, size);
  if (has_place) {
    ic_mailbox_unlock(mailbox, head);
  } else {
    ic_mailbox_unlock_calling(mailbox, head);
  }
  return has_place;
}

static void return_place(ic_mailbox *mailbox, size_t size) {
  ic_message *head = ic_mailbox_lock(mailbox);
  ic_bound_return_place_locked(mailbox, size);
  ic_mailbox_unlock(mailbox, head);
}

// Pushes [message], which is weighed.
static ic_status push(ic_mailbox *mailbox, ic_message *message, bool *wake) {
  ic_message *head = ic_mailbox_lock(mailbox);
  if (head == IC_MAILBOX_CLOSED) {
    ic_mailbox_unlock(mailbox, head);
    return IC_GONE;
  }
  ic_mailbox_push_locked(mailbox, head, message, wake);
  return IC_OK;
}

// Pushes [message], for which a place is taken.
static ic_status push_in_place(ic_bound *bound, ic_mailbox *mailbox,
                               ic_message *message, bool *wake) {
  size_t size = ic_bound_size(message);  // the reader's, once it is pushed
  ic_status status = ic_weight_add(bound->weight, mailbox, message)
                         ? push(mailbox, message, wake)
                         : IC_GONE;
  if (status == IC_OK) return IC_OK;
  ic_weight_take_back(mailbox, message);
  return_place(mailbox, size);
  return status;
}

// Takes a place for [message], if there is one and it overtakes nobody.
static bool reserve(const ic_bound *bound, ic_mailbox *mailbox,
                    const ic_message *message) {
  return ic_bound_is_open(bound) &&
         take_place(bound, mailbox, ic_bound_size(message));
}

static void drop_locked(ic_bound *bound, ic_message *message,
                        ic_message_list *dropped) {
  bound->dropped++;
  append(dropped, message);
}

// Sees to it that there is a spare token in the mailbox.
static ic_status add_token_locked(ic_bound *bound, ic_mailbox *mailbox,
                                  bool *wake) {
  if (bound->spare_tokens > 0) return IC_OK;
  ic_message *token = ic_message_new_event(IC_MESSAGE_TOKEN);
  if (!token) return IC_MEMORY;
  ic_status status = ic_weight_add(bound->weight, mailbox, token)
                         ? push(mailbox, token, wake)
                         : IC_GONE;
  if (status == IC_OK) {
    bound->spare_tokens++;
  } else {
    ic_weight_take_back(mailbox, token);
    ic_message_free(token);
  }
  return status;
}

static void drop_first_locked(ic_bound *bound, ic_mailbox *mailbox,
                              ic_message_list *dropped) {
  ic_message *oldest = shift(&bound->values);
  ic_weight_take_back(mailbox, oldest);
  return_place(mailbox, ic_bound_size(oldest));
  bound->spare_tokens++;
  drop_locked(bound, oldest, dropped);
}

static ic_status drop_oldest_locked(ic_bound *bound, ic_mailbox *mailbox,
                                    ic_message *message, bool *wake,
                                    ic_message_list *dropped) {
  size_t size = ic_bound_size(message);
  while (!take_place(bound, mailbox, size))
    drop_first_locked(bound, mailbox, dropped);
  ic_status status = add_token_locked(bound, mailbox, wake);
  if (status == IC_OK && !ic_weight_add(bound->weight, mailbox, message))
    status = IC_GONE;
  if (status != IC_OK) {
    return_place(mailbox, size);
    return status;
  }
  bound->spare_tokens--;
  append(&bound->values, message);
  return IC_OK;
}

static ic_status choose_locked(ic_bound *bound, ic_mailbox *mailbox,
                               ic_message *message, bool *wake,
                               ic_message_list *dropped) {
  if (bound->closed) return IC_GONE;
  if (bound->when_full == IC_WHEN_FULL_DROP_OLDEST &&
      ic_bound_size(message) <= bound->most_bytes) {
    return drop_oldest_locked(bound, mailbox, message, wake, dropped);
  }
  if (bound->when_full < IC_WHEN_FULL_DROP_OLDEST) return IC_FULL;
  drop_locked(bound, message, dropped);
  return IC_OK;
}

ic_status ic_bound_push(ic_bound *bound, ic_mailbox *mailbox,
                        ic_message *message, bool *wake, ic_message **dropped) {
  *wake = false;
  *dropped = NULL;
  if (reserve(bound, mailbox, message)) {
    return push_in_place(bound, mailbox, message, wake);
  }
  ic_message_list drops;
  list_init(&drops);
  ic_mutex_lock(&bound->mutex);
  ic_status status = choose_locked(bound, mailbox, message, wake, &drops);
  ic_mutex_unlock(&bound->mutex);
  *dropped = drops.first;
  return status;
}

// --- Waiting ----------------------------------------------------------------

// Unlinks the waiter behind [link], and frees it.
static void remove_waiter_locked(ic_bound *bound, ic_waiter **link) {
  ic_waiter *old = *link;
  *link = old->next;
  if (!*link) bound->waiting_end = link;
  atomic_fetch_sub(&bound->waiter_count, 1);
  free(old);
}

static void add_waiter_locked(ic_bound *bound, ic_waiter *new) {
  new->next = NULL;
  *bound->waiting_end = new;
  bound->waiting_end = &new->next;
  atomic_fetch_add(&bound->waiter_count, 1);
}

// The first of those that wait is pushed, for whom a place is taken.
static ic_status push_first_locked(ic_bound *bound, ic_mailbox *mailbox,
                                   bool *wake) {
  ic_message *message = bound->waiting->message;
  size_t size = ic_bound_size(message);
  ic_status status = push(mailbox, message, wake);
  if (status == IC_OK) {
    remove_waiter_locked(bound, &bound->waiting);
  } else {
    return_place(mailbox, size);
  }
  return status;
}

// Others that wait before it are for who makes room.
static ic_status wait_locked(ic_bound *bound, ic_mailbox *mailbox,
                             ic_waiter *new, bool *wake, bool *waits) {
  if (bound->closed) return IC_GONE;
  size_t size = ic_bound_size(new->message);
  if (size > bound->most_bytes) return IC_FULL;
  if (!ic_weight_try(bound->weight, mailbox, new->message)) return IC_FULL;
  add_waiter_locked(bound, new);
  *waits = true;
  if (bound->waiting != new || !take_place_or_call(bound, mailbox, size)) {
    return IC_OK;
  }
  *waits = push_first_locked(bound, mailbox, wake) != IC_OK;
  return IC_OK;
}

ic_status ic_bound_push_later(ic_bound *bound, ic_mailbox *mailbox,
                              ic_message *message, ic_message *notice,
                              bool *wake, bool *waits) {
  *wake = *waits = false;
  if (reserve(bound, mailbox, message)) {
    return push_in_place(bound, mailbox, message, wake);
  }
  ic_waiter *new = malloc(sizeof *new);
  if (!new) return IC_MEMORY;
  *new = (ic_waiter){NULL, message, notice};
  ic_mutex_lock(&bound->mutex);
  ic_status status = wait_locked(bound, mailbox, new, wake, waits);
  ic_mutex_unlock(&bound->mutex);
  if (status != IC_OK) free(new);
  return status;
}

static void give_notice(ic_message *notice, ic_status status,
                        ic_message_list *notices) {
  if (!notice) return;
  notice->status = status;
  append(notices, notice);
}

static void serve_locked(ic_bound *bound, ic_mailbox *mailbox,
                         ic_message_list *notices) {
  while (bound->waiting &&
         take_place(bound, mailbox, ic_bound_size(bound->waiting->message))) {
    ic_message *notice = bound->waiting->notice;
    bool wake;  // nobody sleeps: the reader is who calls
    if (push_first_locked(bound, mailbox, &wake) != IC_OK) break;
    give_notice(notice, IC_OK, notices);
  }
}

ic_message *ic_bound_serve(ic_bound *bound, ic_mailbox *mailbox) {
  ic_message_list notices;
  list_init(&notices);
  ic_mutex_lock(&bound->mutex);
  serve_locked(bound, mailbox, &notices);
  ic_mutex_unlock(&bound->mutex);
  return notices.first;
}

ic_message *ic_bound_withdraw(ic_bound *bound, ic_mailbox *mailbox,
                              const ic_isolate *asker, uint64_t number) {
  ic_message *found = NULL;
  ic_mutex_lock(&bound->mutex);
  for (ic_waiter **link = &bound->waiting; *link; link = &(*link)->next) {
    ic_message *message = (*link)->message;
    if (message->request != number || ic_message_reply_to(message) != asker) {
      continue;
    }
    found = message;
    remove_waiter_locked(bound, link);
    break;
  }
  ic_mutex_unlock(&bound->mutex);
  if (found) ic_weight_take_back(mailbox, found);
  return found;
}

// --- Taking -----------------------------------------------------------------

ic_message *ic_bound_redeem(ic_bound *bound, ic_mailbox *mailbox) {
  ic_mutex_lock(&bound->mutex);
  ic_message *value = shift(&bound->values);
  if (value) {
    ic_weight_lift(mailbox, value);
    ic_bound_leave_place(bound, mailbox, ic_bound_size(value));
  } else if (bound->spare_tokens > 0) {
    bound->spare_tokens--;
  }
  ic_mutex_unlock(&bound->mutex);
  return value;
}

ic_message *ic_bound_close(ic_bound *bound, ic_message **notices) {
  ic_message_list left, told;
  list_init(&told);
  ic_mutex_lock(&bound->mutex);
  bound->closed = true;
  list_init(&left);
  for (ic_message *value; (value = shift(&bound->values)) != NULL;) {
    append(&left, value);
  }
  while (bound->waiting) {
    append(&left, bound->waiting->message);
    give_notice(bound->waiting->notice, IC_GONE, &told);
    remove_waiter_locked(bound, &bound->waiting);
  }
  ic_mutex_unlock(&bound->mutex);
  *notices = told.first;
  return left.first;
}

uint64_t ic_bound_dropped(ic_bound *bound) {
  ic_mutex_lock(&bound->mutex);
  uint64_t dropped = bound->dropped;
  ic_mutex_unlock(&bound->mutex);
  return dropped;
}

bool ic_bound_waits(const ic_bound *bound) {
  return bound->when_full == IC_WHEN_FULL_WAIT;
}
