// alternates.c - slabs of stacks, aligned to their size, with a bit for each that
// is free. The lowest is taken first, so that those that a handler has touched are
// used again. In place of its first stack a slab has its own few words.

#include "core/alternates.h"

#include <sys/mman.h>

#include "core/slab.h"
#include "core/sync.h"

enum { STACKS = 64, SLAB_BYTES = STACKS * IC_ALTERNATE_STACK_BYTES };

#define ALL_FREE (UINT64_MAX << 1)

// Guard of all of it, and of the slabs' words: its mutex.
static struct {
  ic_mutex mutex;
  ic_slab *slabs;  // those that have free stacks
} store = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

// A slab whose stacks are all free; not linked. NULL: no memory.
static ic_slab *map_slab(void) {
  ic_slab *some = ic_slab_map(SLAB_BYTES, SLAB_BYTES);
  if (!some) return NULL;
  madvise(some, SLAB_BYTES, MADV_NOHUGEPAGE);
  some->free = ALL_FREE;
  return some;
}

static void *take_locked(void) {
  ic_slab *of;
  int place = ic_slab_take(&store.slabs, &of);
  if (place < 0) return NULL;
  return (char *)of + (size_t)place * IC_ALTERNATE_STACK_BYTES;
}

void *ic_alternate_take(void) {
  ic_mutex_lock(&store.mutex);
  void *stack = take_locked();
  ic_mutex_unlock(&store.mutex);
  if (stack) return stack;
  ic_slab *fresh = map_slab();
  if (!fresh) return NULL;
  ic_mutex_lock(&store.mutex);
  ic_slab_link(&store.slabs, fresh);
  stack = take_locked();
  ic_mutex_unlock(&store.mutex);
  return stack;
}

// One slab is kept, however few threads there are.
void ic_alternate_give(void *stack) {
  size_t place = (uintptr_t)stack % SLAB_BYTES;
  ic_slab *of = (ic_slab *)(void *)((char *)stack - place);
  ic_mutex_lock(&store.mutex);
  ic_slab_give(&store.slabs, of, place / IC_ALTERNATE_STACK_BYTES);
  bool is_unused = of->free == ALL_FREE && (of->next || of->previous);
  if (is_unused) ic_slab_unlink(&store.slabs, of);
  ic_mutex_unlock(&store.mutex);
  if (is_unused) munmap(of, SLAB_BYTES);
}
