// bound.c - counts under a mutex; lists of messages by their own links.

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
  size_t most_messages, most_bytes;  // 0: any
  ic_when_full when_full;
  size_t most_memory;  // 0: any
  const _Atomic uint64_t *state_bytes;

  _Atomic bool is_over;  // written with the mutex

  ic_mutex mutex;  // guard of all that follows
  bool closed;
  size_t messages, bytes;
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

ic_bound *ic_bound_new(const ic_limits *limits,
                       const _Atomic uint64_t *state_bytes) {
  ic_bound *bound = calloc(1, sizeof *bound);
  if (!bound) return NULL;
  bound->most_messages = limits->mailbox_messages;
  bound->most_bytes = limits->mailbox_bytes;
  bound->when_full = limits->when_full;
  bound->most_memory = ic_limits_hard_bytes(limits);
  bound->state_bytes = state_bytes;
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

static bool fits(const ic_bound *bound, size_t size) {
  bool in_count =
      bound->most_messages == 0 || bound->messages < bound->most_messages;
  bool in_bytes =
      bound->most_bytes == 0 ||
      (size <= bound->most_bytes && bound->bytes <= bound->most_bytes - size);
  return in_count && in_bytes;
}

static bool never_fits(const ic_bound *bound, size_t size) {
  return bound->most_bytes > 0 && size > bound->most_bytes;
}

static void count_in(ic_bound *bound, size_t size) {
  bound->messages++;
  bound->bytes += size;
}

static void count_out(ic_bound *bound, const ic_message *message) {
  bound->messages--;
  bound->bytes -= size_of(message);
}

// Whether another value of [size] is more than there is memory; then it is over.
static bool outweighs_locked(ic_bound *bound, size_t size) {
  if (bound->most_memory == 0) return false;
  uint64_t state =
      bound->state_bytes
          ? atomic_load_explicit(bound->state_bytes, memory_order_relaxed)
          : 0;
  uint64_t blocks = (uint64_t)(bound->messages + 1) * sizeof(ic_message);
  if (state + blocks + bound->bytes + size > bound->most_memory) {
    atomic_store(&bound->is_over, true);
  }
  return atomic_load(&bound->is_over);
}

// --- Pushing ----------------------------------------------------------------

static ic_status push_locked(ic_bound *bound, ic_mailbox *mailbox,
                             ic_message *message, bool *wake) {
  size_t size = size_of(message);  // the reader's, once it is pushed
  if (outweighs_locked(bound, size)) return IC_GONE;
  ic_status status = ic_mailbox_push(mailbox, message, wake);
  if (status == IC_OK) count_in(bound, size);
  return status;
}

static void drop_locked(ic_bound *bound, ic_message *message, list *dropped) {
  bound->dropped++;
  append(dropped, message);
}

static ic_status drop_oldest_locked(ic_bound *bound, ic_mailbox *mailbox,
                                    ic_message *message, bool *wake,
                                    list *dropped) {
  size_t size = size_of(message);
  if (fits(bound, size) && bound->spare_tokens == 0) {
    ic_message *token = ic_message_new_event(IC_MESSAGE_TOKEN);
    if (!token) return IC_MEMORY;
    ic_status status = ic_mailbox_push(mailbox, token, wake);
    if (status != IC_OK) {
      ic_message_free(token);
      return status;
    }
    bound->spare_tokens++;
  }
  while (!fits(bound, size)) {
    ic_message *oldest = shift(&bound->values);
    count_out(bound, oldest);
    bound->spare_tokens++;
    drop_locked(bound, oldest, dropped);
  }
  if (outweighs_locked(bound, size)) return IC_GONE;
  bound->spare_tokens--;
  count_in(bound, size);
  append(&bound->values, message);
  return IC_OK;
}

static ic_status choose_locked(ic_bound *bound, ic_mailbox *mailbox,
                               ic_message *message, bool *wake, list *dropped) {
  size_t size = size_of(message);
  bool drops = bound->when_full == IC_WHEN_FULL_DROP_OLDEST ||
               bound->when_full == IC_WHEN_FULL_DROP_NEWEST;
  if (bound->closed) return IC_GONE;
  if (bound->when_full == IC_WHEN_FULL_DROP_OLDEST &&
      !never_fits(bound, size)) {
    return drop_oldest_locked(bound, mailbox, message, wake, dropped);
  }
  // Nobody overtakes those that wait.
  if (fits(bound, size) && !bound->waiting) {
    return push_locked(bound, mailbox, message, wake);
  }
  if (!drops) return IC_FULL;
  drop_locked(bound, message, dropped);
  return IC_OK;
}

ic_status ic_bound_push(ic_bound *bound, ic_mailbox *mailbox,
                        ic_message *message, bool *wake, ic_message **dropped) {
  list drops;
  list_init(&drops);
  *wake = false;
  ic_mutex_lock(&bound->mutex);
  ic_status status = choose_locked(bound, mailbox, message, wake, &drops);
  ic_mutex_unlock(&bound->mutex);
  *dropped = drops.first;
  return status;
}

// --- Waiting ----------------------------------------------------------------

ic_status ic_bound_push_later(ic_bound *bound, ic_mailbox *mailbox,
                              ic_message *message, ic_message *notice,
                              bool *wake, bool *waits) {
  waiter *new = malloc(sizeof *new);
  if (!new) return IC_MEMORY;
  *new = (waiter){NULL, message, notice};
  *wake = *waits = false;
  ic_mutex_lock(&bound->mutex);
  ic_status status = choose_locked(bound, mailbox, message, wake, NULL);
  if (status == IC_FULL && !never_fits(bound, size_of(message))) {
    *waits = true;
    *bound->waiting_end = new;
    bound->waiting_end = &new->next;
    status = IC_OK;
  }
  ic_mutex_unlock(&bound->mutex);
  if (!*waits) free(new);
  return status;
}

// Unlinks the waiter behind [link], and frees it.
static void remove_waiter_locked(ic_bound *bound, waiter **link) {
  waiter *old = *link;
  *link = old->next;
  if (!*link) bound->waiting_end = link;
  free(old);
}

static void give_notice(ic_message *notice, ic_status status, list *notices) {
  if (!notice) return;
  notice->status = status;
  append(notices, notice);
}

ic_message *ic_bound_make_room(ic_bound *bound, ic_mailbox *mailbox,
                               const ic_message *message) {
  list notices;
  list_init(&notices);
  ic_mutex_lock(&bound->mutex);
  count_out(bound, message);
  while (bound->waiting && fits(bound, size_of(bound->waiting->message))) {
    waiter first = *bound->waiting;
    bool wake;  // nobody sleeps: the reader is who calls
    if (push_locked(bound, mailbox, first.message, &wake) != IC_OK) break;
    give_notice(first.notice, IC_OK, &notices);
    remove_waiter_locked(bound, &bound->waiting);
  }
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
  return found;
}

// --- Taking -----------------------------------------------------------------

ic_message *ic_bound_redeem(ic_bound *bound) {
  ic_mutex_lock(&bound->mutex);
  ic_message *value = shift(&bound->values);
  if (value) {
    count_out(bound, value);
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

bool ic_bound_is_over(const ic_bound *bound) {
  return atomic_load(&bound->is_over);
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
