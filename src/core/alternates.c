// alternates.c - slabs of stacks, aligned to their size, with a bit for each that
// is free. The lowest is taken first, so that those that a handler has touched are
// used again. In place of its first stack a slab has its own few words.

#include "core/alternates.h"

#include <stdint.h>
#include <sys/mman.h>

#include "core/sync.h"

enum { STACKS = 64, SLAB_BYTES = STACKS * IC_ALTERNATE_STACK_BYTES };

#define ALL_FREE (UINT64_MAX << 1)

typedef struct slab {
  struct slab *previous, *next;  // linked while [free] is not 0
  uint64_t free;
} slab;

// Guard of all of it, and of the slabs' words: its mutex.
static struct {
  ic_mutex mutex;
  slab *slabs;  // those that have free stacks
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

// A slab whose stacks are all free; not linked. NULL: no memory.
static slab *map_slab(void) {
  char *map = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return NULL;
  size_t before = -(uintptr_t)map % SLAB_BYTES;
  if (before > 0) munmap(map, before);
  munmap(map + before + SLAB_BYTES, SLAB_BYTES - before);
  madvise(map + before, SLAB_BYTES, MADV_NOHUGEPAGE);
  slab *some = (slab *)(void *)(map + before);
  some->free = ALL_FREE;
  return some;
}

static void *take_locked(void) {
  slab *some = store.slabs;
  if (!some) return NULL;
  int index = __builtin_ctzll(some->free);
  some->free &= some->free - 1;
  if (some->free == 0) unlink_locked(some);
  return (char *)some + (size_t)index * IC_ALTERNATE_STACK_BYTES;
}

void *ic_alternate_take(void) {
  ic_mutex_lock(&store.mutex);
  void *stack = take_locked();
  ic_mutex_unlock(&store.mutex);
  if (stack) return stack;
  slab *fresh = map_slab();
  if (!fresh) return NULL;
  ic_mutex_lock(&store.mutex);
  link_locked(fresh);
  stack = take_locked();
  ic_mutex_unlock(&store.mutex);
  return stack;
}

// One slab is kept, however few threads there are.
void ic_alternate_give(void *stack) {
  size_t place = (uintptr_t)stack % SLAB_BYTES;
  slab *of = (slab *)(void *)((char *)stack - place);
  ic_mutex_lock(&store.mutex);
  if (of->free == 0) link_locked(of);
  of->free |= UINT64_C(1) << place / IC_ALTERNATE_STACK_BYTES;
  bool is_unused = of->free == ALL_FREE && (of->next || of->previous);
  if (is_unused) unlink_locked(of);
  ic_mutex_unlock(&store.mutex);
  if (is_unused) munmap(of, SLAB_BYTES);
}
