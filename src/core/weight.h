// weight.h - what an isolate with a limit of memory has: its state, and all that
// waits for it, of any kind.
//
// Both are added up without a lock: who pushes a message weighs it before, and who
// takes it lifts it. The state's share is what its arena holds, noted when that
// changes, and the arena counts the mailbox's share against its own limit. So
// together they are over by one message, or one chunk, at most: where both grow at
// once. At the message that would be too much the isolate is over for good, and is
// to be ended.
//
// Threads: any.

#ifndef IC_WEIGHT_H
#define IC_WEIGHT_H

#include <stdatomic.h>

#include "core/message.h"

typedef struct {
  size_t most_bytes;  // written once; 0: nothing is weighed
  _Atomic size_t state_bytes;
  _Atomic size_t mailbox_bytes;  // and what else is outside of the state
  _Atomic bool is_over;
} ic_weight;

// The limit is [bytes]; before anything is weighed.
void ic_weight_init(ic_weight *self, size_t bytes);

// There was something that was too much: the isolate is over.
void ic_weight_exceed(ic_weight *self);

// Weighs [message]; false: that is too much. Added first, and taken off again where
// it was too much: so of several that come at once none is missed.
static inline bool ic_weight_try(ic_weight *self, ic_message *message) {
  if (self->most_bytes == 0) return true;
  size_t bytes = ic_message_weight(message);
  size_t all = bytes + atomic_fetch_add(&self->mailbox_bytes, bytes) +
               atomic_load_explicit(&self->state_bytes, memory_order_relaxed);
  message->is_weighed = all <= self->most_bytes;
  if (!message->is_weighed) atomic_fetch_sub(&self->mailbox_bytes, bytes);
  return message->is_weighed;
}

// Likewise, and where that fails the isolate is over.
static inline bool ic_weight_add(ic_weight *self, ic_message *message) {
  if (self->most_bytes == 0) return true;
  bool is_over = atomic_load_explicit(&self->is_over, memory_order_relaxed);
  if (!is_over && ic_weight_try(self, message)) return true;
  ic_weight_exceed(self);
  return false;
}

// Besides messages, [bytes] more are held for the isolate.
void ic_weight_hold(ic_weight *self, size_t bytes);

// It waits no more, or not yet. Does nothing with one that was not weighed.
static inline void ic_weight_lift(ic_weight *self, ic_message *message) {
  if (self->most_bytes == 0 || !message->is_weighed) return;
  message->is_weighed = false;
  atomic_fetch_sub(&self->mailbox_bytes, ic_message_weight(message));
}

#endif
