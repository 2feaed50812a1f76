// outsiders.c - a list, as there are few; linked like a bucket of the registry, in
// which those without a path are not.

#include "core/outsiders.h"

static ic_mutex mutex = {PTHREAD_MUTEX_INITIALIZER};
static ic_isolate *newest;  // guard: mutex

// What points to [isolate] in the list, or to its end.
static ic_isolate **find_link_locked(uint64_t id) {
  ic_isolate **link = &newest;
  while (*link && (*link)->id != id)
    link = &(*link)->next_in_bucket;
  return link;
}

void ic_outsiders_enter(ic_isolate *isolate) {
  ic_mutex_lock(&mutex);
  isolate->next_in_bucket = newest;
  newest = isolate;
  ic_mutex_unlock(&mutex);
}

void ic_outsiders_leave(ic_isolate *isolate) {
  ic_mutex_lock(&mutex);
  ic_isolate **link = find_link_locked(isolate->id);
  if (*link) *link = isolate->next_in_bucket;
  ic_mutex_unlock(&mutex);
}

ic_isolate *ic_outsiders_find(uint64_t id) {
  ic_mutex_lock(&mutex);
  ic_isolate *isolate = *find_link_locked(id);
  if (isolate) ic_isolate_hold(isolate);
  ic_mutex_unlock(&mutex);
  return isolate;
}
