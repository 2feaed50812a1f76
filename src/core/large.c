// large.c - mappings, and those among them that nobody uses for now.

#include "core/large.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "core/slab.h"
#include "core/sync.h"

enum {
  PAGE = 4096,
  CLASSES = 4 * 7 + 1  // up to 8 MiB; above, none is kept
};

#define CACHED_MAX (IC_LARGE_LEAST << 7)

// Of warm blocks, so much stays whatever is mapped.
#define STAYING_BYTES ((size_t)768 << 10)

// A block that nobody uses; in two rings.
typedef struct warm_block {
  struct warm_block *previous, *next;  // of its class, the youngest first
  struct warm_block *older, *younger;  // of all
  size_t bytes;
} warm_block;

// Guard: its mutex.
static struct {
  ic_mutex mutex;
  warm_block *classes[CLASSES];
  warm_block *oldest, *youngest;
  size_t bytes;
} warm = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

size_t ic_large_fit(size_t size) {
  if (size > CACHED_MAX) return (size + PAGE - 1) / PAGE * PAGE;
  return ic_size_class_bytes(ic_size_class(size, IC_LARGE_LEAST),
                             IC_LARGE_LEAST);
}

static void unlink_warm_locked(warm_block *some) {
  size_t class = ic_size_class(some->bytes, IC_LARGE_LEAST);
  *(some->previous ? &some->previous->next : &warm.classes[class]) = some->next;
  if (some->next) some->next->previous = some->previous;
  *(some->younger ? &some->younger->older : &warm.youngest) = some->older;
  *(some->older ? &some->older->younger : &warm.oldest) = some->younger;
  warm.bytes -= some->bytes;
}

static void link_warm_locked(warm_block *some, size_t bytes) {
  warm_block **class = &warm.classes[ic_size_class(bytes, IC_LARGE_LEAST)];
  *some = (warm_block){.next = *class, .older = warm.youngest, .bytes = bytes};
  if (*class) (*class)->previous = some;
  *class = some;
  *(warm.youngest ? &warm.youngest->younger : &warm.oldest) = some;
  warm.youngest = some;
  warm.bytes += bytes;
}

static void *take_warm(size_t bytes) {
  if (bytes > CACHED_MAX) return NULL;
  ic_mutex_lock(&warm.mutex);
  warm_block *some = warm.classes[ic_size_class(bytes, IC_LARGE_LEAST)];
  if (some) unlink_warm_locked(some);
  ic_mutex_unlock(&warm.mutex);
  return some;
}

// Takes out the oldest that are [smaller_than], until no more than [most_bytes] are
// left.
static warm_block *cool_locked(size_t most_bytes, size_t smaller_than) {
  warm_block *doomed = NULL, *younger;
  for (warm_block *some = warm.oldest; some && warm.bytes > most_bytes;
       some = younger) {
    younger = some->younger;
    if (some->bytes >= smaller_than) continue;
    unlink_warm_locked(some);
    some->next = doomed;
    doomed = some;
  }
  return doomed;
}

static void unmap_all(warm_block *doomed) {
  while (doomed) {
    warm_block *next = doomed->next;
    munmap(doomed, doomed->bytes);
    doomed = next;
  }
}

// A mapping of [bytes], [more] of them new, takes the place of smaller warm blocks: so
// who asks for larger and larger ones does not leave all the smaller ones behind. Larger
// ones stay, as those who grow up to them begin small each time; and so do a few small
// ones, or two that are wanted in turns would drive out each other.
static void make_place(size_t bytes, size_t more) {
  ic_mutex_lock(&warm.mutex);
  size_t most = warm.bytes > more ? warm.bytes - more : 0;
  warm_block *doomed =
      cool_locked(most > STAYING_BYTES ? most : STAYING_BYTES, bytes);
  ic_mutex_unlock(&warm.mutex);
  unmap_all(doomed);
}

static void *map(size_t bytes) {
  void *begin = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return begin == MAP_FAILED ? NULL : begin;
}

void *ic_large_take(size_t size) {
  if (size > SIZE_MAX - PAGE) return NULL;
  size_t bytes = ic_large_fit(size);
  void *block = take_warm(bytes);
  if (block) return block;
  make_place(bytes, bytes);
  block = map(bytes);
  if (block) ic_slab_populate(block, size);
  return block;
}

void ic_large_give(void *block, size_t size) {
  size_t bytes = ic_large_fit(size);
  if (bytes > CACHED_MAX) {
    munmap(block, bytes);
    return;
  }
  ic_mutex_lock(&warm.mutex);
  link_warm_locked(block, bytes);
  warm_block *doomed = cool_locked(IC_LARGE_WARM_BYTES, SIZE_MAX);
  ic_mutex_unlock(&warm.mutex);
  unmap_all(doomed);
}

// A warm block is worth a copy; else the system moves the pages.
void *ic_large_resize(void *block, size_t old_size, size_t new_size) {
  if (new_size > SIZE_MAX - PAGE) return NULL;
  size_t old_bytes = ic_large_fit(old_size), bytes = ic_large_fit(new_size);
  if (bytes == old_bytes) return block;
  void *moved = take_warm(bytes);
  if (moved) {
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    ic_large_give(block, old_size);
    return moved;
  }
  if (bytes > old_bytes) make_place(bytes, bytes - old_bytes);
  moved = mremap(block, old_bytes, bytes, MREMAP_MAYMOVE);
  if (moved == MAP_FAILED) return NULL;
  if (new_size > old_size) {
    size_t begin = old_size / PAGE * PAGE;
    ic_slab_populate((char *)moved + begin, new_size - begin);
  }
  return moved;
}

size_t ic_large_warm_bytes(void) {
  ic_mutex_lock(&warm.mutex);
  size_t bytes = warm.bytes;
  ic_mutex_unlock(&warm.mutex);
  return bytes;
}
