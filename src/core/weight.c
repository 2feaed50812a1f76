// weight.c - what is not done for each message.

#include "core/weight.h"

void ic_weight_init(ic_weight *self, size_t bytes) {
  *self = (ic_weight){.most_bytes = bytes};
}

void ic_weight_exceed(ic_weight *self) {
  atomic_store(&self->is_over, true);
}

void ic_weight_hold(ic_weight *self, size_t bytes) {
  atomic_fetch_add(&self->mailbox_bytes, bytes);
}
