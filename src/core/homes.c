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

#include "core/slab.h"
#include "core/sync.h"

enum {
  PAGE = 4 << 10,
  HUGE_BYTES = 2 << 20,
  SLAB_FIRST = 2,
  HUGE_FROM = 16,  // homes; of more, most are soon in the next page
  SLAB_MAX = HUGE_BYTES / IC_HOME_BYTES
};

_Static_assert(SLAB_MAX <= 64, "a slab's homes have a bit each");

typedef struct {
  ic_slab slab;
  char *homes;
  size_t bytes;
  uint64_t all;  // the bits that stand for a home
} home_slab;

// Guard of all of it, and of the slabs' links and [free]: its mutex.
static struct {
  ic_mutex mutex;
  ic_slab *slabs;  // those that have free homes
  size_t free_count;
  size_t mapped_count;
} store = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

// A slab of [count] free homes, not linked. NULL: no memory.
static home_slab *map_slab(unsigned count) {
  home_slab *some = malloc(sizeof *some);
  if (!some) return NULL;
  size_t bytes = count == SLAB_MAX ? HUGE_BYTES : (size_t)count * IC_HOME_BYTES;
  char *map = ic_slab_map(bytes, bytes == HUGE_BYTES ? HUGE_BYTES : PAGE);
  if (!map) {
    free(some);
    return NULL;
  }
  madvise(map, bytes, bytes == HUGE_BYTES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  ic_slab_populate(map, bytes);
  uint64_t all = UINT64_MAX >> (64 - count);
  *some = (home_slab){
      .slab = {.free = all}, .homes = map, .bytes = bytes, .all = all};
  return some;
}

static void *take_locked(void) {
  ic_slab *of;
  int index = ic_slab_take(&store.slabs, &of);
  if (index < 0) return NULL;
  store.free_count--;
  home_slab *some = (home_slab *)of;  // its first member
  home_slab **home =
      (home_slab **)(void *)(some->homes + (size_t)index * IC_HOME_BYTES);
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
  home_slab *fresh = map_slab(count);
  if (!fresh) return NULL;
  ic_mutex_lock(&store.mutex);
  ic_slab_link(&store.slabs, &fresh->slab);
  store.free_count += count;
  store.mapped_count += count;
  home = take_locked();
  ic_mutex_unlock(&store.mutex);
  return home;
}

// True if the slab of a free home is to be unmapped; then it is unlinked.
static bool give_locked(home_slab *of, unsigned index) {
  ic_slab_give(&store.slabs, &of->slab, index);
  store.free_count++;
  if (of->slab.free != of->all ||
      store.free_count * IC_HOME_BYTES <= IC_HOMES_STORE_BYTES) {
    return false;
  }
  ic_slab_unlink(&store.slabs, &of->slab);
  size_t count = (size_t)__builtin_popcountll(of->all);
  store.free_count -= count;
  store.mapped_count -= count;
  return true;
}

void ic_home_give(void *home) {
  home_slab *of = *(home_slab **)home;
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
