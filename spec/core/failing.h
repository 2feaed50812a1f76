// failing.h - memory and threads that run out at a chosen moment.
//
//   for (int n = 0; failing_at(n); n++) {     // once for each that is asked for
//     ic_status status = ic_cluster_new(NULL, &cluster);
//     if (failing_stop()) CHECK(status == IC_MEMORY);
//   }
//
// Every C test is linked so that the core's malloc, calloc, realloc, strdup,
// pthread_create and the takes of block.h pass through here. Only the calling thread's
// calls fail.

#ifndef IC_FAILING_H
#define IC_FAILING_H

#include <stdbool.h>

// From now on the call number [n], from 0, fails, and those behind it succeed.
// False: the last round had fewer calls than its number, so this one needs not
// be.
bool failing_at(int n);

// No call fails any more; true if one did.
bool failing_stop(void);

// Likewise the calls of all threads; [from_there_on]: those behind it fail, too.
void failing_everywhere(int n, bool from_there_on);

// Whether threads can be started at all.
void failing_threads(bool can_start);

// Mappings, descriptors and FILEs of our own then fail, too.

// No call fails any more; true if one did.
bool failing_everywhere_stop(void);

#endif
