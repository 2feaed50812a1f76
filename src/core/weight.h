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
// What was weighed, and not taken back, and what was lifted are two numbers in the
// mailbox that only grow. The reader alone writes the second, with no atomic addition,
// and those who push read it only where what they last saw of it is not enough. What
// was lifted had been weighed before: who has read how much was lifted, and then how
// much was weighed, never finds more of the first.
//
// Threads: any.

#ifndef IC_WEIGHT_H
#define IC_WEIGHT_H

#include <stdatomic.h>

#include "core/mailbox.h"

typedef struct {
  size_t most_bytes;  // written once; 0: nothing is weighed
  _Atomic size_t state_bytes;
  _Atomic bool is_over;
} ic_weight;

// The limit is [bytes]; before anything is weighed.
void ic_weight_init(ic_weight *self, size_t bytes);

// There was something that was too much: the isolate is over.
void ic_weight_exceed(ic_weight *self);

// What is not the state's.
size_t ic_weight_outside_bytes(const ic_mailbox *mailbox);

// Besides messages, [bytes] more are held for the isolate.
void ic_weight_hold(ic_mailbox *mailbox, size_t bytes);

// Whether [bytes], weighed already, are still within the limit; else takes them back.
bool ic_weight_confirm(const ic_weight *self, ic_mailbox *mailbox,
                       size_t bytes);

// Weighs [message], which is to be pushed into [mailbox]; false: that is too much.
// Added first, and taken back where it was too much: so of several that come at once
// none is missed.
static inline bool ic_weight_try(const ic_weight *self, ic_mailbox *mailbox,
                                 ic_message *message) {
  if (self->most_bytes == 0) return true;
  size_t bytes = ic_message_weight(message);
  size_t lifted =
      atomic_load_explicit(&mailbox->seen_lifted, memory_order_acquire);
  size_t all = atomic_fetch_add(&mailbox->weighed, bytes) + bytes - lifted +
               atomic_load_explicit(&self->state_bytes, memory_order_relaxed);
  message->is_weighed =
      all <= self->most_bytes || ic_weight_confirm(self, mailbox, bytes);
  return message->is_weighed;
}

// Likewise, and where that fails the isolate is over.
static inline bool ic_weight_add(ic_weight *self, ic_mailbox *mailbox,
                                 ic_message *message) {
  if (self->most_bytes == 0) return true;
  bool is_over = atomic_load_explicit(&self->is_over, memory_order_relaxed);
  if (!is_over && ic_weight_try(self, mailbox, message)) return true;
  ic_weight_exceed(self);
  return false;
}

// It waits no more. Does nothing with one that was not weighed.
// Threads: only the reader.
static inline void ic_weight_lift(ic_mailbox *mailbox, ic_message *message) {
  if (!message->is_weighed) return;
  message->is_weighed = false;
  uint64_t lifted =
      atomic_load_explicit(&mailbox->lifted, memory_order_relaxed);
  atomic_store_explicit(&mailbox->lifted, lifted + ic_message_weight(message),
                        memory_order_release);
}

// Likewise where it was not pushed, or was taken out by another than the reader.
void ic_weight_take_back(ic_mailbox *mailbox, ic_message *message);

#endif
