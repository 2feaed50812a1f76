// requests.h - the requests of one state that wait for their answer: slots, and
// a heap of their deadlines.
//
// A number stands for one request and is not given twice soon, so an answer that
// comes too late is known as one. Its highest bit tells it from the tickets of
// Lua code.
//
// Threads: the state's own. Memory: the body's.

#ifndef IC_REQUESTS_H
#define IC_REQUESTS_H

#include <lua.h>

#include "core/isolate.h"

#define IC_REQUEST_BIT (UINT64_C(1) << 62)
#define IC_NO_PLACE SIZE_MAX

enum {
  IC_REQUEST_HOLDERS = 4,
  IC_REQUEST_UNTRACKED = -1  // of [holder_count]
};

typedef struct {
  uint64_t number;  // 0: free
  // Who waits; NULL: a host script's own thread, which looks for [done].
  lua_State *co;
  int anchor;  // registry ref, of the slot's; 0: it has none yet
  const ic_isolate *asked;  // borrowed from the ref, which is on co's stack
  ic_isolate *full;     // counted: in whose mailbox it waits for room; or NULL
  double timeout;       // seconds
  int64_t deadline_ns;  // or IC_NEVER
  size_t place;         // in the heap, or IC_NO_PLACE
  // Numbers of watches, of those who may answer; see request.h.
  uint64_t holders[IC_REQUEST_HOLDERS];
  int holder_count;
  // The outcome for a host script.
  bool done;
  ic_status status;
  ic_message *answer;  // owned, or NULL
  size_t next_free;
} ic_request;

typedef struct {
  ic_request *slots;
  size_t *heap;  // slots by their deadline, as many as there is room for
  size_t heap_count;
  size_t count;
  size_t free;     // the first free slot; [count]: none
  size_t waiting;  // slots in use
  uint64_t serial;
} ic_requests;

// What they take, but for answers.
static inline size_t ic_requests_bytes(const ic_requests *requests) {
  return requests->count * (sizeof *requests->slots + sizeof *requests->heap);
}

// The slot that the next request gets, which is valid until the next call of this;
// NULL: no memory.
ic_request *ic_requests_next(ic_requests *requests);

// Begins a request, in that slot. IC_NEVER: it has no deadline.
void ic_requests_add(ic_requests *requests, ic_request *request,
                     int64_t deadline_ns);

// The slot of [number]; NULL: it waits no more.
ic_request *ic_requests_find(ic_requests *requests, uint64_t number);

// Ends a request, which was found. Frees an answer.
void ic_requests_remove(ic_requests *requests, ic_request *request);

// The request that is due first; NULL: none has a deadline.
static inline ic_request *ic_requests_first(const ic_requests *requests) {
  return requests->heap_count ? &requests->slots[requests->heap[0]] : NULL;
}

void ic_requests_fini(ic_requests *requests);

#endif
