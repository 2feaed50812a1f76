// wait.c - the walks along the records, and the text.

#include "core/wait.h"

#include <stdlib.h>
#include <string.h>

enum { CYCLE_MAX = 64 };  // longer ones time out

// --- The records -------------------------------------------------------------

enum { LOCKED = 1 };  // the bit of [on]

// Before it stands, nobody but its maker looks at it.
void ic_wait_begin(ic_isolate *isolate, ic_isolate *on, uint64_t request,
                   int64_t deadline_ns) {
  ic_wait *wait = &isolate->wait;
  wait->request = request;
  wait->deadline_ns = deadline_ns;
  wait->taken = isolate->mailbox.taken;
  wait->naps++;
  atomic_store(&wait->on, (uintptr_t)on);
}

// Who reads it is through in a moment, or has lost its core.
static void give_way(unsigned *rounds) {
  enum { ROUNDS = 100 };
  if (++*rounds % ROUNDS == 0) ic_thread_give_way();
  ic_thread_relax();
}

void ic_wait_end(ic_isolate *isolate) {
  ic_wait *wait = &isolate->wait;
  uintptr_t on = atomic_load_explicit(&wait->on, memory_order_relaxed);
  for (unsigned rounds = 0;; give_way(&rounds)) {
    on &= ~(uintptr_t)LOCKED;
    if (atomic_compare_exchange_weak(&wait->on, &on, 0)) return;
  }
}

// Locks the record of [isolate], so that it stands; what it waits for, or NULL: there
// is none.
static ic_isolate *lock_record(ic_isolate *isolate) {
  ic_wait *wait = &isolate->wait;
  uintptr_t on = atomic_load(&wait->on);
  for (unsigned rounds = 0; on; give_way(&rounds)) {
    on &= ~(uintptr_t)LOCKED;
    if (atomic_compare_exchange_weak(&wait->on, &on, on | LOCKED)) break;
  }
  return (ic_isolate *)on;
}

static void unlock_record(ic_isolate *isolate, const ic_isolate *on) {
  atomic_store_explicit(&isolate->wait.on, (uintptr_t)on, memory_order_release);
}

// --- The walks ---------------------------------------------------------------

// One isolate of a cycle, as the first walk found it.
typedef struct {
  ic_isolate *isolate;  // counted
  uint64_t naps;
  uint64_t request;
  int64_t deadline_ns;
} hop;

// Reads the record of [isolate]; what it waits for, counted, or NULL. That lives
// while the record stands, which it does until the unlock.
static ic_isolate *read_record(ic_isolate *isolate, hop *out) {
  const ic_wait *wait = &isolate->wait;
  *out = (hop){.isolate = isolate};
  ic_isolate *on = lock_record(isolate);
  if (!on) return NULL;
  *out = (hop){isolate, wait->naps, wait->request, wait->deadline_ns};
  ic_isolate_hold(on);
  unlock_record(isolate, on);
  return on;
}

// Whether the record is still the same, and nothing has come.
static bool is_same(const hop *found) {
  ic_isolate *isolate = found->isolate;
  const ic_wait *wait = &isolate->wait;
  const ic_isolate *on = lock_record(isolate);
  if (!on) return false;
  bool same = wait->naps == found->naps &&
              ic_counted(&isolate->mailbox.pushed) == wait->taken;
  unlock_record(isolate, on);
  return same;
}

// The first walk: how many there are from [isolate] back to it; 0: it is in no
// cycle. Counts each in [hops], [*count] of them.
static size_t walk(ic_isolate *isolate, hop hops[CYCLE_MAX], size_t *count) {
  ic_isolate *at = ic_isolate_hold(isolate);
  while (*count < CYCLE_MAX) {
    ic_isolate *on = read_record(at, &hops[(*count)++]);
    if (!on) return 0;
    if (on == isolate) {
      ic_isolate_release(on);
      return *count;
    }
    at = on;
  }
  ic_isolate_release(at);
  return 0;
}

static bool ends_before(const hop *a, const hop *b) {
  if (a->deadline_ns != b->deadline_ns) return a->deadline_ns < b->deadline_ns;
  return a->isolate->id < b->isolate->id;
}

// Two may look at once, from different places of the cycle: both find the same.
static size_t first_to_end(const hop *hops, size_t count) {
  size_t first = 0;
  for (size_t i = 1; i < count; i++) {
    if (ends_before(&hops[i], &hops[first])) first = i;
  }
  return first;
}

// "deadlock: /a -> /b -> /a", from [first] on; NULL: no memory.
static char *describe(const hop *hops, size_t count, size_t first) {
  size_t size = sizeof "deadlock: ";
  for (size_t i = 0; i <= count; i++) {
    size += strlen(hops[(first + i) % count].isolate->path) + 4;
  }
  char *text = malloc(size);
  if (!text) return NULL;
  strcpy(text, "deadlock: ");
  for (size_t i = 0; i <= count; i++) {
    if (i > 0) strcat(text, " -> ");
    strcat(text, hops[(first + i) % count].isolate->path);
  }
  return text;
}

static void tell(const hop *hops, size_t count) {
  size_t first = first_to_end(hops, count);
  ic_message *refusal = ic_message_new_event(IC_MESSAGE_REPLY);
  char *text = refusal ? describe(hops, count, first) : NULL;
  if (!text) {
    ic_message_free(refusal);
    return;
  }
  refusal->status = IC_DEADLOCK;
  refusal->request = hops[first].request;
  refusal->text = text;
  if (ic_isolate_push(hops[first].isolate, refusal) != IC_OK) {
    ic_message_free(refusal);
  }
}

// The usual case first: who is asked has no record, and so is in no cycle.
bool ic_wait_tell_deadlock(ic_isolate *isolate) {
  uintptr_t on = atomic_load_explicit(&isolate->wait.on, memory_order_relaxed);
  if (!ic_wait_stands((ic_isolate *)(on & ~(uintptr_t)LOCKED))) return false;
  hop hops[CYCLE_MAX];
  size_t visited = 0;
  size_t count = walk(isolate, hops, &visited);
  bool is_deadlock = count > 0;
  for (size_t i = 0; i < count && is_deadlock; i++) {
    is_deadlock = is_same(&hops[i]);
  }
  if (is_deadlock) tell(hops, count);
  for (size_t i = 0; i < visited; i++) {
    ic_isolate_release(hops[i].isolate);
  }
  return is_deadlock;
}
