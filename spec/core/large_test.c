// large_test.c - mappings that grow, shrink, and stay warm.

#include "core/large.h"

#include "block_checks.h"
#include "check.h"

static const block_source mappings = {ic_large_take, ic_large_give,
                                      ic_large_resize, ic_large_fit};

static void keeps_what_is_in_it_when_resized(void) {
  static const size_t sizes[] = {65536, 65537,   81920,
                                 81921, 1 << 20, (8 << 20) + 1};
  CALL(check_resizes(&mappings, sizes, sizeof sizes / sizeof *sizes));
}

static void refuses_more_than_there_is(void) {
  CALL(check_refusals(&mappings));
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
