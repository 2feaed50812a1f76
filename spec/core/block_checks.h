// block_checks.h - what holds of all that gives blocks by their size: block.h, large.h.

#ifndef IC_BLOCK_CHECKS_H
#define IC_BLOCK_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

typedef struct {
  void *(*take)(size_t size);
  void (*give)(void *block, size_t size);
  void *(*resize)(void *block, size_t old_size, size_t new_size);
  size_t (*fit)(size_t size);
} block_source;

static bool is_filled(const uint8_t *block, size_t size, uint8_t with) {
  for (size_t i = 0; i < size; i++)
    if (block[i] != with) return false;
  return true;
}

// From each of the sizes to each.
static void check_resizes(const block_source *of, const size_t *sizes,
                          int count) {
  for (int from = 0; from < count; from++) {
    for (int to = 0; to < count; to++) {
      size_t less = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
      uint8_t *block = of->take(sizes[from]);
      memset(block, 0x5a, of->fit(sizes[from]));
      block = of->resize(block, sizes[from], sizes[to]);
      CHECK(block && is_filled(block, less, 0x5a));
      memset(block, 0, of->fit(sizes[to]));
      of->give(block, sizes[to]);
    }
  }
}

// AddressSanitizer's malloc would end the program instead.
static inline void check_refusals(const block_source *of) {
  CHECK(of->take(SIZE_MAX) == NULL);
  CHECK(of->take(SIZE_MAX / 2) == NULL);
  uint8_t *block = of->take(100000);
  memset(block, 7, 100000);
  CHECK(of->resize(block, 100000, SIZE_MAX) == NULL);
  CHECK(of->resize(block, 100000, SIZE_MAX / 2) == NULL);
  CHECK(is_filled(block, 100000, 7));
  of->give(block, 100000);
}

#endif
