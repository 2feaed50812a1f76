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
// Where there is room, pushing and handling take no lock. The mutex guards the lists:
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
#include "core/weight.h"

typedef struct ic_bound ic_bound;

// NULL: no memory. [limits] have a bound of messages or bytes; [weight] is the
// isolate's, and outlives the bound.
ic_bound *ic_bound_new(const ic_limits *limits, ic_weight *weight);

// Frees what is left in there too. NULL is allowed.
void ic_bound_free(ic_bound *bound);

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

// The value [message], which weighs no more, is about to be handled: there is room.
// What waited is pushed; gives the notices of those, linked by next.
// Threads: the reader.
ic_message *ic_bound_make_room(ic_bound *bound, ic_mailbox *mailbox,
                               const ic_message *message);

// The value that the reader's token stands for; NULL: it was a spare one.
ic_message *ic_bound_redeem(ic_bound *bound);

// Takes back the request [number] of [asker], if it still waits. Gives it, or NULL.
ic_message *ic_bound_withdraw(ic_bound *bound, const ic_isolate *asker,
                              uint64_t number);

// Refuses all from now on. Gives the values that were in here, and the [notices],
// whose status is IC_GONE.
ic_message *ic_bound_close(ic_bound *bound, ic_message **notices);

// How many values have been dropped.
uint64_t ic_bound_dropped(ic_bound *bound);

// Whether senders wait where it is full.
bool ic_bound_waits(const ic_bound *bound);

#endif
