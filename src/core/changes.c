// changes.c - a ring of notes; those that nobody needs any more fall off its front.

#include "core/changes.h"

#include <stdlib.h>

struct ic_change {
  ic_isolate *isolate;  // counted
  uint64_t moment;
  size_t users;  // isolates whose place is in front of it
  ic_message_kind kind;
};

enum { FIRST_CAPACITY = 64, SPARE_CAPACITY = 4096 };

void ic_changes_fini(ic_changes *changes) {
  free(changes->items);
}

// The note [i] of those that are there.
static ic_change *at(const ic_changes *changes, size_t i) {
  return &changes->items[(changes->first + i) & (changes->capacity - 1)];
}

// How many isolates have their place in front of the note [i]; behind the newest
// there is a place, too.
static size_t *users_at(ic_changes *changes, size_t i) {
  return i < changes->count ? &at(changes, i)->users : &changes->up_to_date;
}

// That of an isolate that lives is kept anyway.
static size_t kept_bytes(const ic_change *change) {
  if (change->kind != IC_MESSAGE_DOWN) return 0;
  const ic_error *error = change->isolate->error;
  return ic_isolate_identity_bytes(change->isolate) +
         (error ? error->message_size + error->traceback_size : 0);
}

// Whose place was in front of it has the next one.
static void drop_first_locked(ic_changes *changes, ic_ref_list *waste) {
  ic_change *change = at(changes, 0);
  *users_at(changes, 1) += change->users;
  changes->bytes -= kept_bytes(change);
  // Without memory to remember it, it is let go of here.
  ic_status status = ic_ref_list_add(waste, change->isolate);
  (void)status;
  ic_isolate_release(change->isolate);
  changes->first = (changes->first + 1) & (changes->capacity - 1);
  changes->count--;
  changes->forgotten++;
}

static ic_status grow(ic_changes *changes) {
  if (changes->count < changes->capacity) return IC_OK;
  size_t capacity = changes->capacity ? changes->capacity * 2 : FIRST_CAPACITY;
  ic_change *items = malloc(capacity * sizeof *items);
  if (!items) return IC_MEMORY;
  for (size_t i = 0; i < changes->count; i++)
    items[i] = *at(changes, i);
  free(changes->items);
  changes->items = items;
  changes->capacity = capacity;
  changes->first = 0;
  return IC_OK;
}

void ic_changes_begin_locked(ic_changes *changes, ic_isolate *isolate) {
  isolate->is_starting = true;
  isolate->heard = changes->forgotten + changes->count;
  changes->starting++;
  changes->up_to_date++;
}

void ic_changes_add_locked(ic_changes *changes, ic_isolate *isolate,
                           ic_message_kind kind, uint64_t moment,
                           ic_ref_list *waste) {
  if (changes->starting == 0 || grow(changes) != IC_OK) return;
  ic_change *change = at(changes, changes->count);
  *change = (ic_change){.isolate = ic_isolate_hold(isolate),
                        .moment = moment,
                        .users = changes->up_to_date,
                        .kind = kind};
  changes->up_to_date = 0;
  changes->count++;
  changes->bytes += kept_bytes(change);
  while (changes->bytes > IC_CHANGES_BYTES_MAX)
    drop_first_locked(changes, waste);
}

static ic_message *events_from(const ic_changes *changes, size_t i,
                               unsigned watches) {
  ic_message *events = NULL;
  ic_message **end = &events;
  for (; watches && i < changes->count; i++) {
    const ic_change *change = at(changes, i);
    bool is_up = change->kind == IC_MESSAGE_UP;
    if (!(watches & (is_up ? IC_WATCH_UP : IC_WATCH_DOWN))) continue;
    ic_message *event = ic_message_new_event(change->kind);
    if (!event) continue;
    event->cluster_key = change->isolate->cluster_key;
    event->sender = ic_isolate_hold(change->isolate);
    event->request = change->moment;
    if (!is_up) event->reason = change->isolate->reason;
    *end = event;
    end = &event->next;
  }
  return events;
}

ic_message *ic_changes_end_locked(ic_changes *changes, ic_isolate *isolate,
                                  unsigned watches, ic_ref_list *waste) {
  if (!isolate->is_starting) return NULL;
  isolate->is_starting = false;
  size_t place = isolate->heard > changes->forgotten
                     ? (size_t)(isolate->heard - changes->forgotten)
                     : 0;
  ic_message *events = events_from(changes, place, watches);
  --*users_at(changes, place);
  changes->starting--;
  while (changes->count > 0 && at(changes, 0)->users == 0)
    drop_first_locked(changes, waste);
  if (changes->count == 0 && changes->capacity > SPARE_CAPACITY) {
    free(changes->items);
    changes->items = NULL;
    changes->capacity = 0;
  }
  return events;
}
