// slab_test.c - each free piece once, the lowest first, and full slabs in no list.

#include "core/slab.h"

#include <sys/mman.h>

#include "check.h"

static void takes_each_free_piece_once(void) {
  ic_slab *first = NULL, *of = NULL;
  ic_slab slab = {.free = 0x8000000000000005};
  CHECK(ic_slab_take(&first, &of) == -1);
  ic_slab_link(&first, &slab);
  CHECK(ic_slab_take(&first, &of) == 0 && of == &slab);
  CHECK(ic_slab_take(&first, &of) == 2 && first == &slab);
  CHECK(ic_slab_take(&first, &of) == 63 && first == NULL);
  CHECK(ic_slab_take(&first, &of) == -1);
}

static void one_that_was_full_is_found_again(void) {
  ic_slab *first = NULL, *of = NULL;
  ic_slab a = {.free = 1}, b = {.free = 1}, c = {.free = 2};
  ic_slab_link(&first, &a);
  ic_slab_link(&first, &b);
  ic_slab_link(&first, &c);
  ic_slab_unlink(&first, &b);
  CHECK(first == &c && c.next == &a && a.previous == &c);
  CHECK(ic_slab_take(&first, &of) == 1 && of == &c);
  CHECK(ic_slab_take(&first, &of) == 0 && of == &a && first == NULL);
  ic_slab_give(&first, &c, 7);
  ic_slab_give(&first, &c, 3);
  CHECK(first == &c && c.next == NULL && c.previous == NULL);
  CHECK(ic_slab_take(&first, &of) == 3 && of == &c);
}

static void maps_what_is_aligned_and_can_be_unmapped(void) {
  enum { BYTES = 1 << 20 };
  char *map = ic_slab_map(BYTES, BYTES);
  CHECK(map && (uintptr_t)map % BYTES == 0);
  map[0] = map[BYTES - 1] = 1;
  CHECK(munmap(map, BYTES) == 0);
}

static void a_class_is_the_least_that_holds_a_size(void) {
  for (size_t first = 64; first <= 512; first *= 8) {
    for (size_t size = 1; size <= 20 * first; size++) {
      size_t class = ic_size_class(size, first);
      CHECK(ic_size_class_bytes(class, first) >= size);
      CHECK(class == 0 || ic_size_class_bytes(class - 1, first) < size);
    }
  }
}

static void there_are_four_for_each_doubling(void) {
  CHECK(ic_size_class_bytes(0, 512) == 512);
  CHECK(ic_size_class_bytes(1, 512) == 640);
  CHECK(ic_size_class_bytes(2, 512) == 768);
  CHECK(ic_size_class_bytes(3, 512) == 896);
  CHECK(ic_size_class_bytes(4, 512) == 1024);
  CHECK(ic_size_class_bytes(8, 512) == 2048);
}

int main(void) {
  RUN(takes_each_free_piece_once);
  RUN(one_that_was_full_is_found_again);
  RUN(maps_what_is_aligned_and_can_be_unmapped);
  RUN(a_class_is_the_least_that_holds_a_size);
  RUN(there_are_four_for_each_doubling);
  return check_report("slab");
}
