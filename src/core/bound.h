// bound.h - how much may wait in a mailbox, and what becomes of the rest.
//
// Values count, from the push until the isolate handles them; what else comes
// (replies, ends, a shutdown) always passes. Where there is no bound, none of this
// is there. The count is exact, and no bound is ever exceeded: a place is taken
// before the push. What by itself is larger than the bound is full at once, also
// where others would wait.
//
// What waits for room weighs, too (weight.h); but where there is no memory for it, it
// does not wait, and the isolate is not over.
//
// Where there is room, pushing and handling take no lock, and one atomic change: the
// places that were taken and those that were freed are two numbers in the mailbox that
// only grow, each of both messages and bytes (bound.c). The reader alone writes the
// second, and who pushes reads it only where what was last seen of it leaves no room.
//
// The mutex guards the lists:
//
// A value that is dropped for a newer one can't be taken out of the mailbox's
// chain. So with IC_WHEN_FULL_DROP_OLDEST the mailbox holds tokens, each of which stands for
// one value, and the values wait here. A token whose value was dropped stands for
// the next one; it is spare as long as there is none.
//
// Senders that wait have their messages here, in order; each is moved into the
// mailbox by the one that makes room. A sender first counts itself among those that
// wait, and then looks for room; who makes room gives up the place first, and then
// looks whether anybody waits. So one of both sees the other (all four are
// sequentially consistent).
//
// Threads: any. Its mutex is taken under no other, and only the mailbox's head is
// changed under it.

#ifndef IC_BOUND_H
#define IC_BOUND_H

#include "core/limits.h"
#include "core/mailbox.h"
#include "core/sync.h"
#include "core/weight.h"

// How much is taken, of messages and bytes in one number: the messages are its low
// bits. Differences are exact, as what is taken at once is within the bound, and
// that fits with one more value.
typedef uint64_t ic_places;

enum { IC_PLACES_MESSAGE_BITS = 28 };

// One that waits for room.
typedef struct ic_waiter ic_waiter;

// Messages by their own links.
typedef struct {
  ic_message *first;
  ic_message **end;
} ic_message_list;

typedef struct {
  // Written once.
  size_t most_messages, most_bytes;
  ic_places each_message, each_byte;  // 0: not counted
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

// Takes a place for a value of [size], if there is one. What is freed was taken
// before: so that is read first, and never exceeds what is read of the taken then.
static inline bool ic_bound_take_place(const ic_bound *bound,
                                       ic_mailbox *mailbox, size_t size) {
  if (size > bound->most_bytes) return false;
  ic_places more = bound->each_message + size * bound->each_byte;
  ic_places freed =
      atomic_load_explicit(&mailbox->seen_freed_places, memory_order_acquire);
  ic_places taken = atomic_load(&mailbox->taken_places);
  for (;;) {
    ic_places then = taken + more - freed;
    ic_places messages = then & ((1U << IC_PLACES_MESSAGE_BITS) - 1);
    ic_places bytes = then >> IC_PLACES_MESSAGE_BITS;
    if (messages <= bound->most_messages && bytes <= bound->most_bytes) {
      if (atomic_compare_exchange_weak(&mailbox->taken_places, &taken,
                                       taken + more)) {
        return true;
      }
      continue;
    }
    ic_places seen = freed;
    freed = atomic_load(&mailbox->freed_places);
    if (freed == seen) return false;
    atomic_store_explicit(&mailbox->seen_freed_places, freed,
                          memory_order_release);
    taken = atomic_load(&mailbox->taken_places);
  }
}

// There is nothing in the place after all.
static inline void ic_bound_return_place(const ic_bound *bound,
                                         ic_mailbox *mailbox, size_t size) {
  atomic_fetch_sub(&mailbox->taken_places,
                   bound->each_message + size * bound->each_byte);
}

// Takes a place for the value [message], which is to be pushed then, where there is
// one and it overtakes nobody. Else it is for ic_bound_push.
static inline bool ic_bound_reserve(const ic_bound *bound, ic_mailbox *mailbox,
                                    const ic_message *message) {
  return bound->when_full != IC_WHEN_FULL_DROP_OLDEST &&
         atomic_load(&bound->waiter_count) == 0 &&
         ic_bound_take_place(bound, mailbox, ic_bound_size(message));
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

// A value of [size] leaves its place. Only where others may wait for it the look
// whether they do must stay behind that. Threads: the reader.
static inline void ic_bound_leave_place(const ic_bound *bound,
                                        ic_mailbox *mailbox, size_t size) {
  ic_places freed =
      atomic_load_explicit(&mailbox->freed_places, memory_order_relaxed) +
      bound->each_message + size * bound->each_byte;
  if (bound->when_full == IC_WHEN_FULL_WAIT) {
    atomic_store(&mailbox->freed_places, freed);
  } else {
    atomic_store_explicit(&mailbox->freed_places, freed, memory_order_release);
  }
}

// The value [message], which weighs no more, is about to be handled: there is room.
// Gives what ic_bound_serve does. Threads: the reader.
static inline ic_message *ic_bound_make_room(ic_bound *bound,
                                             ic_mailbox *mailbox,
                                             const ic_message *message) {
  ic_bound_leave_place(bound, mailbox, ic_bound_size(message));
  if (atomic_load(&bound->waiter_count) == 0) return NULL;
  return ic_bound_serve(bound, mailbox);
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
