// changes.h - which ups and downs the isolates that start now have not heard of yet.
//
// An isolate is to hear of all that come up or end after it; but until its entry
// has returned, or waits, it has not said whether it wants to. Telling each of the
// isolates that start at one time of all the others costs the square of their
// number, mostly for nothing. So such changes are noted once, in a list that ends
// with the newest, and an isolate keeps its place in it until it is asked.
//
// A note keeps what is left of an isolate that has ended. As an entry may run for
// ever, the oldest notes are forgotten where that comes to more than
// IC_CHANGES_BYTES_MAX.
//
// Threads: guard of all of it is the registry's mutex.
// Memory:  what the notes that are taken out counted goes into [waste], to be let go
//          of without the mutex.

#ifndef IC_CHANGES_H
#define IC_CHANGES_H

#include "core/isolate.h"

#define IC_CHANGES_BYTES_MAX ((size_t)64 << 20)

typedef struct ic_change ic_change;

typedef struct {
  ic_change *items;  // a ring
  size_t capacity;   // a power of two, or 0
  size_t first, count;
  uint64_t forgotten;  // notes that were before the first
  size_t starting;     // isolates that have a place
  size_t up_to_date;   // of them, those whose place is behind the newest
  size_t bytes;        // what the notes keep of those that have ended
} ic_changes;

// It has no notes.
void ic_changes_fini(ic_changes *changes);

// Gives [isolate] its place, behind all that was noted.
void ic_changes_begin_locked(ic_changes *changes, ic_isolate *isolate);

// Notes that [isolate] came up, or has ended ([kind]: IC_MESSAGE_UP or _DOWN), at
// [moment]. Where there is no memory for it, it is left out.
void ic_changes_add_locked(ic_changes *changes, ic_isolate *isolate,
                           ic_message_kind kind, uint64_t moment,
                           ic_ref_list *waste);

// Takes the place of [isolate]; does nothing where it has none. Gives an event for
// each change since that is one of [watches] (IC_WATCH_UP, _DOWN), the oldest first,
// with the moment as its [request].
ic_message *ic_changes_end_locked(ic_changes *changes, ic_isolate *isolate,
                                  unsigned watches, ic_ref_list *waste);

#endif
