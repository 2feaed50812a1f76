// ups.h - which ups the isolates that start now have not heard of yet.
//
// An isolate is to hear of all that come up after it; but until its entry has
// returned, or waits, it has not said whether it wants to. Telling each of the
// isolates that start at one time of all the others costs the square of their
// number, mostly for nothing. So such ups are noted once, in a list that ends
// with the newest, and an isolate keeps its place in it until it is asked.
//
// Threads: guard of all of it is the registry's mutex.
// Memory:  a note is counted by the one before it, by the isolates whose place it
//          is, and by the list for the newest.

#ifndef IC_UPS_H
#define IC_UPS_H

#include "core/isolate.h"

// The newest note; NULL: nobody starts.
typedef struct {
  ic_up *newest;
} ic_ups;

// Notes that are no longer needed, to be freed without the mutex.
typedef struct {
  ic_up *first;
} ic_ups_waste;

// Gives [isolate] its place. Errors: IC_MEMORY.
ic_status ic_ups_begin_locked(ic_ups *ups, ic_isolate *isolate);

// Notes that [isolate] came up, as the registry's change number [version]. Where
// there is no memory for it, it is left out.
void ic_ups_add_locked(ic_ups *ups, ic_isolate *isolate, uint64_t version,
                       ic_ups_waste *waste);

// Takes the place of [isolate]; does nothing where it has none. With [out] that
// gets an event for each up since, the oldest first, with the change's number as
// its [request]; gives them.
void ic_ups_end_locked(ic_ups *ups, ic_isolate *isolate, ic_ups_waste *waste,
                       ic_message **out);

void ic_ups_free(ic_ups_waste *waste);

#endif
