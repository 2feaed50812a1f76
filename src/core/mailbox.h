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
// Threads: push, close - any; take, count, sleep, awake - only the reader.
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
  _Atomic uint64_t pushed;                // messages so far, refused ones too
  _Atomic uint64_t weighed, seen_lifted;  // bytes; see weight.h
  _Atomic uint64_t taken_places, seen_freed_places;  // see bound.h
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
  _Atomic uint64_t lifted, freed_places;
} ic_mailbox;

void ic_mailbox_init(ic_mailbox *mailbox);

// Ownership: takes [message] on IC_OK. [wake]: the reader sleeps, the caller
// must wake it.
// Errors: IC_GONE - closed.
ic_status ic_mailbox_push(ic_mailbox *mailbox, ic_message *message, bool *wake);

// All messages, the oldest first, linked by next; NULL if there are none.
ic_message *ic_mailbox_take(ic_mailbox *mailbox);

// [count] messages came to the reader by another way, and count as pushed and taken.
void ic_mailbox_count(ic_mailbox *mailbox, uint64_t count);

// Falls asleep; false where there is a message, or the mailbox is closed.
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
