// block_test.c - blocks that go from thread to thread.

#include "core/block.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "block_checks.h"
#include "check.h"
#include "core/sync.h"
#include "failing.h"

// Sizes around every border: classes, doublings, small, malloc's and large.
static const size_t sizes[] = {
    0,     1,     63,    64,    65,    128,    512,     513,
    640,   641,   1024,  1025,  7168,  7169,   8192,    8193,
    65535, 65536, 65537, 81920, 81921, 131072, 1 << 20, (8 << 20) + 1};
enum { SIZES = sizeof sizes / sizeof *sizes };

static uint32_t chance(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static const block_source source = {ic_block_take, ic_block_give,
                                    ic_block_resize, ic_block_fit};

static void has_the_size_and_is_aligned(void) {
  uint8_t *blocks[SIZES];
  for (int i = 0; i < SIZES; i++) {
    size_t fit = ic_block_fit(sizes[i]);
    CHECK(fit >= sizes[i] && ic_block_fit(fit) == fit);
#if !ADDRESS_SANITIZED
    CHECK(fit % IC_BLOCK_UNIT == 0);
#endif
    CHECK(fit <= sizes[i] + sizes[i] / 4 + 64);
    blocks[i] = ic_block_take(sizes[i]);
    CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
    memset(blocks[i], i, fit);
  }
  for (int i = 0; i < SIZES; i++)
    CHECK(is_filled(blocks[i], sizes[i], (uint8_t)i));
  for (int i = 0; i < SIZES; i++)
    ic_block_give(blocks[i], ic_block_fit(sizes[i]));
  ic_block_give(NULL, 5);
}

static void keeps_what_is_in_it_when_resized(void) {
  CALL(check_resizes(&source, sizes, SIZES));
}

// As the core's callers do; that block.h itself copes is the next test's matter.
static void fails_in_tests_when_asked_to(void) {
  failing_at(0);
  CHECK(ic_block_take(100) == NULL);
  CHECK(failing_stop());
}

#if !ADDRESS_SANITIZED
static void refuses_more_than_there_is(void) {
  CALL(check_refusals(&source));
}
#endif

// --- Threads that hand blocks on --------------------------------------------

enum { THREADS = 4, ROUNDS = 20000, PLACES = 64 };

// A block that waits for whoever takes it next; its first byte says its size.
static _Atomic(uint8_t *) places[PLACES];
static _Atomic int damaged;

static size_t size_of(uint8_t kind) {
  static const size_t kinds[] = {48, 130, 200, 1000, 5000, 8200, 70000, 130000};
  return kinds[kind % 8];
}

static void give_checked(uint8_t *block) {
  if (!block) return;
  size_t size = size_of(block[0]);
  if (block[size - 1] != 255 - block[0]) atomic_fetch_add(&damaged, 1);
  ic_block_give(block, size);
}

static void *hand_on(void *seed) {
  uint64_t state = (uintptr_t)seed;
  for (int i = 0; i < ROUNDS; i++) {
    // Large ones are rare, or nothing else would be tested.
    uint8_t kind = (uint8_t)(chance(&state) % (i % 16 == 0 ? 8 : 4));
    uint8_t *block = ic_block_take(size_of(kind));
    if (!block) {
      atomic_fetch_add(&damaged, 1);
      continue;
    }
    block[0] = kind;
    block[size_of(kind) - 1] = (uint8_t)(255 - kind);
    give_checked(atomic_exchange(&places[chance(&state) % PLACES], block));
    if (i % 1000 == 0) ic_block_rest();
  }
  return NULL;
}

static void can_be_given_back_by_any_thread(void) {
  ic_thread threads[THREADS];
  atomic_store(&damaged, 0);
  for (uintptr_t i = 0; i < THREADS; i++) {
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, hand_on,
                          (void *)(i + 1)) == IC_OK);
  }
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);
  for (int i = 0; i < PLACES; i++)
    give_checked(atomic_exchange(&places[i], NULL));
  CHECK(atomic_load(&damaged) == 0);
}

// Many live at once, and come back in another order than they went.
static void serves_a_flood(void) {
  enum { COUNT = 50000 };
  static uint8_t *blocks[COUNT];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < COUNT; i++) {
      blocks[i] = ic_block_take(130);
      CHECK(blocks[i]);
      memset(blocks[i], i, 130);
    }
    for (int i = 0; i < COUNT; i++) {
      int place = (int)((long)i * 7919 % COUNT);
      uint8_t *block = blocks[place];
      CHECK(is_filled(block, 130, (uint8_t)place));
      ic_block_give(block, 130);
    }
  }
}

int main(void) {
  RUN(has_the_size_and_is_aligned);
  RUN(keeps_what_is_in_it_when_resized);
  RUN(fails_in_tests_when_asked_to);
#if !ADDRESS_SANITIZED
  RUN(refuses_more_than_there_is);
#endif
  RUN(can_be_given_back_by_any_thread);
  RUN(serves_a_flood);
  return check_report("block");
}
