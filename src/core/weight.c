// weight.c - what is not done for each message.

#include "core/weight.h"

void ic_weight_init(ic_weight *self, size_t bytes) {
  *self = (ic_weight){.most_bytes = bytes};
}

void ic_weight_exceed(ic_weight *self) {
  atomic_store(&self->is_over, true);
}

size_t ic_weight_outside_bytes(const ic_mailbox *mailbox) {
  uint64_t lifted =
      atomic_load_explicit(&mailbox->lifted, memory_order_acquire);
  return atomic_load(&mailbox->weighed) - lifted;
}

void ic_weight_hold(ic_mailbox *mailbox, size_t bytes) {
  atomic_fetch_add(&mailbox->weighed, bytes);
}

bool ic_weight_confirm(const ic_weight *self, ic_mailbox *mailbox,
                       size_t bytes) {
  uint64_t lifted =
      atomic_load_explicit(&mailbox->lifted, memory_order_acquire);
  atomic_store_explicit(&mailbox->seen_lifted, lifted, memory_order_release);
  size_t all = atomic_load(&mailbox->weighed) - lifted +
               atomic_load_explicit(&self->state_bytes, memory_order_relaxed);
  if (all <= self->most_bytes) return true;
  atomic_fetch_sub(&mailbox->weighed, bytes);
  return false;
}

void ic_weight_take_back(ic_mailbox *mailbox, ic_message *message) {
  if (!message->is_weighed) return;
  message->is_weighed = false;
  atomic_fetch_sub(&mailbox->weighed, ic_message_weight(message));
}
