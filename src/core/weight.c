// weight.c - what is not done for each message.

#include "core/weight.h"

void ic_weight_init(ic_weight *self, size_t bytes) {
  *self =
      (ic_weight){.most_bytes = bytes < SIZE_MAX / 2 ? bytes : SIZE_MAX / 2};
}

void ic_weight_exceed(ic_weight *self) {
  atomic_store(&self->is_over, true);
}

size_t ic_weight_outside_bytes(const ic_mailbox *mailbox) {
  uint64_t lifted =
      atomic_load_explicit(&mailbox->lifted, memory_order_acquire);
  return atomic_load(&mailbox->weighed) - lifted;
}

static bool try_locked(const ic_weight *self, ic_mailbox *mailbox,
                       ic_message *message) {
  if (self->most_bytes == 0) return true;
  size_t bytes = ic_message_weight(message);
  if (!ic_weight_fits_as_seen(self, mailbox, bytes)) {
    mailbox->weighed_end =
        atomic_load_explicit(&mailbox->lifted, memory_order_acquire) +
        self->most_bytes;
    if (!ic_weight_fits_as_seen(self, mailbox, bytes)) return false;
  }
  ic_weight_note_locked(mailbox, message, bytes);
  return true;
}

bool ic_weight_add_locked(ic_weight *self, ic_mailbox *mailbox,
                          ic_message *message) {
  if (self->most_bytes == 0) return true;
  bool is_over = atomic_load_explicit(&self->is_over, memory_order_relaxed);
  if (!is_over && try_locked(self, mailbox, message)) return true;
  ic_weight_exceed(self);
  return false;
}

void ic_weight_hold(ic_mailbox *mailbox, size_t bytes) {
  ic_message *head = ic_mailbox_lock(mailbox);
  ic_weight_raise_locked(mailbox, bytes);
  ic_mailbox_unlock(mailbox, head);
}

void ic_weight_take_back(ic_mailbox *mailbox, ic_message *message) {
  if (!message->is_weighed) return;
  message->is_weighed = false;
  ic_weight_hold(mailbox, -ic_message_weight(message));
}

bool ic_weight_try(const ic_weight *self, ic_mailbox *mailbox,
                   ic_message *message) {
  ic_message *head = ic_mailbox_lock(mailbox);
  bool fits = try_locked(self, mailbox, message);
  ic_mailbox_unlock(mailbox, head);
  return fits;
}

bool ic_weight_add(ic_weight *self, ic_mailbox *mailbox, ic_message *message) {
  ic_message *head = ic_mailbox_lock(mailbox);
  bool fits = ic_weight_add_locked(self, mailbox, message);
  ic_mailbox_unlock(mailbox, head);
  return fits;
}
