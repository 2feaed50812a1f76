// bound.h - how much may wait in a mailbox, and what becomes of the rest.
//
// Values count, from the push until the isolate handles them; what else comes
// (replies, ends, a shutdown) always passes. Where there is no bound, none of
// this is there. The count is exact, and no bound is ever exceeded: a place is
// taken before the push. What by itself is larger than the bound is full at
// once, also where others would wait.
//
// What waits for room weighs, too (weight.h); but where there is no memory for
// it, it does not wait, and the isolate is not over.
//
// Where there is room, pushing takes the mailbox's lock only (mailbox.h), and
// handling none: how much was ever placed there, and how much was freed, are
// numbers in the mailbox that only grow. The reader alone writes the second,
// and who pushes reads them only where what was last seen of them leaves no
// room.
//
// The mutex guards the lists:
//
// A value that is dropped for a newer one can't be taken out of the mailbox's
// chain. So with IC_WHEN_FULL_DROP_OLDEST the mailbox holds tokens, each of
// which stands for one value, and the values wait here. A token whose value was
// dropped stands for the next one; it is spare as long as there is none.
//
// Senders that wait have their messages here, in order; each is moved into the
// mailbox by the reader, which makes room. A sender first counts itself among those
// that wait, then looks for room, and where there is none calls the reader
// (mailbox.h). The reader gives up a place, then looks whether anybody waits. It need
// not see those who count themselves just then: it looks again behind each time that it
// takes from the mailbox, and before it sleeps it has taken once more if it was called.
// A sender that has not called it, as the mailbox was not empty, is seen with what is
// taken from there.
//
// Threads: any. Its mutex is taken under no other, and only the mailbox's lock
// under it.

#ifndef IC_BOUND_H
#define IC_BOUND_H

#include "core/limits.h"
#include "core/mailbox.h"
#include "core/sync.h"
#include "core/weight.h"

// One that waits for room.
typedef struct ic_waiter ic_waiter;

// Messages by their own links.
typedef struct {
  ic_message *first;
  ic_message **end;
} ic_message_list;

typedef struct {
  // Written once.
  uint32_t most_messages;
  size_t most_bytes;
  ic_when_full when_full;
  ic_weight *weight;

  _Atomic size_t waiter_count;  // written with the mutex

  ic_mutex mutex;  // guard of all that follows
  bool closed;
  uint64_t dropped;
  ic_message_list values;  // IC_WHEN_FULL_DROP_OLDEST: oldest first
  size_t spare_tokens;
  ic_waiter *waiting;  // IC_WHEN_FULL_WAIT: oldest first
  ic_waiter **waiting_end;
} ic_bound;

// NULL: no memory. [limits] have a bound of messages or bytes; [weight] is the
// isolate's, and outlives the bound.
ic_bound *ic_bound_new(const ic_limits *limits, ic_weight *weight);

// Frees what is left in there too. NULL is allowed.
void ic_bound_free(ic_bound *bound);

// What of the value [message] counts.
static inline size_t ic_bound_size(const ic_message *message) {
  return message->value_size + message->correlation_size + message->type_size;
}

// With the mailbox's lock: takes a place for a value of [size], if there is one, as far
// as was last seen of what was freed. No number is beyond its end.
static inline bool ic_bound_place_as_seen(ic_mailbox *mailbox, size_t size) {
  if (mailbox->placed_values == mailbox->placed_values_end ||
      size > mailbox->placed_bytes_end - mailbox->placed_bytes) {
    return false;
  }
  mailbox->placed_values += 1;
  mailbox->placed_bytes += size;
  return true;
}

// Likewise, after another look at that where it is needed.
bool ic_bound_place_locked(const ic_bound *bound, ic_mailbox *mailbox,
                           size_t size);

// Likewise: there is nothing in the place after all.
static inline void ic_bound_return_place_locked(ic_mailbox *mailbox,
                                                size_t size) {
  mailbox->placed_values -= 1;
  mailbox->placed_bytes -= size;
}

// Whether anybody waits for room.
static inline bool ic_bound_is_awaited(const ic_bound *bound) {
  return atomic_load_explicit(&bound->waiter_count, memory_order_relaxed) > 0;
}

// Whether a value may be pushed without the mutex, where there is a place for
// it: it overtakes nobody then.
static inline bool ic_bound_is_open(const ic_bound *bound) {
  return bound->when_full != IC_WHEN_FULL_DROP_OLDEST &&
         !ic_bound_is_awaited(bound);
}

// Pushes the value [message], or drops it or others: those are then in [dropped],
// to be refused and freed.
//
// Ownership: takes [message] on IC_OK.
// Errors: IC_FULL; IC_GONE - closed, or over its memory; IC_MEMORY.
ic_status ic_bound_push(ic_bound *bound, ic_mailbox *mailbox,
                        ic_message *message, bool *wake, ic_message **dropped);

// Likewise where the sender would wait. With IC_OK and [waits] the message waits
// for room; [notice] (may be NULL) comes back when it was pushed or will not be:
// its status then says which. Errors: as ic_bound_push.
//
// Ownership: takes [message] on IC_OK, and [notice] if it [waits].
ic_status ic_bound_push_later(ic_bound *bound, ic_mailbox *mailbox,
                              ic_message *message, ic_message *notice,
                              bool *wake, bool *waits);

// There is room: what waited is pushed; gives the notices of those, linked by next.
// Threads: the reader.
ic_message *ic_bound_serve(ic_bound *bound, ic_mailbox *mailbox);

// A value of [size], which weighs no more, leaves its place, as it is about to
// be handled; true: somebody waits for room. Threads: the reader.
static inline bool ic_bound_leave_place(const ic_bound *bound,
                                        ic_mailbox *mailbox, size_t size) {
  uint32_t values =
      atomic_load_explicit(&mailbox->freed_values, memory_order_relaxed);
  uint64_t bytes =
      atomic_load_explicit(&mailbox->freed_bytes, memory_order_relaxed) + size;
  atomic_store_explicit(&mailbox->freed_values, values + 1,
                        memory_order_relaxed);
  atomic_store_explicit(&mailbox->freed_bytes, bytes, memory_order_release);
  return ic_bound_is_awaited(bound);
}

// The value that the reader's token stands for; NULL: it was a spare one.
ic_message *ic_bound_redeem(ic_bound *bound, ic_mailbox *mailbox);

// Takes back the request [number] of [asker], if it still waits. Gives it, or NULL.
ic_message *ic_bound_withdraw(ic_bound *bound, ic_mailbox *mailbox,
                              const ic_isolate *asker, uint64_t number);

// Refuses all from now on. Gives the values that were in here, and the [notices],
// whose status is IC_GONE.
ic_message *ic_bound_close(ic_bound *bound, ic_message **notices);

// How many values have been dropped.
uint64_t ic_bound_dropped(ic_bound *bound);

// Whether senders wait where it is full.
bool ic_bound_waits(const ic_bound *bound);

#endif
