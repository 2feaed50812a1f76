// slab.h - what the stores of memory have in common: slabs of up to 64 pieces of one
// size, with a bit for each that is free, and a list of the slabs that have any.
//
// Threads: whoever holds the mutex of the store; ic_slab_map: any.
// Memory:  a store's slabs are its own; this is the beginning of each.

#ifndef IC_SLAB_H
#define IC_SLAB_H

#include <stddef.h>
#include <stdint.h>

typedef struct ic_slab {
  struct ic_slab *previous, *next;  // linked while [free] is not 0
  uint64_t free;
} ic_slab;

// Address space of [bytes], aligned to [alignment], a multiple of the page's; no page
// of it is resident. NULL: no memory.
void *ic_slab_map(size_t bytes, size_t alignment);

void ic_slab_link(ic_slab **first, ic_slab *slab);
void ic_slab_unlink(ic_slab **first, ic_slab *slab);

// Takes the lowest free piece of the first slab, which is [of]: its number, or -1
// where there is no slab.
int ic_slab_take(ic_slab **first, ic_slab **of);

// The piece is free again, and the slab in the list.
void ic_slab_give(ic_slab **first, ic_slab *of, size_t piece);

#endif
