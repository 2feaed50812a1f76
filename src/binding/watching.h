// watching.h - the watches of other isolates' ends that one state has, by number.
//
// A number stands for one watch and is not given twice soon, so an event that is
// on its way while its watch is cancelled is known as one of nobody. Monitors have
// a watch each. All requests to one isolate share one, which is kept for the next
// request until its place is needed for another.
//
// Threads: the state's own. Memory: the body's, not the state's, so that a state
// that is dropped leaves nothing in the lists of others.

#ifndef IC_WATCHING_H
#define IC_WATCHING_H

#include "core/death.h"

typedef struct {
  ic_watch *watch;  // NULL: free
  uint64_t number;
  ic_isolate *watched;  // counted by the watch's event; of a told one: nobody's
  size_t users;         // of a shared one: requests
  size_t next_free;
  bool is_shared;
} ic_watching_slot;

typedef struct {
  ic_watching_slot *slots;
  size_t count;
  size_t free;  // the first free one, if any
  size_t used;
  size_t monitors;  // slots in use that are not shared
  uint64_t serial;
} ic_watching;

// What it takes, with the watches and their events.
size_t ic_watching_bytes(const ic_watching *watching);

// Makes [watcher] hear of the end of [watched]. Gives [number], never 0.
// Errors: IC_MEMORY.
ic_status ic_watching_add(ic_watching *watching, ic_isolate *watched,
                          ic_isolate *watcher, uint64_t *number);

// As ic_watching_add, with the watch that the state has already where it has one;
// [number], if it is not 0, is where to look first. One user more.
ic_status ic_watching_share(ic_watching *watching, ic_isolate *watched,
                            ic_isolate *watcher, uint64_t *number);

// One user fewer of a shared one, if it is there.
void ic_watching_unshare(ic_watching *watching, uint64_t number);

// The slot of [number]; NULL: there is none.
ic_watching_slot *ic_watching_find(ic_watching *watching, uint64_t number);

// Ends the watch; false if there is none with [number].
bool ic_watching_end(ic_watching *watching, uint64_t number);

// Ends all of them.
void ic_watching_fini(ic_watching *watching);

#endif
