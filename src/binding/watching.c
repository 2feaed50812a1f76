// watching.c - slots that are used again; a number is a slot and a serial.

#include "binding/watching.h"

#include <stdlib.h>

enum {
  SLOT_BITS = 31,
  FIRST_SLOTS = 4,
  MALLOC_BYTES = 16  // of its own, for a block
};
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define NONE SIZE_MAX  // no slot

static void end(ic_watching *watching, ic_watching_slot *slot) {
  ic_death_forget(slot->watch);
  watching->used--;
  if (!slot->is_shared) watching->monitors--;
  *slot = (ic_watching_slot){.next_free = watching->free};
  watching->free = (size_t)(slot - watching->slots);
}

// Ends the shared ones that no request uses; how many.
static size_t sweep(ic_watching *watching) {
  size_t swept = 0;
  for (size_t i = 0; i < watching->count; i++) {
    ic_watching_slot *slot = &watching->slots[i];
    if (!slot->watch || !slot->is_shared || slot->users > 0) continue;
    end(watching, slot);
    swept++;
  }
  return swept;
}

// Room for one more. Swept only when it would grow, and grown all the same where
// that did not free much, so that sweeping costs each watch little.
static ic_status grow(ic_watching *watching) {
  if (watching->free < watching->count) return IC_OK;
  if (sweep(watching) > watching->count / 4) return IC_OK;
  size_t old = watching->count;
  size_t count = old ? old * 2 : FIRST_SLOTS;
  if (count > SLOT_MASK) return IC_MEMORY;
  ic_watching_slot *slots = realloc(watching->slots, count * sizeof *slots);
  if (!slots) return IC_MEMORY;
  for (size_t i = old; i < count; i++) {
    slots[i] = (ic_watching_slot){.next_free = i + 1};
  }
  slots[count - 1].next_free = old ? watching->free : NONE;
  watching->free = old;
  watching->slots = slots;
  watching->count = count;
  return IC_OK;
}

size_t ic_watching_bytes(const ic_watching *watching) {
  return watching->count * sizeof *watching->slots +
         watching->used * (sizeof(ic_watch) + ic_block_fit(sizeof(ic_message)) +
                           MALLOC_BYTES);
}

ic_status ic_watching_add(ic_watching *watching, ic_isolate *watched,
                          ic_isolate *watcher, uint64_t *number) {
  ic_status status = grow(watching);
  if (status != IC_OK) return status;
  size_t at = watching->free;
  ic_watching_slot *slot = &watching->slots[at];
  watching->serial = (watching->serial + 1) & SLOT_MASK;
  uint64_t given = (watching->serial << SLOT_BITS) | (at + 1);
  status = ic_death_watch(watched, watcher, given, &slot->watch);
  if (status != IC_OK) return status;
  watching->free = slot->next_free;
  watching->used++;
  watching->monitors++;
  slot->number = given;
  slot->watched = watched;
  *number = given;
  return IC_OK;
}

static ic_watching_slot *find_shared(ic_watching *watching,
                                     const ic_isolate *watched, uint64_t hint) {
  ic_watching_slot *slot = ic_watching_find(watching, hint);
  if (slot && slot->is_shared && slot->watched == watched) return slot;
  for (size_t i = 0; i < watching->count; i++) {
    slot = &watching->slots[i];
    if (slot->watch && slot->is_shared && slot->watched == watched) return slot;
  }
  return NULL;
}

ic_status ic_watching_share(ic_watching *watching, ic_isolate *watched,
                            ic_isolate *watcher, uint64_t *number) {
  ic_watching_slot *slot = find_shared(watching, watched, *number);
  if (!slot) {
    ic_status status = ic_watching_add(watching, watched, watcher, number);
    if (status != IC_OK) return status;
    slot = ic_watching_find(watching, *number);
    slot->is_shared = true;
    watching->monitors--;
  }
  *number = slot->number;
  slot->users++;
  return IC_OK;
}

void ic_watching_unshare(ic_watching *watching, uint64_t number) {
  ic_watching_slot *slot = ic_watching_find(watching, number);
  if (slot) slot->users--;
}

ic_watching_slot *ic_watching_find(ic_watching *watching, uint64_t number) {
  size_t at = (size_t)((number & SLOT_MASK) - 1);
  if (at >= watching->count) return NULL;
  ic_watching_slot *slot = &watching->slots[at];
  return slot->watch && slot->number == number ? slot : NULL;
}

bool ic_watching_end(ic_watching *watching, uint64_t number) {
  ic_watching_slot *slot = ic_watching_find(watching, number);
  if (slot) end(watching, slot);
  return slot != NULL;
}

void ic_watching_fini(ic_watching *watching) {
  for (size_t i = 0; i < watching->count; i++) {
    ic_death_forget(watching->slots[i].watch);
  }
  free(watching->slots);
  *watching = (ic_watching){0};
}
