// image.c - copy the used part of the home, then move what points into it.
//
// Which words are pointers nobody says; they are found: every aligned word whose
// value is an address in the original's home. That no other word has such a
// value is what the choice of the address is for: of its bytes two are 0, three
// are none that ASCII text has, and 26 bits are random. But for pointers, the
// words of an image are small numbers, floats, text, hashes or instructions; for
// one to stand for an address by chance, all those bits would have to agree.
// Bytes that nobody uses any more may hold old pointers; to move these too does
// no harm.

#include "core/image.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "core/homes.h"

enum { WORD = sizeof(uintptr_t), WORDS = IC_HOME_BYTES / WORD, TRIES = 16 };

struct ic_image {
  const ic_arena *arena;
  const char *home;
  size_t used_bytes;
  size_t count;
  uint16_t pointers[];  // which words are, in rising order
};

_Static_assert(WORDS <= UINT16_MAX, "a word's number fits");

// 0x0000HHLLLLLL0000, HH from 0x10 on, each LL from 0x80 on.
static uintptr_t any_address(void) {
  uint64_t chance = 0;
  if (getrandom(&chance, sizeof chance, 0) != sizeof chance) return 0;
  uint64_t high = 0x10 + chance % 0x30;
  uint64_t low = (chance >> 8) & UINT64_C(0x7f7f7f0000);
  uint64_t address = high << 40 | low | UINT64_C(0x8080800000);
  return (uintptr_t)address;
}

ic_arena *ic_image_new_arena(void) {
  for (int i = 0; i < TRIES; i++) {
    void *wanted = (void *)any_address();
    if (!wanted) return NULL;
    void *home = mmap(wanted, IC_HOME_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (home == wanted) return ic_arena_new_in(home);
    if (home != MAP_FAILED) munmap(home, IC_HOME_BYTES);
  }
  return NULL;
}

static uintptr_t word_at(const char *home, size_t index) {
  uintptr_t word;
  memcpy(&word, home + index * WORD, WORD);
  return word;
}

ic_image *ic_image_new(const ic_arena *arena) {
  void *home;
  size_t used_bytes;
  if (!ic_arena_is_at_home(arena, &home, &used_bytes)) return NULL;
  size_t words = used_bytes / WORD;
  ic_image *image = malloc(sizeof *image + words * sizeof image->pointers[0]);
  if (!image) return NULL;
  *image = (ic_image){.arena = arena, .home = home, .used_bytes = used_bytes};
  for (size_t i = 1; i < words; i++) {  // the first is the store's
    if (word_at(home, i) - (uintptr_t)home < IC_HOME_BYTES) {
      image->pointers[image->count++] = (uint16_t)i;
    }
  }
  return image;
}

// An address just behind the used part is one too: of the run that is next cut.
ic_arena *ic_image_copy(const ic_image *image) {
  uintptr_t *words = ic_home_take();
  if (!words) return NULL;
  memcpy(words + 1, image->home + WORD, image->used_bytes - WORD);
  uintptr_t distance = (uintptr_t)words - (uintptr_t)image->home;
  for (size_t i = 0; i < image->count; i++)
    words[image->pointers[i]] += distance;
  return (ic_arena *)((uintptr_t)image->arena + distance);
}

void *ic_image_moved(const ic_image *image, const ic_arena *copy, void *block) {
  return (char *)copy + ((char *)block - (char *)image->arena);
}
