// requests.c - a slot knows its place in the heap, so ending a request takes it
// out at once. Most requests have the same timeout: theirs goes to the heap's end
// and stays there, and is taken from its end again.

#include "binding/requests.h"

#include <stdlib.h>

enum { SLOT_BITS = 31, FIRST_SLOTS = 4 };
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

// --- The heap ---------------------------------------------------------------

static int64_t deadline_of(const ic_requests *requests, size_t slot) {
  return requests->slots[slot].deadline_ns;
}

static void put(ic_requests *requests, size_t slot, size_t place) {
  requests->heap[place] = slot;
  requests->slots[slot].place = place;
}

static void rise(ic_requests *requests, size_t slot, size_t place) {
  while (place > 0) {
    size_t above = (place - 1) / 2;
    size_t parent = requests->heap[above];
    if (deadline_of(requests, parent) <= deadline_of(requests, slot)) break;
    put(requests, parent, place);
    place = above;
  }
  put(requests, slot, place);
}

static void sink(ic_requests *requests, size_t slot, size_t place) {
  for (;;) {
    size_t below = place * 2 + 1;
    if (below >= requests->heap_count) break;
    size_t child = requests->heap[below];
    if (below + 1 < requests->heap_count &&
        deadline_of(requests, requests->heap[below + 1]) <
            deadline_of(requests, child)) {
      child = requests->heap[++below];
    }
    if (deadline_of(requests, slot) <= deadline_of(requests, child)) break;
    put(requests, child, place);
    place = below;
  }
  put(requests, slot, place);
}

static void take_out(ic_requests *requests, ic_request *request) {
  size_t place = request->place;
  if (place == IC_NO_PLACE) return;
  size_t last = requests->heap[--requests->heap_count];
  if (&requests->slots[last] == request) return;
  sink(requests, last, place);
  rise(requests, last, requests->slots[last].place);
}

// --- The slots --------------------------------------------------------------

static bool grow(ic_requests *requests) {
  if (requests->free < requests->count) return true;
  size_t count = requests->count ? requests->count * 2 : FIRST_SLOTS;
  if (count > SLOT_MASK) return false;
  size_t *heap = realloc(requests->heap, count * sizeof *heap);
  if (!heap) return false;
  requests->heap = heap;
  ic_request *slots = realloc(requests->slots, count * sizeof *slots);
  if (!slots) return false;
  for (size_t i = requests->count; i < count; i++) {
    slots[i] = (ic_request){.next_free = i + 1};
  }
  requests->slots = slots;
  requests->count = count;
  return true;
}

ic_request *ic_requests_next(ic_requests *requests) {
  return grow(requests) ? &requests->slots[requests->free] : NULL;
}

void ic_requests_add(ic_requests *requests, ic_request *request,
                     int64_t deadline_ns) {
  size_t slot = requests->free;
  requests->free = request->next_free;
  requests->waiting++;
  requests->serial = (requests->serial + 1) & SLOT_MASK;
  request->number =
      IC_REQUEST_BIT | (requests->serial << SLOT_BITS) | (slot + 1);
  request->deadline_ns = deadline_ns;
  request->place = IC_NO_PLACE;
  request->holder_count = 0;
  request->done = false;
  request->answer = NULL;
  if (deadline_ns != IC_NEVER) rise(requests, slot, requests->heap_count++);
}

ic_request *ic_requests_find(ic_requests *requests, uint64_t number) {
  size_t slot = (size_t)((number & SLOT_MASK) - 1);
  if (slot >= requests->count) return NULL;
  ic_request *request = &requests->slots[slot];
  return request->number == number ? request : NULL;
}

void ic_requests_remove(ic_requests *requests, ic_request *request) {
  take_out(requests, request);
  ic_message_free(request->answer);
  request->answer = NULL;
  request->number = 0;
  request->next_free = requests->free;
  requests->free = (size_t)(request - requests->slots);
  requests->waiting--;
}

void ic_requests_fini(ic_requests *requests) {
  for (size_t i = 0; i < requests->count; i++) {
    if (!requests->slots[i].number) continue;
    ic_message_free(requests->slots[i].answer);
    ic_isolate_release(requests->slots[i].full);
  }
  free(requests->slots);
  free(requests->heap);
  *requests = (ic_requests){0};
}
