// mailbox.h - messages from any thread, in order, to the one thread that reads.
//
// A mailbox is the only way into an isolate. Closing it is final: later pushes
// are refused.
//
// The whole state is one word, [head]: empty, asleep (empty, and the reader
// must be woken), closed, or the newest message of a chain that leads to the
// oldest. Every change is one compare-and-swap of that word, so there is one
// order of all of them, and:
//   - a push that replaces "asleep" learns so, and it alone wakes the reader;
//   - "asleep" replaces only "empty", so the reader never sleeps on a message;
//   - nothing replaces "closed", so no message is left behind in there.
// The release of each push pairs with the acquire of take and close: what the
// sender wrote into the message is seen by the reader. The release of sleep
// pairs with the acquire of the push that finds "asleep": who has to wake the
// reader sees by what (its descriptor).
// spec/core/mailbox_test.c runs many senders against a sleeping reader and a
// close, under ThreadSanitizer too.
//
// Where the receiver has limits (weight.h, bound.h), a push changes more than that
// word. Then who pushes locks the mailbox: a bit of the word, which is set for a dozen
// instructions without a call of the system. The others wait so long, or give way
// where its thread has lost its core. That is one atomic change for all of it: to
// count with one each costs more than the rest of a short turn. The acquire of the
// lock pairs with the release of the unlock, also across what the reader does to the
// word in between. All pushes into a mailbox lock it, or none does.
//
// Who has the lock may call the reader, where the mailbox is empty: the word then says
// so, and the reader does not fall asleep before it has taken once more. Behind that it
// sees what the caller did before. Where the reader is asleep, the caller sees what that
// did before; so one of both sees the other, and neither needs a fence in its usual way.
//
// Threads: push, lock, close - any; take, count, sleep, awake - only the reader.
// Memory:  a message belongs to the mailbox from push until take or close.

#ifndef IC_MAILBOX_H
#define IC_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/message.h"
#include "core/sync.h"

// How many ups and downs there were in this process: what has happened before the
// next one has a lower moment than what that leads to. Threads: any.
uint64_t ic_mailbox_moment(void);
// One more: its moment.
uint64_t ic_mailbox_next_moment(void);

typedef struct {
  // What who pushes writes to is one cache line, with what they count there of the
  // receiver's limits: the first change fetches it from the other core, and the
  // others cost little.
  _Alignas(IC_CACHE_LINE) _Atomic(ic_message *) head;
  _Atomic uint64_t pushed;  // messages so far, refused ones too
  // Written with the lock. Bytes: see weight.h; values and their bytes: see bound.h.
  // The ends are how far the numbers before them may go, as far as was last seen of
  // what was lifted and freed.
  _Atomic uint64_t weighed;
  uint64_t weighed_end;
  uint64_t placed_bytes, placed_bytes_end;
  uint32_t placed_values, placed_values_end;
  // Messages are given the moment of their push: it is still to be found out which
  // ups and downs they come behind.
  _Atomic bool is_dated;
  // Of the isolate whose mailbox it is; see isolate.h. Here, as who has handled a
  // message lets go of its sender, and may just have answered it.
  _Atomic uint32_t users;

  // The reader's.
  _Alignas(IC_CACHE_LINE) uint64_t taken;  // messages so far
  ic_message *last;                        // of the chain taken last
  _Atomic uint64_t naps;  // times the reader was about to fall asleep
  _Atomic uint64_t lifted, freed_bytes;
  _Atomic uint32_t freed_values;
} ic_mailbox;

// States of the head. Nothing ever reads or writes through them.
extern ic_message ic_mailbox_marks[3];
#define IC_MAILBOX_ASLEEP (&ic_mailbox_marks[0])
#define IC_MAILBOX_CLOSED (&ic_mailbox_marks[1])
#define IC_MAILBOX_CALLED (&ic_mailbox_marks[2])

void ic_mailbox_init(ic_mailbox *mailbox);

// Ownership: takes [message] on IC_OK. [wake]: the reader sleeps, the caller
// must wake it.
// Errors: IC_GONE - closed.
ic_status ic_mailbox_push(ic_mailbox *mailbox, ic_message *message, bool *wake);

// Where the head is locked, waits until it is not. Gives it.
ic_message *ic_mailbox_await_unlock(const ic_mailbox *mailbox);

static inline ic_message *ic_mailbox_head(const ic_mailbox *mailbox) {
  ic_message *head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
  return (uintptr_t)head & 1 ? ic_mailbox_await_unlock(mailbox) : head;
}

// Locks the mailbox, also a closed one; gives its head, for the unlock. Under
// the lock there is no other, and no wait.
static inline ic_message *ic_mailbox_lock(ic_mailbox *mailbox) {
  ic_message *head, *locked;
  do {
    head = ic_mailbox_head(mailbox);
    locked = (ic_message *)((uintptr_t)head | 1);
  } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, locked,
                                                  memory_order_acquire,
                                                  memory_order_relaxed));
  return head;
}

// Likewise of an open one that is not dated, where nobody is in the way.
static inline bool ic_mailbox_try_lock(ic_mailbox *mailbox, ic_message **head) {
  ic_message *found =
      atomic_load_explicit(&mailbox->head, memory_order_relaxed);
  if ((uintptr_t)found & 1 || found == IC_MAILBOX_CLOSED) return false;
  if (atomic_load_explicit(&mailbox->is_dated, memory_order_relaxed)) {
    return false;
  }
  *head = found;
  ic_message *locked = (ic_message *)((uintptr_t)found | 1);
  return atomic_compare_exchange_strong_explicit(&mailbox->head, &found, locked,
                                                 memory_order_acquire,
                                                 memory_order_relaxed);
}

static inline void ic_mailbox_unlock(ic_mailbox *mailbox, ic_message *head) {
  atomic_store_explicit(&mailbox->head, head, memory_order_release);
}

// Likewise; the reader is called.
static inline void ic_mailbox_unlock_calling(ic_mailbox *mailbox,
                                             ic_message *head) {
  ic_mailbox_unlock(mailbox, head ? head : IC_MAILBOX_CALLED);
}

// ic_mailbox_push of one that the caller has locked, where [head] was found,
// which says that it is open; unlocks it. The second where it is not dated.
void ic_mailbox_push_locked(ic_mailbox *mailbox, ic_message *head,
                            ic_message *message, bool *wake);
static inline void ic_mailbox_link_locked(ic_mailbox *mailbox, ic_message *head,
                                          ic_message *message, bool *wake) {
  uint64_t pushed =
      atomic_load_explicit(&mailbox->pushed, memory_order_relaxed);
  atomic_store_explicit(&mailbox->pushed, pushed + 1, memory_order_relaxed);
  *wake = head == IC_MAILBOX_ASLEEP;
  message->next = *wake || head == IC_MAILBOX_CALLED ? NULL : head;
  ic_mailbox_unlock(mailbox, message);
}

// All messages, the oldest first, linked by next; NULL if there are none. Whoever has
// called the reader has done so no more.
ic_message *ic_mailbox_take(ic_mailbox *mailbox);

// [count] messages came to the reader by another way, and count as pushed and taken.
void ic_mailbox_count(ic_mailbox *mailbox, uint64_t count);

// Falls asleep; false where there is a message, the reader was called, or the mailbox is
// closed.
bool ic_mailbox_sleep(ic_mailbox *mailbox);

// Is awake again, whoever woke it.
void ic_mailbox_awake(ic_mailbox *mailbox);

// Takes a sleeping reader's sleep away; true if it slept: then it is the caller's
// to wake. Threads: any.
bool ic_mailbox_rouse(ic_mailbox *mailbox);

// Whether nothing is to be taken. Threads: the reader.
bool ic_mailbox_is_empty(const ic_mailbox *mailbox);

// Whether the reader sleeps; [naps] then tells this sleep from any other: where
// two calls give the same, it slept all the time in between. Threads: any.
bool ic_mailbox_is_asleep(const ic_mailbox *mailbox, uint64_t *naps);

// Closes for good and gives what was left, the oldest first.
ic_message *ic_mailbox_close(ic_mailbox *mailbox);

bool ic_mailbox_is_closed(const ic_mailbox *mailbox);

#endif
