// arena.c - size classes over chunks.
//
// A block has no header: Lua says its size when it frees it. Freed blocks of a
// class are a list, last in, first out. Where the list is empty, a block is cut
// from the front of the current run, a stretch of a chunk that nobody uses:
//
//   chunk, 64 KiB, aligned to its size
//   +--------+-------+-----+-------+- - - - - - - - - - - - - -+---------+
//   | header | block |block| block |     run: not yet cut      | granules|
//   +--------+-------+-----+-------+- - - - - - - - - - - - - -+---------+
//                                  ^ cut                       ^ cut_end
//
// The first of them is the arena's home (homes.h), which is smaller, and has the
// arena itself in front: a small state has nothing elsewhere, which makes it
// cheap to begin, and lets image.c copy it. The others do not grow with the
// state: the kernel makes only the pages resident that are written to. A chunk's
// last bytes, a bit for each granule of 16, are written only when the arena is
// tidied.
//
// Lists alone would never let memory change its class. So when an arena wants
// another chunk though more than half of what it has is free, it is tidied:
// the bits of all free blocks are set, and each stretch of set bits is a block
// or a run again, wholly free chunks go back. It costs a visit to each free
// block and is done again only after a quarter of the arena has been cut anew.
//
// Under AddressSanitizer every block is a large one, so each is known to it.

#include "core/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/block.h"
#include "core/chunks.h"
#include "core/homes.h"
#include "core/slab.h"
#include "core/sync.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVERY_BLOCK_IS_LARGE
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define EVERY_BLOCK_IS_LARGE
#endif

enum {
  GRANULE = 16,
  STEPPED_MAX = 512,  // up to here a class for each granule
  STEPPED_CLASSES = STEPPED_MAX / GRANULE,
  CLASSES = STEPPED_CLASSES + 4 * 4,  // and four for each doubling
#ifdef EVERY_BLOCK_IS_LARGE
  SMALL_MAX = 0,
#else
  SMALL_MAX = STEPPED_MAX << 4,
#endif
  RUN_MIN = STEPPED_MAX,  // a shorter stretch is a block of its very size
  RUN_BINS = 7,           // by doublings: 512 to 1023 and so on, to 64 KiB
  RUNS_TRIED = 4,
  GRANULES_PER_WORD = 64,
  FIRST_WARM_BYTES = 16 << 10  // of the first: what a state needs at once
};

enum { CHUNK_BEGIN = (sizeof(ic_chunk) + GRANULE - 1) / GRANULE * GRANULE };

typedef struct free_block {
  struct free_block *next;
} free_block;

typedef struct run {
  struct run *next;
  size_t size;
} run;

// In front of each large block; the list is a ring through the arena.
typedef struct large {
  struct large *previous, *next;
  size_t block_size;  // this header included
  size_t unused;      // the block behind it is aligned
} large;

struct ic_arena {
  char *cut, *cut_end;  // the current run
  ic_chunk *home;       // the last of [chunks], or NULL
  free_block *free[CLASSES];
  run *runs[RUN_BINS];
  ic_chunk *chunks;
  size_t chunk_bytes;  // of all chunks
  size_t large_bytes;  // asked for, of the large blocks
  size_t run_bytes;    // of the runs begun since it was last tidied
  bool has_stray;      // a small block may lie in no chunk; never tidied then
  // Read in each turn, whether anything is taken or not.
  size_t bytes;
  ic_arena_limit limit;
  large large;
};

static inline size_t class_of(size_t size) {
  if (size <= STEPPED_MAX) return (size - 1) / GRANULE;
  return STEPPED_CLASSES - 1 + ic_size_class(size, STEPPED_MAX);
}

static size_t class_bytes(size_t class) {
  if (class < STEPPED_CLASSES) return (class + 1) * GRANULE;
  return ic_size_class_bytes(class - STEPPED_CLASSES + 1, STEPPED_MAX);
}

static inline void push_block(ic_arena *arena, size_t class, void *block) {
  free_block *freed = block;
  freed->next = arena->free[class];
  arena->free[class] = freed;
}

static ic_chunk *chunk_of(const ic_arena *arena, void *address) {
  if ((uintptr_t)address - (uintptr_t)arena->home < IC_HOME_BYTES) {
    return arena->home;
  }
  return (ic_chunk *)((uintptr_t)address & ~(uintptr_t)(IC_CHUNK_BYTES - 1));
}

static size_t bytes_of(const ic_arena *arena, const ic_chunk *some) {
  return some == arena->home ? IC_HOME_BYTES : IC_CHUNK_BYTES;
}

// Where the bits of the granules begin.
static size_t end_of(const ic_arena *arena, const ic_chunk *some) {
  size_t bytes = bytes_of(arena, some);
  return bytes - bytes / GRANULE / 8;
}

static int bin_of(size_t run_size) {
  return run_size < RUN_MIN ? 0 : 63 - __builtin_clzll(run_size) - 9;
}

// Puts a stretch that nobody uses where it will be found.
static void add_stretch(ic_arena *arena, char *begin, size_t size) {
  if (size == 0) return;
  if (size < RUN_MIN) {
    push_block(arena, class_of(size), begin);
    return;
  }
  run **bin = &arena->runs[bin_of(size)];
  run *some = (run *)begin;
  *some = (run){*bin, size};
  *bin = some;
}

static void note_touched(const ic_arena *arena) {
  if (!arena->cut) return;
  ic_chunk *some = chunk_of(arena, arena->cut - 1);
  size_t touched = (size_t)(arena->cut - (char *)some);
  if (touched > some->touched) some->touched = touched;
}

static void leave_run(ic_arena *arena) {
  note_touched(arena);
  add_stretch(arena, arena->cut, (size_t)(arena->cut_end - arena->cut));
  arena->cut = arena->cut_end = NULL;
}

static void begin_run(ic_arena *arena, char *begin, size_t size) {
  arena->cut = begin;
  arena->cut_end = begin + size;
  arena->run_bytes += size;
}

// The bin of [size] has runs that are too short; a few are tried. All runs of
// the bins above are long enough.
static bool find_run(ic_arena *arena, size_t size) {
  int tried = 0;
  for (int bin = bin_of(size); bin < RUN_BINS; bin++) {
    run **link = &arena->runs[bin];
    while (*link && (*link)->size < size && tried++ < RUNS_TRIED) {
      link = &(*link)->next;
    }
    run *some = *link;
    if (!some || some->size < size) continue;
    *link = some->next;
    begin_run(arena, (char *)some, some->size);
    return true;
  }
  return false;
}

// Behind each change of what it holds, for those who share its limit.
static void note_held(const ic_arena *arena) {
  if (!arena->limit.held_bytes) return;
  atomic_store_explicit(arena->limit.held_bytes,
                        arena->chunk_bytes + arena->large_bytes,
                        memory_order_relaxed);
}

// Whether the arena may hold [more].
static bool may_grow(ic_arena *arena, size_t more) {
  ic_arena_limit *limit = &arena->limit;
  if (limit->hard_bytes == 0) return true;
  size_t held = arena->chunk_bytes + arena->large_bytes;
  if (limit->other_bytes) held += limit->other_bytes(limit->context);
  if (held > limit->hard_bytes || more > limit->hard_bytes - held) return false;
  if (held + more > limit->threshold_bytes) {
    limit->threshold_bytes = SIZE_MAX;
    limit->on_threshold(limit->context);
  }
  return true;
}

static bool add_chunk(ic_arena *arena) {
  if (!may_grow(arena, IC_CHUNK_BYTES)) return false;
  ic_chunk *some = ic_chunk_take();
  if (!some) return false;
  if (arena->chunks == arena->home && some->touched > FIRST_WARM_BYTES) {
    // It may be the only chunk of a small state; it was one of a large state.
    madvise((char *)some + FIRST_WARM_BYTES, IC_CHUNK_BYTES - FIRST_WARM_BYTES,
            MADV_DONTNEED);
    some->touched = FIRST_WARM_BYTES;
  }
  some->next = arena->chunks;
  arena->chunks = some;
  arena->chunk_bytes += IC_CHUNK_BYTES;
  note_held(arena);
  begin_run(arena, (char *)some + CHUNK_BEGIN,
            end_of(arena, some) - CHUNK_BEGIN);
  return true;
}

static uint64_t *granules_of(const ic_arena *arena, ic_chunk *some) {
  return (uint64_t *)((char *)some + end_of(arena, some));
}

static void mark(const ic_arena *arena, void *begin, size_t size) {
  ic_chunk *some = chunk_of(arena, begin);
  uint64_t *granules = granules_of(arena, some);
  size_t first = (size_t)((char *)begin - (char *)some) / GRANULE;
  size_t end = first + size / GRANULE;
  while (first < end) {
    size_t bit = first % 64;
    size_t count = end - first < 64 - bit ? end - first : 64 - bit;
    granules[first / 64] |= (UINT64_MAX >> (64 - count)) << bit;
    first += count;
  }
}

// The first granule from [from] on whose bit is [set]; else [count].
static size_t next_granule(const uint64_t *granules, size_t count, size_t from,
                           bool set) {
  while (from < count) {
    uint64_t word = granules[from / 64];
    word = (set ? word : ~word) >> from % 64;
    if (word) return from + (size_t)__builtin_ctzll(word);
    from = from / 64 * 64 + 64;
  }
  return count;
}

static void mark_all_that_is_free(ic_arena *arena) {
  for (ic_chunk *some = arena->chunks; some; some = some->next) {
    size_t bytes = bytes_of(arena, some);
    memset(granules_of(arena, some), 0, bytes - end_of(arena, some));
    some->touched = bytes;
  }
  for (size_t class = 0; class < CLASSES; class ++) {
    size_t size = class_bytes(class);
    for (free_block *b = arena->free[class]; b; b = b->next)
      mark(arena, b, size);
    arena->free[class] = NULL;
  }
  for (int bin = 0; bin < RUN_BINS; bin++) {
    for (run *r = arena->runs[bin]; r; r = r->next)
      mark(arena, r, r->size);
    arena->runs[bin] = NULL;
  }
}

// False: the chunk has no block, and nothing was added. A home has one at least,
// the arena.
static bool add_stretches(ic_arena *arena, ic_chunk *some) {
  const uint64_t *granules = granules_of(arena, some);
  size_t count = bytes_of(arena, some) / GRANULE;
  size_t unused = end_of(arena, some) - CHUNK_BEGIN;
  size_t begin = next_granule(granules, count, 0, true);
  while (begin < count) {
    size_t end = next_granule(granules, count, begin, false);
    size_t size = (end - begin) * GRANULE;
    if (size == unused) return false;
    add_stretch(arena, (char *)some + begin * GRANULE, size);
    begin = next_granule(granules, count, end, true);
  }
  return true;
}

// There must be no current run.
static void tidy(ic_arena *arena) {
  mark_all_that_is_free(arena);
  ic_chunk *unused = NULL;
  ic_chunk **link = &arena->chunks;
  while (*link) {
    ic_chunk *some = *link;
    if (add_stretches(arena, some)) {
      link = &some->next;
      continue;
    }
    *link = some->next;
    some->next = unused;
    unused = some;
    arena->chunk_bytes -= IC_CHUNK_BYTES;
  }
  ic_chunk_give_all(unused);
  arena->run_bytes = 0;
  note_held(arena);
}

static bool is_worth_tidying(const ic_arena *arena) {
  size_t used = arena->bytes - arena->large_bytes;
  return !arena->has_stray && used < arena->chunk_bytes / 2 &&
         arena->run_bytes >= arena->chunk_bytes / 4;
}

// Begins a run of at least [size].
static bool next_run(ic_arena *arena, size_t size) {
  leave_run(arena);
  if (find_run(arena, size)) return true;
  if (is_worth_tidying(arena)) {
    tidy(arena);
    if (find_run(arena, size)) return true;
  }
  return add_chunk(arena);
}

static void *cut_block(ic_arena *arena, size_t class) {
  size_t size = class_bytes(class);
  if ((size_t)(arena->cut_end - arena->cut) < size && !next_run(arena, size)) {
    return NULL;
  }
  void *block = arena->cut;
  arena->cut += size;
  return block;
}

static inline void *take_small(ic_arena *arena, size_t size) {
  size_t class = class_of(size);
  free_block *block = arena->free[class];
  if (!block) return cut_block(arena, class);
  arena->free[class] = block->next;
  return block;
}

static void link_large(large *some) {
  some->previous->next = some;
  some->next->previous = some;
}

static void *take_large(ic_arena *arena, size_t size) {
  if (size > SIZE_MAX - sizeof(large)) return NULL;
  if (!may_grow(arena, size)) return NULL;
  large *some = ic_block_take(sizeof *some + size);
  if (!some) return NULL;
  *some = (large){&arena->large, arena->large.next, sizeof *some + size, 0};
  link_large(some);
  arena->large_bytes += size;
  note_held(arena);
  return some + 1;
}

static void free_large(ic_arena *arena, void *block, size_t size) {
  large *some = (large *)block - 1;
  some->previous->next = some->next;
  some->next->previous = some->previous;
  arena->large_bytes -= size;
  note_held(arena);
  ic_block_give(some, some->block_size);
}

static void *resize_large(ic_arena *arena, void *block, size_t old_size,
                          size_t new_size) {
  if (new_size > SIZE_MAX - sizeof(large)) return NULL;
  if (new_size > old_size && !may_grow(arena, new_size - old_size)) return NULL;
  large *some = (large *)block - 1;
  some = ic_block_resize(some, some->block_size, sizeof *some + new_size);
  if (some) {
    some->block_size = sizeof *some + new_size;
  } else {
    if (new_size > old_size) return NULL;
    some = (large *)block - 1;
  }
  link_large(some);
  arena->large_bytes += new_size - old_size;
  note_held(arena);
  return some + 1;
}

static inline void *take(ic_arena *arena, size_t size) {
  return size <= SMALL_MAX ? take_small(arena, size) : take_large(arena, size);
}

static inline void give(ic_arena *arena, void *block, size_t size) {
  if (size <= SMALL_MAX) {
    push_block(arena, class_of(size), block);
  } else {
    free_large(arena, block, size);
  }
}

// No memory for a smaller block: the old one stays, and counts as a smaller one
// from now on.
static void *shrink_in_place(ic_arena *arena, void *block, size_t old_size) {
  if (old_size > SMALL_MAX) {
    // Its memory is freed with the arena. It lies in no chunk.
    arena->large_bytes -= old_size;
    arena->has_stray = true;
  }
  return block;
}

static void *resize(ic_arena *arena, void *block, size_t old_size,
                    size_t new_size) {
  if (old_size > SMALL_MAX && new_size > SMALL_MAX) {
    return resize_large(arena, block, old_size, new_size);
  }
  if (old_size <= SMALL_MAX && new_size <= SMALL_MAX &&
      class_of(old_size) == class_of(new_size)) {
    return block;
  }
  void *moved = take(arena, new_size);
  if (!moved) {
    if (new_size > old_size) return NULL;
    return shrink_in_place(arena, block, old_size);
  }
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  give(arena, block, old_size);
  return moved;
}

void *ic_arena_realloc(ic_arena *arena, void *block, size_t old_size,
                       size_t new_size) {
  if (!block) {
    if (new_size == 0) return NULL;
    block = take(arena, new_size);
    if (block) arena->bytes += new_size;
    return block;
  }
  if (new_size == 0) {
    give(arena, block, old_size);
    arena->bytes -= old_size;
    return NULL;
  }
  block = resize(arena, block, old_size, new_size);
  if (block) arena->bytes += new_size - old_size;
  return block;
}

static void init(ic_arena *arena) {
  *arena = (ic_arena){.large = {&arena->large, &arena->large}};
}

#ifdef EVERY_BLOCK_IS_LARGE

ic_arena *ic_arena_new(void) {
  ic_arena *arena = malloc(sizeof *arena);
  if (arena) init(arena);
  return arena;
}

ic_arena *ic_arena_new_in(void *home) {
  (void)home;
  return NULL;
}

#else

ic_arena *ic_arena_new_in(void *home) {
  enum {
    ARENA_END = CHUNK_BEGIN + sizeof(ic_arena),
    // The first block, which is a body, has as few lines as it can.
    BEGIN = (ARENA_END + IC_CACHE_LINE - 1) / IC_CACHE_LINE * IC_CACHE_LINE
  };
  ic_chunk *some = home;
  some->next = NULL;
  some->touched = BEGIN;
  ic_arena *arena = (ic_arena *)(void *)((char *)home + CHUNK_BEGIN);
  init(arena);
  arena->home = arena->chunks = some;
  arena->chunk_bytes = IC_HOME_BYTES;
  begin_run(arena, (char *)home + BEGIN, end_of(arena, some) - BEGIN);
  return arena;
}

ic_arena *ic_arena_new(void) {
  void *home = ic_home_take();
  return home ? ic_arena_new_in(home) : NULL;
}

#endif

// The home is the last of the chunks.
static void give_all(ic_arena *arena) {
  ic_chunk *home = arena->home;
  ic_chunk *chunks = arena->chunks;
  ic_chunk **link = &chunks;
  while (*link != home)
    link = &(*link)->next;
  *link = NULL;
  ic_chunk_give_all(chunks);
  if (home) {
    ic_home_give(home);
  } else {
    free(arena);
  }
}

void ic_arena_free(ic_arena *arena) {
  if (!arena) return;
  large *some = arena->large.next;
  while (some != &arena->large) {
    large *next = some->next;
    ic_block_give(some, some->block_size);
    some = next;
  }
  note_touched(arena);
  give_all(arena);
}

bool ic_arena_is_at_home(const ic_arena *arena, void **home,
                         size_t *used_bytes) {
  if (!arena->home || arena->chunks != arena->home ||
      arena->large.next != &arena->large || !arena->cut) {
    return false;
  }
  *home = arena->home;
  *used_bytes = (size_t)(arena->cut - (char *)arena->home);
  return true;
}

void ic_arena_set_limit(ic_arena *arena, const ic_arena_limit *limit) {
  arena->limit = *limit;
  note_held(arena);
}

void ic_arena_set_threshold(ic_arena *arena, size_t threshold_bytes) {
  arena->limit.threshold_bytes = threshold_bytes;
}

bool ic_arena_may_stay(ic_arena *arena) {
  return may_grow(arena, 0);
}

size_t ic_arena_room(const ic_arena *arena) {
  size_t most = arena->limit.hard_bytes;
  if (most == 0) return SIZE_MAX;
  size_t held = ic_arena_held_bytes(arena);
  return held < most ? most - held : 0;
}

void ic_arena_tidy(ic_arena *arena) {
  if (arena->has_stray) return;
  leave_run(arena);
  tidy(arena);
}

size_t ic_arena_bytes(const ic_arena *arena) {
  return arena->bytes;
}

size_t ic_arena_held_bytes(const ic_arena *arena) {
  return arena->chunk_bytes + arena->large_bytes;
}
