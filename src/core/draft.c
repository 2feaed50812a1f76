// draft.c - see draft.h. Blocks are known by their number: how many were made
// before. Those that lie elsewhere are of malloc, with the number in front.

#include "core/draft.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/homes.h"

typedef struct {
  size_t number;
  size_t unused;  // the block behind it is aligned
} header;

struct ic_draft {
  ic_arena *arena;   // NULL: it is a first time
  size_t made;       // blocks, this time
  size_t elsewhere;  // of those that there are
  bool takes_notes;
  size_t noted, capacity;
  bool *stays;  // by number; of the first time
};

ic_draft *ic_draft_new(void) {
  return calloc(1, sizeof(ic_draft));
}

void ic_draft_free(ic_draft *draft) {
  if (!draft) return;
  free(draft->stays);
  free(draft);
}

static void begin(ic_draft *draft, ic_arena *arena) {
  draft->arena = arena;
  draft->made = draft->elsewhere = 0;
}

void ic_draft_rehearse(ic_draft *draft) {
  begin(draft, NULL);
  draft->noted = 0;
  draft->takes_notes = true;
}

void ic_draft_note(ic_draft *draft) {
  draft->takes_notes = false;
}

void ic_draft_perform(ic_draft *draft, ic_arena *arena) {
  begin(draft, arena);
}

bool ic_draft_is_whole(const ic_draft *draft) {
  return draft->elsewhere == 0;
}

// Notes for one more block that it stays. False: no memory.
static bool note_made(ic_draft *draft) {
  if (!draft->takes_notes) return true;
  if (draft->noted == draft->capacity) {
    size_t capacity = draft->capacity > 0 ? draft->capacity * 2 : 1024;
    bool *stays = realloc(draft->stays, capacity * sizeof *stays);
    if (!stays) return false;
    draft->stays = stays;
    draft->capacity = capacity;
  }
  draft->stays[draft->noted++] = true;
  return true;
}

static void *take_elsewhere(ic_draft *draft, size_t size) {
  header *made = malloc(sizeof *made + size);
  if (!made) return NULL;
  if (!note_made(draft)) {
    free(made);
    return NULL;
  }
  made->number = draft->made++;
  draft->elsewhere++;
  return made + 1;
}

static void *take_to_stay(ic_draft *draft, size_t size) {
  void *block = ic_arena_realloc(draft->arena, NULL, 0, size);
  if (block) draft->made++;
  return block;
}

static bool is_to_stay(const ic_draft *draft) {
  return draft->arena && draft->made < draft->noted &&
         draft->stays[draft->made];
}

// Nothing of what was in a block before is in another one, not even between the
// bytes that are written: core/image.c would take half of an old pointer, and a
// new byte, for a pointer.
static void *take(ic_draft *draft, size_t size) {
  void *block = is_to_stay(draft) ? take_to_stay(draft, size)
                                  : take_elsewhere(draft, size);
  if (block) memset(block, 0, size);
  return block;
}

// A new arena lies at the beginning of its home.
static bool is_in_arena(const ic_draft *draft, const void *block) {
  return draft->arena &&
         (uintptr_t)block - (uintptr_t)draft->arena < IC_HOME_BYTES;
}

static void give(ic_draft *draft, void *block, size_t size) {
  if (is_in_arena(draft, block)) {
    ic_arena_realloc(draft->arena, block, size, 0);
    return;
  }
  header *made = (header *)block - 1;
  if (draft->takes_notes) draft->stays[made->number] = false;
  draft->elsewhere--;
  free(made);
}

void *ic_draft_allocate(void *context, void *block, size_t old_size,
                        size_t new_size) {
  ic_draft *draft = context;
  void *fresh = NULL;
  if (new_size > 0) {
    fresh = take(draft, new_size);
    if (!fresh) return NULL;
  }
  if (!block) return fresh;
  if (fresh) memcpy(fresh, block, old_size < new_size ? old_size : new_size);
  give(draft, block, old_size);
  return fresh;
}
