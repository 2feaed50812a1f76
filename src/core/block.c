// block.c - small blocks, by thread and depot.
//
// Small blocks are cut from chunks of one size class. A chunk is aligned to its
// size, so a block's address leads to it:
//
//   chunk, 256 KiB
//   +--------+-------+-------+-------+- - - - - - - - - - - - - - - - - -+
//   | header | block | block | block |        not yet cut                |
//   +--------+-------+-------+-------+- - - - - - - - - - - - - - - - - -+
//                                    ^ cut
//
// A thread takes a batch from its class's depot when it has no block, and returns
// one when it has two. Batches that came back go out again as they are, so that
// a stream of messages costs the lock and two blocks' touch for a whole batch. What
// is more than that goes back to its chunk, and a chunk all of whose blocks are
// back is any class's again. Some such stay mapped; the others are unmapped when
// a thread is about to sleep: it is slow, and in a flood they are needed again.
//
// A thread's first batches are small and double, so that one that takes a single
// block between two sleeps (ic_block_rest) moves no more than that.

#include "core/block.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/large.h"
#include "core/slab.h"
#include "core/sync.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_OWN_BLOCKS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_OWN_BLOCKS false
#endif
#endif
#ifndef HAS_OWN_BLOCKS
#define HAS_OWN_BLOCKS true
#endif

enum {
  LINE = 64,  // bytes of a cache line, and IC_BLOCK_UNIT; classes are multiples
  STEPPED_MAX = 512,
  STEPPED_CLASSES = STEPPED_MAX / LINE,
  CLASSES = STEPPED_CLASSES + 4 * 4,  // and four for each doubling
  SMALL_MAX = STEPPED_MAX << 4,
  CHUNK_BYTES = 256 << 10,
  STEP_BYTES = 64 << 10,  // of a chunk, made resident at once
  BATCH_BYTES = 16 << 10,
  BATCH_MAX = 64,
  BATCH_MIN = 2,
  BATCHED_BYTES = 1 << 20,  // what a depot keeps in batches
  SPARE_CHUNKS = 32,        // wholly free ones that stay mapped for long: 8 MiB
  TRIMMED_AT_ONCE = 64      // the others go when a thread rests
};

// --- Sizes ------------------------------------------------------------------

static inline size_t class_of(size_t size) {
  if (size <= STEPPED_MAX) return size > 0 ? (size - 1) / LINE : 0;
  return STEPPED_CLASSES - 1 + ic_size_class(size, STEPPED_MAX);
}

static inline size_t class_bytes(size_t class) {
  if (class < STEPPED_CLASSES) return (class + 1) * LINE;
  return ic_size_class_bytes(class - STEPPED_CLASSES + 1, STEPPED_MAX);
}

// --- Chunks -----------------------------------------------------------------

typedef struct free_block {
  struct free_block *next;
  struct free_block *next_batch;  // of the first block of one in a depot,
  uint32_t batch_count;           // likewise
} free_block;

// Guard: the depot's mutex of its class; of a spare one, the spares'.
typedef struct chunk {
  struct chunk *previous, *next;  // in the depot's list, while it can give
  free_block *free;
  char *cut;       // blocks from here on were never out
  char *resident;  // pages from here on may not be there yet
  size_t in_use;   // blocks that are out
  bool is_listed;
} chunk;

enum { CHUNK_BEGIN = (sizeof(chunk) + LINE - 1) / LINE * LINE };

static struct {
  ic_mutex mutex;
  chunk *first;
  size_t count;
} spares = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

static chunk *chunk_of(void *block) {
  return (chunk *)((uintptr_t)block & ~(uintptr_t)(CHUNK_BYTES - 1));
}

static chunk *map_chunk(void) {
  char *map = ic_slab_map(CHUNK_BYTES, CHUNK_BYTES);
  if (!map) return NULL;
  ic_slab_populate(map, STEP_BYTES);
  ((chunk *)map)->resident = map + STEP_BYTES;
  return (chunk *)map;
}

static chunk *new_chunk(void) {
  ic_mutex_lock(&spares.mutex);
  chunk *some = spares.first;
  if (some) {
    spares.first = some->next;
    spares.count--;
  }
  ic_mutex_unlock(&spares.mutex);
  if (!some) some = map_chunk();
  if (!some) return NULL;
  *some =
      (chunk){.cut = (char *)some + CHUNK_BEGIN, .resident = some->resident};
  return some;
}

// Linked by next.
static void give_chunks(chunk *some) {
  while (some) {
    chunk *next = some->next;
    ic_mutex_lock(&spares.mutex);
    some->next = spares.first;
    spares.first = some;
    spares.count++;
    ic_mutex_unlock(&spares.mutex);
    some = next;
  }
}

static void trim_spares(void) {
  for (int i = 0; i < TRIMMED_AT_ONCE; i++) {
    ic_mutex_lock(&spares.mutex);
    chunk *some = spares.count > SPARE_CHUNKS ? spares.first : NULL;
    if (some) {
      spares.first = some->next;
      spares.count--;
    }
    ic_mutex_unlock(&spares.mutex);
    if (!some) return;
    munmap(some, CHUNK_BYTES);
  }
}

// --- The depot --------------------------------------------------------------

// Guard of all: its mutex.
typedef struct {
  _Alignas(LINE) ic_mutex mutex;
  chunk *chunks;  // those that can give
  free_block *batches;
  size_t batched;  // blocks in them
} depot;

#define DEPOT                              \
  {                                        \
    .mutex = { PTHREAD_MUTEX_INITIALIZER } \
  }
#define FOUR_DEPOTS DEPOT, DEPOT, DEPOT, DEPOT
static depot depots[CLASSES] = {FOUR_DEPOTS, FOUR_DEPOTS, FOUR_DEPOTS,
                                FOUR_DEPOTS, FOUR_DEPOTS, FOUR_DEPOTS};

static void link_locked(depot *from, chunk *some) {
  some->is_listed = true;
  some->previous = NULL;
  some->next = from->chunks;
  if (some->next) some->next->previous = some;
  from->chunks = some;
}

static void unlink_locked(depot *from, chunk *some) {
  some->is_listed = false;
  *(some->previous ? &some->previous->next : &from->chunks) = some->next;
  if (some->next) some->next->previous = some->previous;
}

// A block of the chunk; NULL: all are out.
static free_block *cut_locked(chunk *some, size_t size) {
  free_block *block = some->free;
  if (block) {
    some->free = block->next;
  } else {
    if (some->cut + size > (char *)some + CHUNK_BYTES) return NULL;
    block = (free_block *)some->cut;
    some->cut += size;
    if (some->cut > some->resident) {
      ic_slab_populate(some->resident, STEP_BYTES);
      some->resident += STEP_BYTES;
    }
  }
  some->in_use++;
  return block;
}

// Puts up to [count] blocks in front of [*list]; how many.
static unsigned take_locked(depot *from, size_t class, unsigned count,
                            free_block **list) {
  size_t size = class_bytes(class);
  unsigned taken = 0;
  while (taken < count && from->chunks) {
    free_block *block = cut_locked(from->chunks, size);
    if (!block) {
      unlink_locked(from, from->chunks);
      continue;
    }
    block->next = *list;
    *list = block;
    taken++;
  }
  return taken;
}

// Takes back a list of blocks; chunks that are whole by it go to [*whole]. One
// stays, as the next block is as likely to be taken as to be given.
static void give_locked(depot *to, free_block *list, chunk **whole) {
  while (list) {
    free_block *block = list;
    list = block->next;
    chunk *some = chunk_of(block);
    block->next = some->free;
    some->free = block;
    if (!some->is_listed) link_locked(to, some);
    if (--some->in_use > 0 || (to->chunks == some && !some->next)) continue;
    unlink_locked(to, some);
    some->next = *whole;
    *whole = some;
  }
}

// --- What a thread keeps ----------------------------------------------------

typedef struct {
  free_block *blocks[CLASSES];
  uint16_t count[CLASSES];
  uint16_t batch[CLASSES];  // of the last move
  uint32_t in_use;          // a bit for each class that may have blocks
  bool will_rest;           // at the end of the thread
} thread_cache;

static _Thread_local thread_cache cache;

// The next move's batch: twice as many as the last, up to the class's most.
static unsigned grow_batch(size_t class) {
  size_t most = BATCH_BYTES / class_bytes(class);
  if (most > BATCH_MAX) most = BATCH_MAX;
  if (most < BATCH_MIN) most = BATCH_MIN;
  size_t batch = (size_t)cache.batch[class] * 2;
  if (batch > most) batch = most;
  if (batch < BATCH_MIN) batch = BATCH_MIN;
  cache.batch[class] = (uint16_t)batch;
  return (unsigned)batch;
}

static void note_use(size_t class) {
  static const ic_exit_hook rest = {ic_block_rest};
  cache.in_use |= UINT32_C(1) << class;
  if (cache.will_rest) return;
  cache.will_rest = true;
  ic_thread_at_exit(&rest);
}

// Gives [count] blocks to the depot.
static void give_list(size_t class, free_block *list, unsigned count) {
  depot *to = &depots[class];
  chunk *whole = NULL;
  ic_mutex_lock(&to->mutex);
  bool is_worth_it = count >= BATCH_MIN * 4 && count <= BATCH_MAX;
  if (is_worth_it && to->batched < BATCHED_BYTES / class_bytes(class)) {
    list->next_batch = to->batches;
    list->batch_count = count;
    to->batches = list;
    to->batched += count;
  } else {
    give_locked(to, list, &whole);
  }
  ic_mutex_unlock(&to->mutex);
  give_chunks(whole);
}

static unsigned take_batch_locked(depot *from, free_block **list) {
  free_block *batch = from->batches;
  if (!batch) return 0;
  from->batches = batch->next_batch;
  from->batched -= batch->batch_count;
  *list = batch;
  return batch->batch_count;
}

// Fetches a batch; false: no memory.
static bool refill(size_t class) {
  depot *from = &depots[class];
  free_block **list = &cache.blocks[class];
  unsigned wanted = grow_batch(class);
  note_use(class);
  ic_mutex_lock(&from->mutex);
  unsigned taken = take_batch_locked(from, list);
  if (taken == 0) taken = take_locked(from, class, wanted, list);
  ic_mutex_unlock(&from->mutex);
  if (taken == 0) {
    chunk *fresh = new_chunk();
    if (!fresh) return false;
    ic_mutex_lock(&from->mutex);
    link_locked(from, fresh);
    taken = take_locked(from, class, wanted, list);
    ic_mutex_unlock(&from->mutex);
  }
  cache.count[class] = (uint16_t)taken;
  return true;
}

// There are two batches: unless a batch may be larger, the one that came first
// goes.
static void spill(size_t class) {
  unsigned count = cache.count[class], keep = grow_batch(class);
  if (count < 2 * keep) return;
  free_block *last = cache.blocks[class];
  for (unsigned i = 1; i < keep; i++)
    last = last->next;
  free_block *rest = last->next;
  last->next = NULL;
  cache.count[class] = (uint16_t)keep;
  give_list(class, rest, count - keep);
}

void ic_block_rest(void) {
  if (cache.in_use) trim_spares();
  while (cache.in_use) {
    size_t class = (size_t)__builtin_ctz(cache.in_use);
    cache.in_use &= cache.in_use - 1;
    free_block *list = cache.blocks[class];
    unsigned count = cache.count[class];
    cache.blocks[class] = NULL;
    cache.count[class] = cache.batch[class] = 0;
    if (list) give_list(class, list, count);
  }
}

static void *take_small(size_t size) {
  size_t class = class_of(size);
  if (!cache.blocks[class] && !refill(class)) return NULL;
  free_block *block = cache.blocks[class];
  free_block *next = block->next;
  cache.blocks[class] = next;
  cache.count[class]--;
  // Another core may have written to the next one last: it is fetched while this
  // one is filled.
  __builtin_prefetch(next, 1);
  __builtin_prefetch((char *)next + LINE, 1);
  return block;
}

static void give_small(void *some, size_t size) {
  size_t class = class_of(size);
  free_block *block = some;
  block->next = cache.blocks[class];
  cache.blocks[class] = block;
  if (cache.count[class]++ == 0) note_use(class);
  if (cache.count[class] >= 2 * cache.batch[class]) spill(class);
}

// --- All of them ------------------------------------------------------------

static inline bool is_small(size_t size) {
  return HAS_OWN_BLOCKS && size <= SMALL_MAX;
}

static inline bool is_large(size_t size) {
  return HAS_OWN_BLOCKS && size >= IC_BLOCK_LARGE;
}

void *ic_block_take(size_t size) {
  if (is_small(size)) return take_small(size);
  return is_large(size) ? ic_large_take(size) : malloc(ic_block_fit(size));
}

void ic_block_give(void *block, size_t size) {
  if (!block) return;
  if (is_small(size)) {
    give_small(block, size);
  } else if (is_large(size)) {
    ic_large_give(block, size);
  } else {
    free(block);
  }
}

void *ic_block_resize(void *block, size_t old_size, size_t new_size) {
  if (is_large(old_size) && is_large(new_size)) {
    return ic_large_resize(block, old_size, new_size);
  }
  if (is_small(old_size) && is_small(new_size) &&
      class_of(old_size) == class_of(new_size)) {
    return block;
  }
  void *moved = ic_block_take(new_size);
  if (!moved) return NULL;
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  ic_block_give(block, old_size);
  return moved;
}

size_t ic_block_fit(size_t size) {
  if (is_small(size)) return class_bytes(class_of(size));
  if (is_large(size)) return ic_large_fit(size);
  if (!HAS_OWN_BLOCKS) return size;
  return (size + LINE - 1) / LINE * LINE;
}
