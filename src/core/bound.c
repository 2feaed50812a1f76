// bound.c - counts that are taken before a push; lists of messages by their own links.

#include "core/bound.h"

#include <stdlib.h>

#include "core/sync.h"

typedef struct {
  ic_message *first;
  ic_message **end;
} list;

// One that waits for room.
typedef struct waiter {
  struct waiter *next;
  ic_message *message;
  ic_message *notice;  // or NULL
} waiter;

struct ic_bound {
  // Written once.
  size_t most_messages, most_bytes;  // 0: any, and not counted
  ic_when_full when_full;
  ic_weight *weight;

  _Atomic size_t messages, bytes;  // of values
  _Atomic size_t waiter_count;     // written with the mutex

  ic_mutex mutex;  // guard of all that follows
  bool closed;
  uint64_t dropped;
  list values;  // IC_WHEN_FULL_DROP_OLDEST: oldest first
  size_t spare_tokens;
  waiter *waiting;  // IC_WHEN_FULL_WAIT: oldest first
  waiter **waiting_end;
};

static void list_init(list *self) {
  self->first = NULL;
  self->end = &self->first;
}

static void append(list *self, ic_message *message) {
  message->next = NULL;
  *self->end = message;
  self->end = &message->next;
}

static ic_message *shift(list *self) {
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
  bound->most_messages = limits->mailbox_messages;
  bound->most_bytes = limits->mailbox_bytes;
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

// --- Counting ---------------------------------------------------------------

static size_t size_of(const ic_message *message) {
  return message->value_size + message->correlation_size + message->type_size;
}

// Takes [by] of a count that is bound to [most], unless that is too much.
static bool take(_Atomic size_t *count, size_t most, size_t by) {
  if (most == 0) return true;
  size_t now = atomic_load(count);
  do {
    if (by > most || now > most - by) return false;
  } while (!atomic_compare_exchange_weak(count, &now, now + by));
  return true;
}

static void give(_Atomic size_t *count, size_t most, size_t by) {
  if (most > 0) atomic_fetch_sub(count, by);
}

// Takes a place for a value of [size].
static bool reserve(ic_bound *bound, size_t size) {
  if (!take(&bound->messages, bound->most_messages, 1)) return false;
  if (take(&bound->bytes, bound->most_bytes, size)) return true;
  give(&bound->messages, bound->most_messages, 1);
  return false;
}

static void vacate(ic_bound *bound, size_t size) {
  give(&bound->messages, bound->most_messages, 1);
  give(&bound->bytes, bound->most_bytes, size);
}

static bool never_fits(const ic_bound *bound, size_t size) {
  return bound->most_bytes > 0 && size > bound->most_bytes;
}

// --- Pushing ----------------------------------------------------------------

// Pushes [message], for which a place is taken.
static ic_status push_in_place(ic_bound *bound, ic_mailbox *mailbox,
                               ic_message *message, bool *wake) {
  size_t size = size_of(message);  // the reader's, once it is pushed
  ic_status status = ic_weight_add(bound->weight, message)
                         ? ic_mailbox_push(mailbox, message, wake)
                         : IC_GONE;
  if (status == IC_OK) return IC_OK;
  ic_weight_lift(bound->weight, message);
  vacate(bound, size);
  return status;
}

static void drop_locked(ic_bound *bound, ic_message *message, list *dropped) {
  bound->dropped++;
  append(dropped, message);
}

// Sees to it that there is a spare token in the mailbox.
static ic_status add_token_locked(ic_bound *bound, ic_mailbox *mailbox,
                                  bool *wake) {
  if (bound->spare_tokens > 0) return IC_OK;
  ic_message *token = ic_message_new_event(IC_MESSAGE_TOKEN);
  if (!token) return IC_MEMORY;
  ic_status status = ic_weight_add(bound->weight, token)
                         ? ic_mailbox_push(mailbox, token, wake)
                         : IC_GONE;
  if (status == IC_OK) {
    bound->spare_tokens++;
  } else {
    ic_weight_lift(bound->weight, token);
    ic_message_free(token);
  }
  return status;
}

static void drop_first_locked(ic_bound *bound, list *dropped) {
  ic_message *oldest = shift(&bound->values);
  ic_weight_lift(bound->weight, oldest);
  vacate(bound, size_of(oldest));
  bound->spare_tokens++;
  drop_locked(bound, oldest, dropped);
}

static ic_status drop_oldest_locked(ic_bound *bound, ic_mailbox *mailbox,
                                    ic_message *message, bool *wake,
                                    list *dropped) {
  size_t size = size_of(message);
  while (!reserve(bound, size))
    drop_first_locked(bound, dropped);
  ic_status status = add_token_locked(bound, mailbox, wake);
  if (status == IC_OK && !ic_weight_add(bound->weight, message))
    status = IC_GONE;
  if (status != IC_OK) {
    vacate(bound, size);
    return status;
  }
  bound->spare_tokens--;
  append(&bound->values, message);
  return IC_OK;
}

static ic_status choose_locked(ic_bound *bound, ic_mailbox *mailbox,
                               ic_message *message, bool *wake, list *dropped) {
  if (bound->closed) return IC_GONE;
  if (bound->when_full == IC_WHEN_FULL_DROP_OLDEST &&
      !never_fits(bound, size_of(message))) {
    return drop_oldest_locked(bound, mailbox, message, wake, dropped);
  }
  if (bound->when_full < IC_WHEN_FULL_DROP_OLDEST) return IC_FULL;
  drop_locked(bound, message, dropped);
  return IC_OK;
}

// Where values are in the mailbox itself, and nobody is overtaken.
static bool reserve_at_once(ic_bound *bound, const ic_message *message) {
  return bound->when_full != IC_WHEN_FULL_DROP_OLDEST &&
         atomic_load(&bound->waiter_count) == 0 &&
         reserve(bound, size_of(message));
}

ic_status ic_bound_push(ic_bound *bound, ic_mailbox *mailbox,
                        ic_message *message, bool *wake, ic_message **dropped) {
  *wake = false;
  *dropped = NULL;
  if (reserve_at_once(bound, message)) {
    return push_in_place(bound, mailbox, message, wake);
  }
  list drops;
  list_init(&drops);
  ic_mutex_lock(&bound->mutex);
  ic_status status = choose_locked(bound, mailbox, message, wake, &drops);
  ic_mutex_unlock(&bound->mutex);
  *dropped = drops.first;
  return status;
}

// --- Waiting ----------------------------------------------------------------

// Unlinks the waiter behind [link], and frees it.
static void remove_waiter_locked(ic_bound *bound, waiter **link) {
  waiter *old = *link;
  *link = old->next;
  if (!*link) bound->waiting_end = link;
  atomic_fetch_sub(&bound->waiter_count, 1);
  free(old);
}

static void add_waiter_locked(ic_bound *bound, waiter *new) {
  new->next = NULL;
  *bound->waiting_end = new;
  bound->waiting_end = &new->next;
  atomic_fetch_add(&bound->waiter_count, 1);
}

// The first of those that wait is pushed, for whom a place is taken.
static ic_status push_first_locked(ic_bound *bound, ic_mailbox *mailbox,
                                   bool *wake) {
  ic_message *message = bound->waiting->message;
  size_t size = size_of(message);
  ic_status status = ic_mailbox_push(mailbox, message, wake);
  if (status == IC_OK) {
    remove_waiter_locked(bound, &bound->waiting);
  } else {
    vacate(bound, size);
  }
  return status;
}

// Others that wait before it are for who makes room.
static ic_status wait_locked(ic_bound *bound, ic_mailbox *mailbox, waiter *new,
                             bool *wake, bool *waits) {
  if (bound->closed) return IC_GONE;
  size_t size = size_of(new->message);
  if (never_fits(bound, size)) return IC_FULL;
  if (!ic_weight_try(bound->weight, new->message)) return IC_FULL;
  add_waiter_locked(bound, new);
  *waits = true;
  if (bound->waiting != new || !reserve(bound, size)) return IC_OK;
  *waits = push_first_locked(bound, mailbox, wake) != IC_OK;
  return IC_OK;
}

ic_status ic_bound_push_later(ic_bound *bound, ic_mailbox *mailbox,
                              ic_message *message, ic_message *notice,
                              bool *wake, bool *waits) {
  *wake = *waits = false;
  if (reserve_at_once(bound, message)) {
    return push_in_place(bound, mailbox, message, wake);
  }
  waiter *new = malloc(sizeof *new);
  if (!new) return IC_MEMORY;
  *new = (waiter){NULL, message, notice};
  ic_mutex_lock(&bound->mutex);
  ic_status status = wait_locked(bound, mailbox, new, wake, waits);
  ic_mutex_unlock(&bound->mutex);
  if (status != IC_OK) free(new);
  return status;
}

static void give_notice(ic_message *notice, ic_status status, list *notices) {
  if (!notice) return;
  notice->status = status;
  append(notices, notice);
}

static void serve_locked(ic_bound *bound, ic_mailbox *mailbox, list *notices) {
  while (bound->waiting && reserve(bound, size_of(bound->waiting->message))) {
    ic_message *notice = bound->waiting->notice;
    bool wake;  // nobody sleeps: the reader is who calls
    if (push_first_locked(bound, mailbox, &wake) != IC_OK) break;
    give_notice(notice, IC_OK, notices);
  }
}

ic_message *ic_bound_make_room(ic_bound *bound, ic_mailbox *mailbox,
                               const ic_message *message) {
  list notices;
  vacate(bound, size_of(message));
  if (atomic_load(&bound->waiter_count) == 0) return NULL;
  list_init(&notices);
  ic_mutex_lock(&bound->mutex);
  serve_locked(bound, mailbox, &notices);
  ic_mutex_unlock(&bound->mutex);
  return notices.first;
}

ic_message *ic_bound_withdraw(ic_bound *bound, const ic_isolate *asker,
                              uint64_t number) {
  ic_message *found = NULL;
  ic_mutex_lock(&bound->mutex);
  for (waiter **link = &bound->waiting; *link; link = &(*link)->next) {
    ic_message *message = (*link)->message;
    if (message->request != number || ic_message_reply_to(message) != asker) {
      continue;
    }
    found = message;
    remove_waiter_locked(bound, link);
    break;
  }
  ic_mutex_unlock(&bound->mutex);
  if (found) ic_weight_lift(bound->weight, found);
  return found;
}

// --- Taking -----------------------------------------------------------------

ic_message *ic_bound_redeem(ic_bound *bound) {
  ic_mutex_lock(&bound->mutex);
  ic_message *value = shift(&bound->values);
  if (value) {
    ic_weight_lift(bound->weight, value);
    vacate(bound, size_of(value));
  } else if (bound->spare_tokens > 0) {
    bound->spare_tokens--;
  }
  ic_mutex_unlock(&bound->mutex);
  return value;
}

ic_message *ic_bound_close(ic_bound *bound, ic_message **notices) {
  list left, told;
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
