// homes.c - slabs of homes: which are free, a bit for each.
//
// A slab is mapped with all of its pages, and unmapped once all of its homes are
// free and the store has enough without them. Until then its homes stay
// resident, whether they are used or not.
//
// Where there are many homes, a slab is one huge page: then the kernel, and a
// hypervisor below it, have one fault to handle instead of 512. Measured on a
// virtual machine, for 4 KiB: 14 us by faults one by one, 9 us in a huge page of
// memory that the machine never used before, 0.3 us in one that it did.

#include "core/homes.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/sync.h"

enum {
  HUGE_BYTES = 2 << 20,
  SLAB_FIRST = 2,
  HUGE_FROM = 16,  // homes; of more, most are soon in the next page
  SLAB_MAX = HUGE_BYTES / IC_HOME_BYTES
};

_Static_assert(SLAB_MAX <= 64, "a slab's homes have a bit each");

typedef struct slab {
  struct slab *previous, *next;  // linked while [free] is not 0
  char *homes;
  size_t bytes;
  uint64_t free;
  uint64_t all;  // the bits that stand for a home
} slab;

// Guard of all of it, and of the slabs' links and [free]: its mutex.
static struct {
  ic_mutex mutex;
  slab *slabs;  // those that have free homes
  size_t free_count;
  size_t mapped_count;
} store = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

static void link_locked(slab *some) {
  some->previous = NULL;
  some->next = store.slabs;
  if (store.slabs) store.slabs->previous = some;
  store.slabs = some;
}

static void unlink_locked(slab *some) {
  if (some->next) some->next->previous = some->previous;
  *(some->previous ? &some->previous->next : &store.slabs) = some->next;
}

// Aligned to its size, if that is a huge page's. NULL: no memory.
static char *map_aligned(size_t bytes) {
  size_t more = bytes == HUGE_BYTES ? bytes : 0;
  char *map = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return NULL;
  if (more == 0) return map;
  size_t before = -(uintptr_t)map % bytes;
  if (before > 0) munmap(map, before);
  if (more > before) munmap(map + before + bytes, more - before);
  return map + before;
}

// Makes the pages resident; where the kernel can't, each is when it is used.
static void populate(char *map, size_t bytes) {
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // since Linux 5.14
#endif
  madvise(map, bytes, bytes == HUGE_BYTES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  madvise(map, bytes, MADV_POPULATE_WRITE);
}

// A slab of [count] free homes, not linked. NULL: no memory.
static slab *map_slab(unsigned count) {
  slab *some = malloc(sizeof *some);
  if (!some) return NULL;
  size_t bytes = count == SLAB_MAX ? HUGE_BYTES : (size_t)count * IC_HOME_BYTES;
  char *map = map_aligned(bytes);
  if (!map) {
    free(some);
    return NULL;
  }
  populate(map, bytes);
  uint64_t all = UINT64_MAX >> (64 - count);
  *some = (slab){.homes = map, .bytes = bytes, .free = all, .all = all};
  return some;
}

static void *take_locked(void) {
  slab *some = store.slabs;
  if (!some) return NULL;
  int index = __builtin_ctzll(some->free);
  some->free &= some->free - 1;
  if (some->free == 0) unlink_locked(some);
  store.free_count--;
  slab **home = (slab **)(void *)(some->homes + (size_t)index * IC_HOME_BYTES);
  *home = some;
  return home;
}

// As many as there are already; from some number on as many as can be.
static unsigned next_count(size_t mapped_count) {
  if (mapped_count < SLAB_FIRST) return SLAB_FIRST;
  return mapped_count < HUGE_FROM ? (unsigned)mapped_count : SLAB_MAX;
}

void *ic_home_take(void) {
  ic_mutex_lock(&store.mutex);
  void *home = take_locked();
  unsigned count = next_count(store.mapped_count);
  ic_mutex_unlock(&store.mutex);
  if (home) return home;
  slab *fresh = map_slab(count);
  if (!fresh) return NULL;
  ic_mutex_lock(&store.mutex);
  link_locked(fresh);
  store.free_count += count;
  store.mapped_count += count;
  home = take_locked();
  ic_mutex_unlock(&store.mutex);
  return home;
}

// True if the slab of a free home is to be unmapped; then it is unlinked.
static bool give_locked(slab *of, unsigned index) {
  if (of->free == 0) link_locked(of);
  of->free |= UINT64_C(1) << index;
  store.free_count++;
  if (of->free != of->all ||
      store.free_count * IC_HOME_BYTES <= IC_HOMES_STORE_BYTES) {
    return false;
  }
  unlink_locked(of);
  size_t count = (size_t)__builtin_popcountll(of->all);
  store.free_count -= count;
  store.mapped_count -= count;
  return true;
}

void ic_home_give(void *home) {
  slab *of = *(slab **)home;
  unsigned index = (unsigned)(((char *)home - of->homes) / IC_HOME_BYTES);
  ic_mutex_lock(&store.mutex);
  bool is_unused = give_locked(of, index);
  ic_mutex_unlock(&store.mutex);
  if (!is_unused) return;
  munmap(of->homes, of->bytes);
  free(of);
}

size_t ic_homes_stored_bytes(void) {
  ic_mutex_lock(&store.mutex);
  size_t bytes = store.free_count * IC_HOME_BYTES;
  ic_mutex_unlock(&store.mutex);
  return bytes;
}
