// watching.c - slots that are used again; a number is a slot and a serial.

#include "binding/watching.h"

#include <stdlib.h>

enum { SLOT_BITS = 31, FIRST_SLOTS = 4 };
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

static ic_status grow(ic_watching *watching) {
  if (watching->free < watching->count) return IC_OK;
  size_t count = watching->count ? watching->count * 2 : FIRST_SLOTS;
  if (count > SLOT_MASK) return IC_MEMORY;
  ic_watching_slot *slots = realloc(watching->slots, count * sizeof *slots);
  if (!slots) return IC_MEMORY;
  for (size_t i = watching->count; i < count; i++) {
    slots[i] = (ic_watching_slot){.next_free = i + 1};
  }
  watching->slots = slots;
  watching->count = count;
  return IC_OK;
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
  slot->number = given;
  *number = given;
  return IC_OK;
}

bool ic_watching_end(ic_watching *watching, uint64_t number) {
  size_t at = (size_t)((number & SLOT_MASK) - 1);
  if (at >= watching->count) return false;
  ic_watching_slot *slot = &watching->slots[at];
  if (!slot->watch || slot->number != number) return false;
  ic_death_forget(slot->watch);
  *slot = (ic_watching_slot){.next_free = watching->free};
  watching->free = at;
  return true;
}

void ic_watching_fini(ic_watching *watching) {
  for (size_t i = 0; i < watching->count; i++) {
    ic_death_forget(watching->slots[i].watch);
  }
  free(watching->slots);
  *watching = (ic_watching){0};
}
