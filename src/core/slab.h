// slab.h - what the stores of memory have in common: slabs of up to 64 pieces of one
// size, with a bit for each that is free, and a list of the slabs that have any; and the
// sizes that blocks are rounded up to.
//
// Threads: whoever holds the mutex of the store; ic_slab_map and ic_slab_populate: any.
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

// Makes [bytes] resident at once: a fault for each page costs many times as much. What
// can't be done now is done by the faults.
void ic_slab_populate(void *begin, size_t bytes);

void ic_slab_link(ic_slab **first, ic_slab *slab);
void ic_slab_unlink(ic_slab **first, ic_slab *slab);

// Takes the lowest free piece of the first slab, which is [of]: its number, or -1
// where there is no slab.
int ic_slab_take(ic_slab **first, ic_slab **of);

// The piece is free again, and the slab in the list.
void ic_slab_give(ic_slab **first, ic_slab *of, size_t piece);

// --- Size classes -----------------------------------------------------------
//
// Four for each doubling of a first one, which is a power of two: that, then 1.25, 1.5,
// 1.75 and 2 times it, and so on. Threads: any.

// The number of the least class that holds [size]; 0 for [first] itself and below.
static inline size_t ic_size_class(size_t size, size_t first) {
  if (size <= first) return 0;
  size_t doubling = (size_t)(63 - __builtin_clzll(size - 1));
  size_t quarter = ((size - 1) >> (doubling - 2)) & 3;
  size_t from = (size_t)__builtin_ctzll(first);
  return (doubling - from) * 4 + quarter + 1;
}

static inline size_t ic_size_class_bytes(size_t class, size_t first) {
  if (class == 0) return first;
  size_t doubling = (class - 1) / 4, quarter = (class - 1) % 4;
  return (first << doubling) / 4 * (5 + quarter);
}

#endif
