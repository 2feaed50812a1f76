// large_test.c - mappings that grow, shrink, and stay warm.

#include "core/large.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

static bool is_filled(const uint8_t *block, size_t size, uint8_t with) {
  for (size_t i = 0; i < size; i++)
    if (block[i] != with) return false;
  return true;
}

static void keeps_what_is_in_it_when_resized(void) {
  static const size_t sizes[] = {65536, 65537, 81920, 81921, 1 << 20,
                                 (8 << 20) + 1};
  enum { SIZES = sizeof sizes / sizeof *sizes };
  for (int from = 0; from < SIZES; from++) {
    for (int to = 0; to < SIZES; to++) {
      size_t less = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
      uint8_t *block = ic_large_take(sizes[from]);
      memset(block, 0x5a, ic_large_fit(sizes[from]));
      block = ic_large_resize(block, sizes[from], sizes[to]);
      CHECK(block && is_filled(block, less, 0x5a));
      memset(block, 0, ic_large_fit(sizes[to]));
      ic_large_give(block, sizes[to]);
    }
  }
}

static void refuses_more_than_there_is(void) {
  CHECK(ic_large_take(SIZE_MAX) == NULL);
  CHECK(ic_large_take(SIZE_MAX / 2) == NULL);
  uint8_t *block = ic_large_take(100000);
  memset(block, 7, 100000);
  CHECK(ic_large_resize(block, 100000, SIZE_MAX) == NULL);
  CHECK(ic_large_resize(block, 100000, SIZE_MAX / 2) == NULL);
  CHECK(is_filled(block, 100000, 7));
  ic_large_give(block, 100000);
}

static void keeps_a_bounded_number_warm(void) {
  enum { COUNT = 200 };
  void *blocks[COUNT];
  for (int i = 0; i < COUNT; i++) {
    blocks[i] = ic_large_take(IC_LARGE_LEAST * (size_t)(1 + i % 8));
    CHECK(blocks[i]);
  }
  for (int i = 0; i < COUNT; i++)
    ic_large_give(blocks[i], IC_LARGE_LEAST * (size_t)(1 + i % 8));
  CHECK(ic_large_warm_bytes() <= IC_LARGE_WARM_BYTES);
  size_t before = ic_large_warm_bytes();
  void *block = ic_large_take(IC_LARGE_LEAST * 4);
  CHECK(before == 0 || ic_large_warm_bytes() < before);
  ic_large_give(block, IC_LARGE_LEAST * 4);
  CHECK(ic_large_warm_bytes() == before);
}

// What grows begins small: then what it grew up to the last time is still wanted.
static void keeps_larger_ones_when_it_maps_a_small_one(void) {
  enum { MOST = IC_LARGE_WARM_BYTES / IC_LARGE_LEAST + 1 };
  void *small[MOST];
  int count = 0;
  ic_large_give(ic_large_take(8 * IC_LARGE_LEAST), 8 * IC_LARGE_LEAST);
  size_t before;
  do {  // until none of its size is warm
    before = ic_large_warm_bytes();
    small[count++] = ic_large_take(IC_LARGE_LEAST);
  } while (count < MOST && ic_large_warm_bytes() < before);
  CHECK(ic_large_warm_bytes() >= 8 * IC_LARGE_LEAST);
  while (count > 0)
    ic_large_give(small[--count], IC_LARGE_LEAST);
  before = ic_large_warm_bytes();
  size_t larger = 100 * IC_LARGE_LEAST;
  void *block = ic_large_take(larger);
  CHECK(ic_large_warm_bytes() < before);
  ic_large_give(block, larger);
}

// Or two sizes that are wanted in turns would drive out each other.
static void keeps_a_few_small_ones_when_it_maps_large_ones(void) {
  enum { COUNT = 5, BYTES = IC_LARGE_LEAST << 7 };
  void *large[COUNT];
  ic_large_give(ic_large_take(IC_LARGE_LEAST), IC_LARGE_LEAST);
  for (int i = 0; i < COUNT; i++) {
    large[i] = ic_large_take(BYTES);
    CHECK(large[i]);
  }
  CHECK(ic_large_warm_bytes() >= IC_LARGE_LEAST);
  CHECK(ic_large_warm_bytes() < 24 * IC_LARGE_LEAST);
  for (int i = 0; i < COUNT; i++)
    ic_large_give(large[i], BYTES);
}

int main(void) {
  RUN(keeps_what_is_in_it_when_resized);
  RUN(refuses_more_than_there_is);
  RUN(keeps_a_bounded_number_warm);
  RUN(keeps_larger_ones_when_it_maps_a_small_one);
  RUN(keeps_a_few_small_ones_when_it_maps_large_ones);
  return check_report("large");
}
