// chunks.c - slabs of chunks, with pages or without.
//
// The store has slabs of 32 chunks, mapped at once and unmapped when all their
// chunks are cold, so that isolates that end in any order do not split the
// address space into more maps than the kernel allows. A chunk is with an
// arena, or warm (stacked, with pages), or cold (a bit of its slab, without).

#include "core/chunks.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "core/slab.h"
#include "core/sync.h"

enum { PAGE = 4096, SLAB_CHUNKS = 32 };

typedef struct {
  ic_slab slab;  // of cold chunks
  char *chunks;
} chunk_slab;

#define ALL_COLD (UINT64_MAX >> (64 - SLAB_CHUNKS))

// Guard of all of it, and of the slabs' links and bits: its mutex.
static struct {
  ic_mutex mutex;
  ic_chunk *warm;
  size_t warm_bytes;
  ic_slab *slabs;  // those that have cold chunks
} store = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

// A slab whose chunks are all cold; not linked. NULL: no memory.
static chunk_slab *map_slab(void) {
  enum { BYTES = SLAB_CHUNKS * IC_CHUNK_BYTES };
  chunk_slab *some = malloc(sizeof *some);
  if (!some) return NULL;
  char *map = ic_slab_map(BYTES, IC_CHUNK_BYTES);
  if (!map) {
    free(some);
    return NULL;
  }
  // A huge page would make all of 32 small states resident at the first.
  madvise(map, BYTES, MADV_NOHUGEPAGE);
  *some = (chunk_slab){.slab = {.free = ALL_COLD}, .chunks = map};
  return some;
}

static void unmap_slab(chunk_slab *some) {
  munmap(some->chunks, (size_t)SLAB_CHUNKS * IC_CHUNK_BYTES);
  free(some);
}

static size_t resident_bytes(const ic_chunk *some) {
  return (some->touched + PAGE - 1) / PAGE * PAGE;
}

static ic_chunk *take_warm_locked(void) {
  ic_chunk *some = store.warm;
  if (!some) return NULL;
  store.warm = some->next;
  store.warm_bytes -= resident_bytes(some);
  return some;
}

static ic_chunk *take_cold_locked(chunk_slab **of) {
  ic_slab *some;
  int index = ic_slab_take(&store.slabs, &some);
  if (index < 0) return NULL;
  *of = (chunk_slab *)some;  // its first member
  return (ic_chunk *)((*of)->chunks + (size_t)index * IC_CHUNK_BYTES);
}

ic_chunk *ic_chunk_take(void) {
  chunk_slab *of = NULL;
  ic_mutex_lock(&store.mutex);
  ic_chunk *some = take_warm_locked();
  if (!some) some = take_cold_locked(&of);
  ic_mutex_unlock(&store.mutex);
  if (!some) {
    chunk_slab *fresh = map_slab();
    if (!fresh) return NULL;
    ic_mutex_lock(&store.mutex);
    ic_slab_link(&store.slabs, &fresh->slab);
    some = take_cold_locked(&of);
    ic_mutex_unlock(&store.mutex);
  }
  if (of) *some = (ic_chunk){.owner = of, .touched = sizeof(ic_chunk)};
  return some;
}

static void give_cold(ic_chunk *some) {
  chunk_slab *of = some->owner;
  unsigned index = (unsigned)(((char *)some - of->chunks) / IC_CHUNK_BYTES);
  madvise(some, IC_CHUNK_BYTES, MADV_DONTNEED);
  ic_mutex_lock(&store.mutex);
  ic_slab_give(&store.slabs, &of->slab, index);
  bool is_unused = of->slab.free == ALL_COLD;
  if (is_unused) ic_slab_unlink(&store.slabs, &of->slab);
  ic_mutex_unlock(&store.mutex);
  if (is_unused) unmap_slab(of);
}

void ic_chunk_give_all(ic_chunk *chunks) {
  ic_mutex_lock(&store.mutex);
  while (chunks &&
         store.warm_bytes + resident_bytes(chunks) <= IC_CHUNK_STORE_BYTES) {
    ic_chunk *next = chunks->next;
    chunks->next = store.warm;
    store.warm = chunks;
    store.warm_bytes += resident_bytes(chunks);
    chunks = next;
  }
  ic_mutex_unlock(&store.mutex);
  while (chunks) {
    ic_chunk *next = chunks->next;
    give_cold(chunks);
    chunks = next;
  }
}

size_t ic_chunk_stored_bytes(void) {
  ic_mutex_lock(&store.mutex);
  size_t bytes = store.warm_bytes;
  ic_mutex_unlock(&store.mutex);
  return bytes;
}
