// arena_test.c - blocks by lua_Alloc's contract, counted, dropped at once.

#include "core/arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "check.h"
#include "core/chunks.h"
#include "core/homes.h"
#include "core/sync.h"

// Sizes around every border: classes, doublings, small and large.
static const size_t sizes[] = {1,    15,   16,   17,   32,   33,    100,
                               496,  511,  512,  513,  640,  641,   768,
                               1023, 1024, 1025, 1536, 2048, 4097,  7168,
                               7169, 8191, 8192, 8193, 9000, 65536, 300000};
enum { SIZES = sizeof sizes / sizeof *sizes };

// A repeatable source of chance.
static uint32_t chance(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static bool is_filled(const uint8_t *block, size_t size, uint8_t with) {
  for (size_t i = 0; i < size; i++)
    if (block[i] != with) return false;
  return true;
}

static void *make(ic_arena *arena, size_t size) {
  enum { LUA_TYPE_TAG = 5 };
  return ic_arena_realloc(arena, NULL, LUA_TYPE_TAG, size);
}

static void begins_and_ends_empty(void) {
  ic_arena *arena = ic_arena_new();
  CHECK(ic_arena_bytes(arena) == 0);
  CHECK(ic_arena_held_bytes(arena) <= IC_HOME_BYTES);
  CHECK(make(arena, 0) == NULL);
  ic_arena_free(arena);
  ic_arena_free(NULL);
}

static void aligns_and_counts_every_size(void) {
  ic_arena *arena = ic_arena_new();
  size_t bytes = 0;
  for (size_t size = 1; size < 20000; size += 1 + size / 50) {
    uint8_t *block = make(arena, size);
    CHECK(block && (uintptr_t)block % 16 == 0);
    memset(block, 0xff, size);
    bytes += size;
    CHECK(ic_arena_bytes(arena) == bytes);
    CHECK(ic_arena_held_bytes(arena) >= bytes);
  }
  ic_arena_free(arena);
}

static void resize_one(ic_arena *arena, size_t from, size_t to) {
  uint8_t *block = make(arena, from);
  CHECK(block);
  memset(block, 0x5a, from);
  block = ic_arena_realloc(arena, block, from, to);
  CHECK(block && (uintptr_t)block % 16 == 0);
  CHECK(is_filled(block, from < to ? from : to, 0x5a));
  CHECK(ic_arena_bytes(arena) == to);
  memset(block, 0xa5, to);
  CHECK(ic_arena_realloc(arena, block, to, 0) == NULL);
  CHECK(ic_arena_bytes(arena) == 0);
}

static void resizes_from_any_size_to_any(void) {
  ic_arena *arena = ic_arena_new();
  for (int from = 0; from < SIZES; from++)
    for (int to = 0; to < SIZES; to++)
      CALL(resize_one(arena, sizes[from], sizes[to]));
  ic_arena_free(arena);
}

static void refuses_what_cannot_be(void) {
  ic_arena *arena = ic_arena_new();
  uint8_t *small = make(arena, 100);
  uint8_t *large = make(arena, 100000);
  memset(small, 1, 100);
  memset(large, 2, 100000);
  CHECK(ic_arena_realloc(arena, small, 100, SIZE_MAX - 8) == NULL);
  CHECK(ic_arena_realloc(arena, large, 100000, SIZE_MAX - 8) == NULL);
  CHECK(make(arena, SIZE_MAX) == NULL);
  CHECK(is_filled(small, 100, 1) && is_filled(large, 100000, 2));
  CHECK(ic_arena_bytes(arena) == 100100);
  ic_arena_free(arena);
}

// What a model of the arena knows of a block.
typedef struct {
  uint8_t *block;
  size_t size;
  uint8_t filled_with;
} known;

static size_t any_size(uint64_t *seed) {
  uint32_t kind = chance(seed) % 100;
  if (kind < 70) return 1 + chance(seed) % 200;
  if (kind < 95) return 1 + chance(seed) % 3000;
  return 1 + chance(seed) % 40000;
}

// Makes, resizes or frees one of [blocks], after checking what it holds.
static void change_one(ic_arena *arena, known *one, size_t *bytes,
                       uint64_t *seed) {
  size_t old_size = one->block ? one->size : 0;
  size_t new_size = one->block && chance(seed) % 3 == 0 ? 0 : any_size(seed);
  CHECK(is_filled(one->block, old_size, one->filled_with));
  uint8_t *block = ic_arena_realloc(arena, one->block, old_size, new_size);
  *bytes = *bytes - old_size + new_size;
  CHECK(ic_arena_bytes(arena) == *bytes);
  CHECK((block == NULL) == (new_size == 0));
  CHECK((uintptr_t)block % 16 == 0);
  size_t kept = old_size < new_size ? old_size : new_size;
  CHECK(is_filled(block, kept, one->filled_with));
  *one = (known){block, new_size, (uint8_t)chance(seed)};
  if (block) memset(block, one->filled_with, new_size);
}

// Frees all of [blocks] but those that [kept_every] counts; 0: all.
static void free_most(ic_arena *arena, known *blocks, int count, int kept_every,
                      size_t *bytes) {
  for (int i = 0; i < count; i++) {
    if (!blocks[i].block || (kept_every && i % kept_every == 0)) continue;
    ic_arena_realloc(arena, blocks[i].block, blocks[i].size, 0);
    *bytes -= blocks[i].size;
    blocks[i] = (known){0};
  }
}

// [count] blocks through [changes] changes at random. Now and then most are
// freed, so that the arena is tidied around those that stay; at the end all.
static void live_at_random(ic_arena *arena, int count, int changes,
                           uint64_t seed) {
  known *blocks = calloc((size_t)count, sizeof *blocks);
  size_t bytes = ic_arena_bytes(arena);
  for (int i = 0; i < changes && !check_bad; i++) {
    int one = (int)(chance(&seed) % (uint32_t)count);
    change_one(arena, &blocks[one], &bytes, &seed);
    if (i % (count * 8) == 0) free_most(arena, blocks, count, 9, &bytes);
  }
  free_most(arena, blocks, count, 0, &bytes);
  free(blocks);
}

static void agrees_with_a_model(void) {
  for (uint64_t seed = 1; seed <= 4; seed++) {
    ic_arena *arena = ic_arena_new();
    CALL(live_at_random(arena, seed % 2 ? 300 : 3000, 150000, seed));
    ic_arena_free(arena);
  }
}

// Fills the arena to about 16 MiB with blocks of [size], then frees them but
// for one in [kept_every] (0: for none), which stays for good.
static void fill_and_free(ic_arena *arena, size_t size, size_t kept_every) {
  size_t count = ((size_t)16 << 20) / size;
  void **blocks = malloc(count * sizeof *blocks);
  for (size_t i = 0; i < count; i++) {
    blocks[i] = make(arena, size);
    memset(blocks[i], 1, size);
  }
  for (size_t i = 0; i < count; i++)
    if (kept_every == 0 || i % kept_every != 0)
      ic_arena_realloc(arena, blocks[i], size, 0);
  free(blocks);
}

static void reuses_memory_for_other_sizes(void) {
  ic_arena *arena = ic_arena_new();
  for (size_t size = 16; size <= 8192; size += size / 4 / 16 * 16 + 16) {
    fill_and_free(arena, size, 0);
    CHECK(ic_arena_held_bytes(arena) < (size_t)24 << 20);
  }
  CHECK(ic_arena_bytes(arena) == 0);
  ic_arena_free(arena);
}

// Were it not for the gaps between survivors, 1 GiB would be held at the end.
static void reuses_what_lies_between_survivors(void) {
  ic_arena *arena = ic_arena_new();
  for (size_t size = 16; size <= 1024; size += 16)
    fill_and_free(arena, size, 65536 / size);
  size_t peak = ic_arena_bytes(arena) + ((size_t)16 << 20);
  CHECK(ic_arena_held_bytes(arena) < 2 * peak);
  ic_arena_free(arena);
}

// As a script that builds and drops tables and strings of all sizes.
static void stays_as_large_as_it_was(void) {
  ic_arena *arena = ic_arena_new();
  CALL(live_at_random(arena, 2000, 100000, 11));
  size_t held_bytes = ic_arena_held_bytes(arena);
  for (uint64_t seed = 12; seed < 16; seed++)
    CALL(live_at_random(arena, 2000, 100000, seed));
  CHECK(ic_arena_bytes(arena) == 0);
  CHECK(ic_arena_held_bytes(arena) <= held_bytes + held_bytes / 4);
  ic_arena_free(arena);
}

static void keeps_a_bounded_store(void) {
  enum { ARENAS = 40 };
  ic_arena *arenas[ARENAS];
  for (int i = 0; i < ARENAS; i++) {
    arenas[i] = ic_arena_new();
    for (int k = 0; k < 1000; k++)
      memset(make(arenas[i], 1024), 1, 1024);
  }
  for (int i = 0; i < ARENAS; i++)
    ic_arena_free(arenas[i]);
  CHECK(ic_chunk_stored_bytes() <= IC_CHUNK_STORE_BYTES);
}

static void takes_from_the_store_what_it_gave(void) {
  for (int i = 0; i < 100; i++) {
    ic_arena *arena = ic_arena_new();
    for (int k = 0; k < IC_HOME_BYTES / 1000 + 1; k++)
      CHECK(make(arena, 1000));
    size_t without = ic_chunk_stored_bytes();
    ic_arena_free(arena);
    CHECK(ADDRESS_SANITIZED || ic_chunk_stored_bytes() > without);
  }
}

// A block shrinks though the system gives nothing; then it is an ordinary one.
static void shrinks_without_memory(void) {
  if (SANITIZED) return;
  enum { LARGE = 40000, BLOCKS = 100 };
  ic_arena *arena = ic_arena_new();
  struct rlimit before, none = {0};
  getrlimit(RLIMIT_AS, &before);
  none.rlim_max = before.rlim_max;
  uint8_t *large[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    memset(large[i] = make(arena, LARGE), i, LARGE);
  setrlimit(RLIMIT_AS, &none);
  while (make(arena, 8192))
    continue;
  while (make(arena, 48))
    continue;
  while (make(arena, 4000))
    continue;
  size_t bytes = ic_arena_bytes(arena);
  bool all_there = true, none_grew = true;
  for (int i = 0; i < BLOCKS; i++) {
    none_grew = none_grew && !ic_arena_realloc(arena, large[i], LARGE, 1 << 28);
    large[i] = ic_arena_realloc(arena, large[i], LARGE, i % 2 ? 48 : 4000);
    all_there = all_there && large[i] && is_filled(large[i], 48, (uint8_t)i);
  }
  size_t shrunk_bytes = ic_arena_bytes(arena);
  setrlimit(RLIMIT_AS, &before);
  CHECK(all_there && none_grew);
  CHECK(shrunk_bytes == bytes - BLOCKS * LARGE + BLOCKS / 2 * 4048);
  for (int i = 0; i < BLOCKS; i++)
    ic_arena_realloc(arena, large[i], i % 2 ? 48 : 4000, 0);
  for (int i = 0; i < 20000; i++)
    memset(make(arena, 48), 1, 48);
  ic_arena_free(arena);
}

enum { THREADS = 4, HANDOVERS = 300 };

// An arena that waits for a thread to go on with it.
static _Atomic(ic_arena *) waiting;
static _Atomic int broken;

// Each arena is begun on one thread, used on another and ended on a third, as
// chance has it; its chunks go to whoever comes next.
static void *pass_arenas_on(void *argument) {
  uint64_t seed = (uint64_t)(uintptr_t)argument;
  for (int i = 0; i < HANDOVERS; i++) {
    ic_arena *arena = ic_arena_new();
    for (int k = 0; k < 100; k++) {
      size_t size = any_size(&seed);
      uint8_t *block = make(arena, size);
      memset(block, i, size);
      if (!is_filled(block, size, (uint8_t)i)) broken = 1;
      if (k % 3 == 0) ic_arena_realloc(arena, block, size, 0);
    }
    arena = atomic_exchange(&waiting, arena);
    if (!arena) continue;
    memset(make(arena, 500), 1, 500);
    if (chance(&seed) % 2) arena = atomic_exchange(&waiting, arena);
    ic_arena_free(arena);
  }
  return NULL;
}

static void moves_between_threads(void) {
  ic_thread threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, pass_arenas_on,
                          (void *)(i + 1)) == IC_OK);
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);
  ic_arena_free(atomic_exchange(&waiting, NULL));
  CHECK(!broken);
  CHECK(ic_chunk_stored_bytes() <= IC_CHUNK_STORE_BYTES);
}

static size_t others;

static size_t bytes_of_others(void *context) {
  (void)context;
  return others;
}

static void count_up(void *context) {
  ++*(int *)context;
}

static void shares_its_limit(void) {
  ic_arena *arena = ic_arena_new();
  CHECK(ic_arena_room(arena) == SIZE_MAX);
  int calls = 0;
  others = 0;
  ic_arena_set_limit(arena, &(ic_arena_limit){.hard_bytes = 1 << 20,
                                              .threshold_bytes = 1 << 19,
                                              .on_threshold = count_up,
                                              .context = &calls,
                                              .other_bytes = bytes_of_others});
  size_t held = ic_arena_held_bytes(arena);
  CHECK(ic_arena_room(arena) == (1 << 20) - held);
  CHECK(ic_arena_may_stay(arena) && calls == 0);
  others = (1 << 19) + 1;
  CHECK(ic_arena_may_stay(arena) && calls == 1);
  CHECK(!make(arena, 1 << 19));
  others = 1 << 20;
  CHECK(ic_arena_may_stay(arena) == (held == 0) && calls == 1);
  others = 0;
  CHECK(make(arena, 1 << 19));
  ic_arena_free(arena);
}

int main(void) {
  RUN(begins_and_ends_empty);
  RUN(aligns_and_counts_every_size);
  RUN(resizes_from_any_size_to_any);
  RUN(refuses_what_cannot_be);
  RUN(agrees_with_a_model);
  RUN(reuses_memory_for_other_sizes);
  RUN(reuses_what_lies_between_survivors);
  RUN(stays_as_large_as_it_was);
  RUN(keeps_a_bounded_store);
  RUN(takes_from_the_store_what_it_gave);
  RUN(shrinks_without_memory);
  RUN(moves_between_threads);
  RUN(shares_its_limit);
  return check_report("arena");
}
