// draft_test.c - what stays lies in the arena, as close as it can; all else does
// not.

#include "core/draft.h"

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "core/failing.h"
#include "core/homes.h"

enum { BLOCKS = 50, BYTES = 48, PASSING_BYTES = 80 };

typedef struct {
  ic_draft *draft;
  uint8_t *blocks[BLOCKS];
  uint8_t *grown;
  bool had_memory;
} work;

static void *change(work *of, void *block, size_t old_size, size_t new_size) {
  void *changed = ic_draft_allocate(of->draft, block, old_size, new_size);
  if (!changed && new_size > 0) of->had_memory = false;
  return changed;
}

// Makes blocks that stay, one that grows beside each, and some that pass.
static void build(work *of) {
  of->had_memory = true;
  for (int i = 0; i < BLOCKS && of->had_memory; i++) {
    void *passing = change(of, NULL, 0, PASSING_BYTES);
    if (passing) memset(passing, 0xee, PASSING_BYTES);
    of->blocks[i] = change(of, NULL, 0, BYTES);
    if (of->blocks[i]) memset(of->blocks[i], i, BYTES);
    uint8_t *grown = change(of, of->grown, (size_t)i * 16, (size_t)i * 16 + 16);
    if (grown) memset(grown + i * 16, i, 16);
    if (grown) of->grown = grown;
    if (passing) change(of, passing, PASSING_BYTES, 0);
  }
}

static void drop(work *of) {
  for (int i = 0; i < BLOCKS; i++) {
    if (of->blocks[i]) change(of, of->blocks[i], BYTES, 0);
  }
  if (of->grown) change(of, of->grown, BLOCKS * 16, 0);
  *of = (work){.draft = of->draft, .had_memory = of->had_memory};
}

static void rehearse(work *of) {
  ic_draft_rehearse(of->draft);
  build(of);
  ic_draft_note(of->draft);
  drop(of);
}

static bool is_right(const work *of) {
  for (int i = 0; i < BLOCKS; i++) {
    for (int k = 0; k < BYTES; k++)
      if (of->blocks[i][k] != i) return false;
    for (int k = 0; k < 16; k++)
      if (of->grown[i * 16 + k] != i) return false;
  }
  return true;
}

// NULL: in this build arenas have no homes.
static ic_arena *new_arena(void) {
  ic_arena *arena = ic_arena_new();
  void *home;
  size_t used_bytes;
  if (ic_arena_is_at_home(arena, &home, &used_bytes)) return arena;
  ic_arena_free(arena);
  return NULL;
}

static void what_stays_lies_in_the_arena_without_gaps(void) {
  work of = {.draft = ic_draft_new()};
  CHECK(of.draft);
  rehearse(&of);
  CHECK(ic_draft_is_whole(of.draft));

  ic_arena *arena = new_arena();
  if (!arena) return ic_draft_free(of.draft);
  ic_draft_perform(of.draft, arena);
  build(&of);
  CHECK(ic_draft_is_whole(of.draft));
  CHECK(is_right(&of));
  CHECK(ic_arena_bytes(arena) == BLOCKS * (BYTES + 16));
  for (int i = 1; i < BLOCKS - 1; i++)
    CHECK(of.blocks[i] - of.blocks[i - 1] == BYTES);
  ic_draft_free(of.draft);
  ic_arena_free(arena);
}

static void another_second_time_is_not_whole(void) {
  work of = {.draft = ic_draft_new()};
  CHECK(of.draft);
  rehearse(&of);

  ic_arena *arena = new_arena();
  if (!arena) return ic_draft_free(of.draft);
  ic_draft_perform(of.draft, arena);
  void *first = change(&of, NULL, 0, BYTES);
  build(&of);
  CHECK(is_right(&of));
  CHECK(!ic_draft_is_whole(of.draft));
  drop(&of);
  change(&of, first, BYTES, 0);
  CHECK(ic_draft_is_whole(of.draft));
  CHECK(ic_arena_bytes(arena) == 0);
  ic_draft_free(of.draft);
  ic_arena_free(arena);
}

static void blocks_have_nothing_of_others(void) {
  work of = {.draft = ic_draft_new()};
  CHECK(of.draft);
  rehearse(&of);
  ic_arena *arena = new_arena();
  if (!arena) return ic_draft_free(of.draft);
  ic_draft_perform(of.draft, arena);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < BLOCKS; i++) {
      of.blocks[i] = change(&of, NULL, 0, BYTES);
      for (int k = 0; k < BYTES; k++)
        CHECK(of.blocks[i][k] == 0);
      memset(of.blocks[i], 0xee, BYTES);
    }
    drop(&of);
    ic_draft_perform(of.draft, arena);
  }
  ic_draft_free(of.draft);
  ic_arena_free(arena);
}

static void bears_that_there_is_no_memory(void) {
  for (int n = 0; failing_at(n); n++) {
    work of = {.draft = ic_draft_new()};
    if (of.draft) rehearse(&of);
    bool has_failed = failing_stop();
    CHECK(has_failed || (of.draft && of.had_memory));
    if (of.draft) CHECK(ic_draft_is_whole(of.draft));
    ic_draft_free(of.draft);
  }
}

int main(void) {
  RUN(what_stays_lies_in_the_arena_without_gaps);
  RUN(another_second_time_is_not_whole);
  RUN(blocks_have_nothing_of_others);
  RUN(bears_that_there_is_no_memory);
  return check_report("draft");
}
