// isolate.c - counting who still needs an isolate, sending to it, and waiting
// for what was sent.

#include "core/isolate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/block.h"

static _Atomic uint64_t last_id;

static size_t at_most(size_t size, size_t most) {
  return size < most ? size : most;
}

ic_error *ic_error_new(const char *message, size_t message_size,
                       const char *traceback, size_t traceback_size) {
  message_size = at_most(message_size, IC_ERROR_MOST_BYTES);
  traceback_size = at_most(traceback_size, IC_ERROR_MOST_BYTES);
  size_t size = message_size + traceback_size + 2;
  ic_error *error = malloc(sizeof *error + size);
  if (!error) return NULL;
  error->message_size = message_size;
  error->traceback_size = traceback_size;
  memcpy(error->bytes, message, message_size);
  error->bytes[message_size] = '\0';
  memcpy(error->bytes + message_size + 1, traceback, traceback_size);
  error->bytes[size - 1] = '\0';
  return error;
}

ic_status ic_isolate_new(const char *path, ic_isolate **out) {
  ic_isolate *isolate = aligned_alloc(_Alignof(ic_isolate), sizeof *isolate);
  if (!isolate) return IC_MEMORY;
  memset(isolate, 0, sizeof *isolate);
  isolate->path = strdup(path);
  if (!isolate->path) {
    free(isolate);
    return IC_MEMORY;
  }
  isolate->id = atomic_fetch_add(&last_id, 1) + 1;
  atomic_init(&isolate->descriptor, -1);
  atomic_init(&isolate->alarm_ns, IC_NEVER);
  atomic_init(&isolate->wants_ns, IC_NEVER);
  ic_mailbox_init(&isolate->mailbox);
  atomic_init(&isolate->mailbox.users, 1);
  ic_parker_init(&isolate->parker);
  *out = isolate;
  return IC_OK;
}

size_t ic_isolate_identity_bytes(const ic_isolate *isolate) {
  const ic_message *properties = isolate->properties;
  enum {
    MALLOC_BYTES = 128
  };  // of its own, for both and where they are aligned
  return sizeof *isolate + strlen(isolate->path) + MALLOC_BYTES +
         (properties ? ic_message_weight(properties) : 0);
}

void ic_isolate_hold_many(ic_isolate *isolate, uint32_t count) {
  atomic_fetch_add_explicit(&isolate->mailbox.users, count,
                            memory_order_relaxed);
}

ic_isolate *ic_isolate_hold(ic_isolate *isolate) {
  ic_isolate_hold_many(isolate, 1);
  return isolate;
}

static void free_isolate(ic_isolate *isolate) {
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_bound_free(isolate->bound);
  ic_message_free(isolate->properties);
  ic_isolate_release(isolate->supervisor);
  ic_family_release(isolate->family);
  int descriptor = atomic_load(&isolate->descriptor);
  if (descriptor >= 0) close(descriptor);
  free(isolate->error);
  free(atomic_load(&isolate->post.sample));
  free(isolate->path);
  free(isolate);
}

// The properties of an isolate may hold the last user of another, and those of
// that one a third's: what such a chain leads to is freed one after the other,
// not one inside the other, as there may be thousands. Those that wait are
// linked by next_in_bucket.
static _Thread_local ic_isolate *doomed;
static _Thread_local bool is_freeing;

void ic_isolate_release(ic_isolate *isolate) {
  if (isolate) ic_isolate_release_many(isolate, 1);
}

void ic_isolate_release_many(ic_isolate *isolate, uint32_t count) {
  // acq_rel: the one that frees sees all that the other users wrote.
  if (atomic_fetch_sub_explicit(&isolate->mailbox.users, count,
                                memory_order_acq_rel) != count) {
    return;
  }
  isolate->next_in_bucket = doomed;
  doomed = isolate;
  if (is_freeing) return;
  is_freeing = true;
  while (doomed) {
    ic_isolate *next = doomed;
    doomed = next->next_in_bucket;
    free_isolate(next);
  }
  is_freeing = false;
}

void ic_isolate_refuse(const ic_message *message, ic_status status) {
  ic_isolate *to = ic_message_reply_to(message);
  if (message->request == 0 || !to) return;
  ic_message *refusal = ic_message_new_event(IC_MESSAGE_REPLY);
  if (!refusal) return;
  refusal->status = status;
  refusal->request = message->request;
  if (ic_isolate_push(to, refusal) != IC_OK) ic_message_free(refusal);
}

// Takes [notices], each of which is for its reply_to.
static void give_notices(ic_message *notices) {
  while (notices) {
    ic_message *notice = notices;
    notices = notice->next;
    ic_isolate *to = notice->reply_to;
    notice->reply_to = NULL;
    if (ic_isolate_push(to, notice) != IC_OK) ic_message_free(notice);
    ic_isolate_release(to);
  }
}

static void end_if_outgrown(ic_isolate *isolate) {
  if (!atomic_load(&isolate->weight.is_over)) return;
  if (!atomic_load(&isolate->killed)) isolate->life->outgrow(isolate);
}

static ic_status push_without_room(ic_isolate *to, ic_message *message) {
  bool wake;
  ic_message *dropped;
  ic_status status =
      ic_bound_push(to->bound, &to->mailbox, message, &wake, &dropped);
  if (wake) ic_isolate_wake(to);
  if (status == IC_GONE) end_if_outgrown(to);
  for (ic_message *next = dropped; next; next = next->next) {
    ic_isolate_refuse(next, IC_FULL);
  }
  ic_message_free_chain(dropped);
  return status;
}

ic_status ic_isolate_push_later(ic_isolate *to, ic_message *message,
                                ic_message *notice, bool *waits) {
  bool wake;
  ic_status status = ic_bound_push_later(to->bound, &to->mailbox, message,
                                         notice, &wake, waits);
  if (wake) ic_isolate_wake(to);
  if (status == IC_GONE) end_if_outgrown(to);
  return status;
}

// The rest of ic_isolate_admit, in functions that it ends by calling: so it
// saves no registers for what is not usual.

void ic_isolate_serve(ic_isolate *isolate) {
  give_notices(ic_bound_serve(isolate->bound, &isolate->mailbox));
}

// Those that waited come in where [message] has left its place.
__attribute__((noinline)) static ic_message *serve(ic_isolate *isolate,
                                                   ic_message *message) {
  ic_isolate_serve(isolate);
  return message;
}

__attribute__((noinline)) static ic_message *redeem(ic_isolate *isolate,
                                                    ic_message *token) {
  ic_message_free(token);
  return ic_bound_redeem(isolate->bound, &isolate->mailbox);
}

static inline ic_message *leave_place(ic_isolate *isolate,
                                      ic_message *message) {
  ic_bound *bound = isolate->bound;
  if (!bound) return message;
  if (message->kind == IC_MESSAGE_TOKEN) return redeem(isolate, message);
  if (message->kind != IC_MESSAGE_VALUE) return message;
  bool is_awaited =
      ic_bound_leave_place(bound, &isolate->mailbox, ic_bound_size(message));
  return is_awaited ? serve(isolate, message) : message;
}

__attribute__((noinline)) static ic_message *admit_parts(ic_isolate *isolate,
                                                         ic_message *message) {
  ic_weight_lift(&isolate->mailbox, message);
  return leave_place(isolate, message);
}

ic_message *ic_isolate_admit(ic_isolate *isolate, ic_message *message) {
  if (message->is_weighed) {
    if (!ic_message_is_one_block(message)) return admit_parts(isolate, message);
    ic_weight_lift_bytes(&isolate->mailbox, message,
                         ic_message_block_bytes(message));
  }
  return leave_place(isolate, message);
}

ic_message *ic_isolate_close(ic_isolate *isolate) {
  ic_message *chain = ic_mailbox_close(&isolate->mailbox);
  if (!isolate->bound) return chain;
  ic_message *notices;
  ic_message **end = &chain;
  while (*end)
    end = &(*end)->next;
  *end = ic_bound_close(isolate->bound, &notices);
  give_notices(notices);
  return chain;
}

// What says whether to load is taken before there is a state, and never admitted.
static bool has_weight(const ic_message *message) {
  return message->kind != IC_MESSAGE_LOAD && message->kind != IC_MESSAGE_CANCEL;
}

static bool has_limits(const ic_isolate *isolate) {
  return isolate->bound || isolate->weight.most_bytes > 0;
}

// Not pushed: it is too much. The isolate sees in its next turn that it is over.
static ic_status refuse_locked(ic_mailbox *mailbox, ic_message *head,
                               const ic_bound *bound, size_t size, bool *wake) {
  if (bound) ic_bound_return_place_locked(mailbox, size);
  *wake = head == IC_MAILBOX_ASLEEP;
  ic_mailbox_unlock(mailbox, *wake ? NULL : head);
  return IC_GONE;
}

// Into a mailbox with limits. IC_FULL: the value has no place there as it is;
// IC_GONE, also where there is no memory for it.
static ic_status put_within_limits(ic_isolate *to, ic_message *message,
                                   bool *wake) {
  ic_mailbox *mailbox = &to->mailbox;
  const ic_bound *bound = message->kind == IC_MESSAGE_VALUE ? to->bound : NULL;
  size_t size = ic_bound_size(message);
  if (bound && !ic_bound_is_open(bound)) return IC_FULL;
  ic_message *head = ic_mailbox_lock(mailbox);
  if (head == IC_MAILBOX_CLOSED) {
    ic_mailbox_unlock(mailbox, head);
    return IC_GONE;
  }
  if (bound && !ic_bound_place_locked(bound, mailbox, size)) {
    ic_mailbox_unlock(mailbox, head);
    return IC_FULL;
  }
  if (has_weight(message) &&
      !ic_weight_add_locked(&to->weight, mailbox, message)) {
    return refuse_locked(mailbox, head, bound, size, wake);
  }
  ic_mailbox_push_locked(mailbox, head, message, wake);
  return IC_OK;
}

// Likewise a value in one block, as most are, for which there is room as far as was last
// seen. Calls nothing, so that it costs a short turn little. False: nothing was done.
static inline bool put_at_once(ic_isolate *to, ic_message *message,
                               bool *wake) {
  ic_mailbox *mailbox = &to->mailbox;
  const ic_weight *weight = &to->weight;
  const ic_bound *bound = to->bound;
  if (message->kind != IC_MESSAGE_VALUE) return false;
  if (!ic_message_is_one_block(message)) return false;
  if (bound && !ic_bound_is_open(bound)) return false;
  if (atomic_load_explicit(&weight->is_over, memory_order_relaxed))
    return false;
  // Where nothing is weighed it has no weight, which always fits.
  size_t bytes = weight->most_bytes > 0 ? ic_message_block_bytes(message) : 0;
  ic_message *head;
  if (!ic_mailbox_try_lock(mailbox, &head)) return false;
  if (!ic_weight_fits_as_seen(weight, mailbox, bytes) ||
      (bound && !ic_bound_place_as_seen(mailbox, ic_bound_size(message)))) {
    ic_mailbox_unlock(mailbox, head);
    return false;
  }
  ic_weight_note_locked(mailbox, message, bytes);
  ic_mailbox_link_locked(mailbox, head, message, wake);
  return true;
}

ic_status ic_isolate_put(ic_isolate *to, ic_message *message, bool *wake) {
  bool must_wake = false;
  ic_status status = has_limits(to)
                         ? put_within_limits(to, message, &must_wake)
                         : ic_mailbox_push(&to->mailbox, message, &must_wake);
  *wake |= must_wake;
  return status;
}

static ic_status finish_push(ic_isolate *to, ic_status status, bool wake) {
  if (wake) ic_isolate_wake(to);
  if (status == IC_GONE) end_if_outgrown(to);
  return status;
}

__attribute__((noinline)) static ic_status push_carefully(ic_isolate *to,
                                                          ic_message *message) {
  bool wake = false;
  ic_status status = put_within_limits(to, message, &wake);
  if (status == IC_FULL) return push_without_room(to, message);
  return finish_push(to, status, wake);
}

__attribute__((noinline)) static ic_status push_within_limits(
    ic_isolate *to, ic_message *message) {
  bool wake;
  if (!put_at_once(to, message, &wake)) return push_carefully(to, message);
  return wake ? finish_push(to, IC_OK, true) : IC_OK;
}

ic_status ic_isolate_push(ic_isolate *to, ic_message *message) {
  if (has_limits(to)) return push_within_limits(to, message);
  bool wake = false;
  ic_status status = ic_mailbox_push(&to->mailbox, message, &wake);
  return finish_push(to, status, wake);
}

// A write can only fail where the count is at its end, and then it is readable.
static void signal_descriptor(int descriptor) {
  uint64_t one = 1;
  ssize_t written = write(descriptor, &one, sizeof one);
  (void)written;
}

void ic_isolate_wake(ic_isolate *isolate) {
  if (isolate->schedule) {
    isolate->schedule(isolate);
    return;
  }
  int descriptor = atomic_load(&isolate->descriptor);
  if (descriptor >= 0) signal_descriptor(descriptor);
  ic_parker_unpark(&isolate->parker);
}

void ic_isolate_rouse(ic_isolate *isolate) {
  // A thread of its own may be about to park: it is unparked in any case.
  bool slept = ic_mailbox_rouse(&isolate->mailbox);
  if (slept || !isolate->schedule) ic_isolate_wake(isolate);
}

int ic_isolate_open_descriptor(ic_isolate *isolate) {
  int descriptor = atomic_load(&isolate->descriptor);
  if (descriptor >= 0) return descriptor;
  descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  atomic_store(&isolate->descriptor, descriptor);
  return descriptor;
}

void ic_isolate_settle_descriptor(ic_isolate *isolate, bool waiting) {
  int descriptor = atomic_load(&isolate->descriptor);
  if (descriptor < 0) return;
  uint64_t count;
  ssize_t got = read(descriptor, &count, sizeof count);
  (void)got;
  // Asleep, so that the next push wakes, which signals the descriptor.
  if (waiting || !ic_mailbox_sleep(&isolate->mailbox)) {
    signal_descriptor(descriptor);
  }
}

// --- Waiting ----------------------------------------------------------------
//
// To wake a thread costs more than a round trip between two that run. So who has
// lately waited for less than SPIN_NS_MAX looks for its next message for a while
// before it sleeps: no longer than a wake-up would have cost, and only as many
// threads at once as leave a core for whoever is to send.

enum {
  GLANCES = 128,        // before anything else, as the answer may come at once
  SPIN_NS = 50000,      // to look for a message
  HOT_NS = 2 * SPIN_NS  // a wait, with its wake-up, after which that is tried
};

// The threads that look; at most one less than there are cores.
static _Atomic uint32_t spinning;
static _Atomic uint32_t spinning_max = UINT32_MAX;  // not known yet

static uint32_t most_spinning(void) {
  uint32_t most = atomic_load_explicit(&spinning_max, memory_order_relaxed);
  if (most != UINT32_MAX) return most;
  most = (uint32_t)ic_thread_cores() - 1;
  atomic_store_explicit(&spinning_max, most, memory_order_relaxed);
  return most;
}

// Takes a place among those that spin; whoever has just answered us may leave
// its own only now.
static bool begin_spinning(void) {
  uint32_t most = most_spinning();
  uint32_t now = atomic_load_explicit(&spinning, memory_order_relaxed);
  for (int i = 0; i < 64; i++) {
    if (now < most && atomic_compare_exchange_weak_explicit(
                          &spinning, &now, now + 1, memory_order_relaxed,
                          memory_order_relaxed)) {
      return true;
    }
    if (most == 0) return false;
    ic_thread_relax();
    now = atomic_load_explicit(&spinning, memory_order_relaxed);
  }
  return false;
}

// Looks for a message for a moment, which is too short for a place, or a clock.
static bool glance(ic_isolate *isolate) {
  for (int i = 0; i < GLANCES; i++) {
    if (!ic_mailbox_is_empty(&isolate->mailbox)) return true;
    ic_thread_relax();
  }
  return false;
}

// Looks for a message until [end_ns], at most.
static void spin(ic_isolate *isolate, int64_t end_ns) {
  if (!begin_spinning()) return;
  do {
    for (int i = 0; i < 64 && ic_mailbox_is_empty(&isolate->mailbox); i++) {
      ic_thread_relax();
    }
  } while (ic_mailbox_is_empty(&isolate->mailbox) &&
           !atomic_load(&isolate->killed) && ic_now_ns() < end_ns);
  atomic_fetch_sub_explicit(&spinning, 1, memory_order_relaxed);
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

ic_message *ic_isolate_take(ic_isolate *isolate, int64_t deadline_ns) {
  ic_message *chain = ic_isolate_take_now(isolate);
  if (chain || deadline_ns == 0) return chain;
  if (isolate->hot && glance(isolate)) {
    return ic_isolate_take_now(isolate);
  }
  int64_t begin_ns = ic_now_ns();
  if (isolate->hot) {
    spin(isolate, earlier(begin_ns + SPIN_NS, deadline_ns));
  }
  ic_isolate_rest(isolate);
  if (ic_mailbox_sleep(&isolate->mailbox)) {
    ic_block_rest();
    ic_parker_park(&isolate->parker, deadline_ns);
    ic_mailbox_awake(&isolate->mailbox);
    isolate->hot = ic_now_ns() - begin_ns < HOT_NS;
  }
  return ic_isolate_take_now(isolate);
}
