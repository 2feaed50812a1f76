// slab.c - a list and its bits.

#include "core/slab.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // since Linux 5.14
#endif

void *ic_slab_map(size_t bytes, size_t alignment) {
  char *map = mmap(NULL, bytes + alignment, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return NULL;
  size_t before = -(uintptr_t)map % alignment;
  if (before > 0) munmap(map, before);
  munmap(map + before + bytes, alignment - before);
  return map + before;
}

void ic_slab_populate(void *begin, size_t bytes) {
  (void)madvise(begin, bytes, MADV_POPULATE_WRITE);
}

void ic_slab_link(ic_slab **first, ic_slab *slab) {
  slab->previous = NULL;
  slab->next = *first;
  if (*first) (*first)->previous = slab;
  *first = slab;
}

void ic_slab_unlink(ic_slab **first, ic_slab *slab) {
  if (slab->next) slab->next->previous = slab->previous;
  *(slab->previous ? &slab->previous->next : first) = slab->next;
}

int ic_slab_take(ic_slab **first, ic_slab **of) {
  ic_slab *slab = *first;
  if (!slab) return -1;
  int piece = __builtin_ctzll(slab->free);
  slab->free &= slab->free - 1;
  if (slab->free == 0) ic_slab_unlink(first, slab);
  *of = slab;
  return piece;
}

void ic_slab_give(ic_slab **first, ic_slab *of, size_t piece) {
  if (of->free == 0) ic_slab_link(first, of);
  of->free |= UINT64_C(1) << piece;
}
