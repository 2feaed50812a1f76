// watching.h - the watches of other isolates' ends that one state has, by number.
//
// A number stands for one watch and is not given twice soon, so an event that is
// on its way while its watch is cancelled is known as one of nobody.
//
// Threads: the state's own. Memory: the body's, not the state's, so that a state
// that is dropped leaves nothing in the lists of others.

#ifndef IC_WATCHING_H
#define IC_WATCHING_H

#include "core/death.h"

typedef struct {
  ic_watch *watch;  // NULL: free
  uint64_t number;
  size_t next_free;
} ic_watching_slot;

typedef struct {
  ic_watching_slot *slots;
  size_t count;
  size_t free;  // the first free one; [count]: none
  uint64_t serial;
} ic_watching;

// Makes [watcher] hear of the end of [watched]. Gives [number], never 0.
// Errors: IC_MEMORY.
ic_status ic_watching_add(ic_watching *watching, ic_isolate *watched,
                          ic_isolate *watcher, uint64_t *number);

// Ends the watch; false if there is none with [number].
bool ic_watching_end(ic_watching *watching, uint64_t number);

// Ends all of them.
void ic_watching_fini(ic_watching *watching);

#endif
