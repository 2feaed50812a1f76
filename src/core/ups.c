// ups.c - a list with counts; what nobody counts any more falls off its front.

#include "core/ups.h"

#include <stdlib.h>

struct ic_up {
  ic_up *next;          // once freed: in the waste
  ic_isolate *isolate;  // counted; NULL: stands for what was before
  uint64_t version;
  size_t users;
};

// [isolate] is counted for it.
static ic_up *new_newest(ic_ups *ups, ic_isolate *isolate) {
  ic_up *up = malloc(sizeof *up);
  if (!up) return NULL;
  *up = (ic_up){.isolate = isolate, .users = 1};
  ups->newest = up;
  return up;
}

static void release_locked(ic_up *up, ic_ups_waste *waste) {
  while (up && --up->users == 0) {
    ic_up *next = up->next;
    up->next = waste->first;
    waste->first = up;
    up = next;
  }
}

ic_status ic_ups_begin_locked(ic_ups *ups, ic_isolate *isolate) {
  if (!ups->newest && !new_newest(ups, NULL)) return IC_MEMORY;
  ups->newest->users++;
  isolate->heard_up = ups->newest;
  return IC_OK;
}

void ic_ups_add_locked(ic_ups *ups, ic_isolate *isolate, uint64_t version,
                       ic_ups_waste *waste) {
  ic_up *before = ups->newest;
  if (!before) return;
  ic_up *up = new_newest(ups, isolate);
  if (!up) return;
  ic_isolate_hold(isolate);
  up->version = version;
  up->users++;
  before->next = up;
  release_locked(before, waste);
}

static ic_message *events_behind(const ic_up *up) {
  ic_message *events = NULL;
  ic_message **end = &events;
  while ((up = up->next) != NULL) {
    ic_message *event = ic_message_new_event(IC_MESSAGE_UP);
    if (!event) continue;
    event->cluster_key = up->isolate->cluster_key;
    event->sender = ic_isolate_hold(up->isolate);
    event->request = up->version;
    *end = event;
    end = &event->next;
  }
  return events;
}

void ic_ups_end_locked(ic_ups *ups, ic_isolate *isolate, ic_ups_waste *waste,
                       ic_message **out) {
  ic_up *heard = isolate->heard_up;
  if (out) *out = heard ? events_behind(heard) : NULL;
  if (!heard) return;
  isolate->heard_up = NULL;
  release_locked(heard, waste);
  if (ups->newest->users > 1) return;
  // Nobody starts any more.
  release_locked(ups->newest, waste);
  ups->newest = NULL;
}

void ic_ups_free(ic_ups_waste *waste) {
  while (waste->first) {
    ic_up *up = waste->first;
    waste->first = up->next;
    ic_isolate_release(up->isolate);
    free(up);
  }
}
