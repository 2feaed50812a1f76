// outsiders.h - who can be sent to and has no path: host scripts, and ports that were
// opened without one. A ref to one that comes as bytes alone is found by its id.
//
// Threads: any. Memory: nobody is counted for being listed.

#ifndef IC_OUTSIDERS_H
#define IC_OUTSIDERS_H

#include "core/isolate.h"

// Makes [isolate] findable; ic_outsiders_leave comes before its last release.
void ic_outsiders_enter(ic_isolate *isolate);

// Does nothing with one that is not listed.
void ic_outsiders_leave(ic_isolate *isolate);

// The one with [id], counted for the caller; NULL: none.
ic_isolate *ic_outsiders_find(uint64_t id);

#endif
