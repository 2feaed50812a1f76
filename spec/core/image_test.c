// image_test.c - copies of an arena: like the original, and apart from it.

#include "core/image.h"

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "core/homes.h"

// A list as programs have them, and a text in each node.
typedef struct node {
  struct node *next, *previous;
  uint64_t number;
  char *text;
} node;

enum { NODES = 100, TEXT_BYTES = 24 };

static void *make(ic_arena *arena, size_t size) {
  return ic_arena_realloc(arena, NULL, 0, size);
}

static node *add(ic_arena *arena, node *to, uint64_t number) {
  node *added = make(arena, sizeof *added);
  *added = (node){.previous = to, .number = number};
  added->text = make(arena, TEXT_BYTES);
  memset(added->text, (int)number, TEXT_BYTES);
  if (to) to->next = added;
  return added;
}

// With gaps, as if things had been made and dropped.
static node *make_list(ic_arena *arena) {
  node *first = add(arena, NULL, 0);
  node *last = first;
  for (uint64_t i = 1; i < NODES; i++) {
    void *dropped = make(arena, 40);
    last = add(arena, last, i);
    ic_arena_realloc(arena, dropped, 40, 0);
  }
  return first;
}

static int count_right(const node *first) {
  const node *previous = NULL;
  int count = 0;
  for (const node *at = first; at; previous = at, at = at->next) {
    if (at->previous != previous || at->number != (uint64_t)count) return -1;
    for (int i = 0; i < TEXT_BYTES; i++)
      if (at->text[i] != (char)count) return -1;
    count++;
  }
  return count;
}

// NULL where arenas have no homes, or addresses can't be chosen.
static ic_image *new_image(ic_arena **arena, node **list) {
  *arena = ic_image_new_arena();
  if (!*arena) return NULL;
  *list = make_list(*arena);
  return ic_image_new(*arena);
}

static void copies_all_that_is_linked(void) {
  ic_arena *original;
  node *list;
  ic_image *image = new_image(&original, &list);
  if (!original) return;
  CHECK(image);
  ic_arena *first = ic_image_copy(image);
  ic_arena *second = ic_image_copy(image);
  node *first_list = ic_image_moved(image, first, list);
  node *second_list = ic_image_moved(image, second, list);
  CHECK(first_list != list && first_list != second_list);
  CHECK(count_right(first_list) == NODES);
  CHECK(ic_arena_bytes(first) == ic_arena_bytes(original));

  for (node *at = first_list; at; at = at->next)
    memset(at->text, 0xee, TEXT_BYTES);
  CHECK(count_right(second_list) == NODES);
  CHECK(count_right(list) == NODES);
  ic_arena_free(first);
  CHECK(count_right(second_list) == NODES);
  ic_arena_free(second);
}

// What is freed, used again, added and tidied in a copy stays in it.
static void goes_on_as_an_arena(void) {
  ic_arena *original;
  node *list;
  ic_image *image = new_image(&original, &list);
  if (!original) return;
  CHECK(image);
  for (int round = 0; round < 50; round++) {
    ic_arena *copy = ic_image_copy(image);
    node *last = ic_image_moved(image, copy, list);
    while (last->next)
      last = last->next;
    for (uint64_t i = NODES; i < 20 * NODES; i++)
      last = add(copy, last, i);
    while (last->number > 1) {
      node *previous = last->previous;
      ic_arena_realloc(copy, last->text, TEXT_BYTES, 0);
      ic_arena_realloc(copy, last, sizeof *last, 0);
      last = previous;
    }
    for (size_t size = 16; size < 20000; size += 1 + size / 10) {
      void *block = make(copy, size);
      memset(block, 0x55, size);
      ic_arena_realloc(copy, block, size, 0);
    }
    ic_arena_free(copy);
  }
  CHECK(count_right(list) == NODES);
}

static void moves_no_other_word(void) {
  ic_arena *original = ic_image_new_arena();
  if (!original) return;
  uintptr_t *words = make(original, 8 * sizeof *words);
  uintptr_t home = (uintptr_t)original & ~(uintptr_t)0xffff;
  const uintptr_t others[8] = {0,         home - 1, home + IC_HOME_BYTES,
                               home << 8, ~home,    home + (UINT64_C(1) << 48),
                               1,         42};
  memcpy(words, others, sizeof others);
  ic_image *image = ic_image_new(original);
  CHECK(image);
  ic_arena *copy = ic_image_copy(image);
  CHECK(memcmp(ic_image_moved(image, copy, words), others, sizeof others) == 0);
  ic_arena_free(copy);
}

static void is_none_of_what_outgrew_its_home(void) {
  ic_arena *original = ic_image_new_arena();
  if (!original) return;
  for (int i = 0; i < IC_HOME_BYTES / 1024; i++)
    CHECK(make(original, 1024));
  CHECK(ic_image_new(original) == NULL);
}

int main(void) {
  RUN(copies_all_that_is_linked);
  RUN(goes_on_as_an_arena);
  RUN(moves_no_other_word);
  RUN(is_none_of_what_outgrew_its_home);
  return check_report("image");
}
