// weight.h - what an isolate with a limit of memory has: its state, and all
// that waits for it, of any kind.
//
// Both are added up: who pushes a message weighs it before, with the mailbox's
// lock, and who takes it lifts it. The state's share is what its arena holds,
// noted when that changes, and the arena counts the mailbox's share against its
// own limit. So together they are over by one message, or one chunk, at most:
// where both grow at once. At the message that would be too much the isolate is
// over for good, and is to be ended.
//
// What was weighed, and not taken back, and what was lifted are two numbers in
// the mailbox that only grow. The reader alone writes the second, without the
// lock, and those who push read it only where what they last saw of it is not
// enough. What was lifted had been weighed before: who has read how much was
// lifted, and then how much was weighed, never finds more of the first.
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

// With the mailbox's lock: whether [bytes] more are within the limit, as far as was last
// seen of what was lifted.
static inline bool ic_weight_fits_as_seen(const ic_weight *self,
                                          const ic_mailbox *mailbox,
                                          size_t bytes) {
  uint64_t weighed =
      atomic_load_explicit(&mailbox->weighed, memory_order_relaxed) + bytes;
  return weighed +
             atomic_load_explicit(&self->state_bytes, memory_order_relaxed) <=
         mailbox->weighed_end;
}

// Likewise: [bytes] more are weighed; likewise less.
static inline void ic_weight_raise_locked(ic_mailbox *mailbox, size_t bytes) {
  uint64_t weighed =
      atomic_load_explicit(&mailbox->weighed, memory_order_relaxed);
  atomic_store_explicit(&mailbox->weighed, weighed + bytes,
                        memory_order_release);
}

// Likewise: [message] weighs [bytes]; 0: it is not weighed.
static inline void ic_weight_note_locked(ic_mailbox *mailbox,
                                         ic_message *message, size_t bytes) {
  ic_weight_raise_locked(mailbox, bytes);
  message->is_weighed = bytes > 0;
}

// Likewise: weighs [message], which is to be pushed there; false: that is too much,
// and the isolate is over.
bool ic_weight_add_locked(ic_weight *self, ic_mailbox *mailbox,
                          ic_message *message);

// By itself; and where it may be too much without an end.
bool ic_weight_add(ic_weight *self, ic_mailbox *mailbox, ic_message *message);
bool ic_weight_try(const ic_weight *self, ic_mailbox *mailbox,
                   ic_message *message);

// It waits no more. Does nothing with one that was not weighed; the second,
// which knows the [bytes], is for those that were. Threads: only the reader.
static inline void ic_weight_lift_bytes(ic_mailbox *mailbox,
                                        ic_message *message, size_t bytes) {
  message->is_weighed = false;
  uint64_t lifted =
      atomic_load_explicit(&mailbox->lifted, memory_order_relaxed);
  atomic_store_explicit(&mailbox->lifted, lifted + bytes, memory_order_release);
}
static inline void ic_weight_lift(ic_mailbox *mailbox, ic_message *message) {
  if (!message->is_weighed) return;
  ic_weight_lift_bytes(mailbox, message, ic_message_weight(message));
}

// Likewise where it was not pushed, or was taken out by another than the reader.
void ic_weight_take_back(ic_mailbox *mailbox, ic_message *message);

#endif
