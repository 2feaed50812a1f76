// homes.h - the first memory of each arena: stretches of one size.
//
// A page fault costs more than all that a small isolate does in its first page;
// asking for many pages at once costs a tenth of it for each. So homes are
// mapped in slabs whose pages are made resident together: the first slab of a
// process is small, and the more homes there are, the larger are those to come.
//
// Threads: any.

#ifndef IC_HOMES_H
#define IC_HOMES_H

#include <stddef.h>

// What an isolate needs that has little to do, and whole pages.
enum { IC_HOME_BYTES = 32 << 10 };

// A home, aligned to a page. Its first word is the store's and must stay as it
// is until the home is given back; what else is in it, nobody knows.
// NULL: no memory.
void *ic_home_take(void);

void ic_home_give(void *home);

// What the process keeps resident for homes to come, at most; and keeps now.
#define IC_HOMES_STORE_BYTES ((size_t)16 << 20)
size_t ic_homes_stored_bytes(void);

#endif
