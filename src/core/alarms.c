// alarms.c - a binary heap whose members know their places.

#include "core/alarms.h"

#include <stdlib.h>

void ic_alarms_init(ic_alarms *alarms) {
  *alarms = (ic_alarms){0};
  ic_mutex_init(&alarms->mutex);
}

void ic_alarms_fini(ic_alarms *alarms) {
  for (size_t i = 0; i < alarms->count; i++) {
    ic_isolate_release(alarms->heap[i]);
  }
  free(alarms->heap);
  ic_mutex_fini(&alarms->mutex);
}

static int64_t time_of(const ic_isolate *isolate) {
  return atomic_load_explicit(&isolate->alarm_ns, memory_order_relaxed);
}

static void set_time(ic_isolate *isolate, int64_t deadline_ns) {
  atomic_store_explicit(&isolate->alarm_ns, deadline_ns, memory_order_relaxed);
}

static void put(ic_alarms *alarms, ic_isolate *isolate, size_t place) {
  alarms->heap[place] = isolate;
  isolate->alarm_place = place;
}

static void rise(ic_alarms *alarms, ic_isolate *isolate, size_t place) {
  while (place > 0) {
    ic_isolate *parent = alarms->heap[(place - 1) / 2];
    if (time_of(parent) <= time_of(isolate)) break;
    put(alarms, parent, place);
    place = (place - 1) / 2;
  }
  put(alarms, isolate, place);
}

static void sink(ic_alarms *alarms, ic_isolate *isolate, size_t place) {
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= alarms->count) break;
    if (child + 1 < alarms->count &&
        time_of(alarms->heap[child + 1]) < time_of(alarms->heap[child])) {
      child++;
    }
    if (time_of(isolate) <= time_of(alarms->heap[child])) break;
    put(alarms, alarms->heap[child], place);
    place = child;
  }
  put(alarms, isolate, place);
}

static bool has_alarm(const ic_isolate *isolate) {
  return time_of(isolate) != IC_NEVER;
}

static void take_locked(ic_alarms *alarms, ic_isolate *isolate) {
  size_t place = isolate->alarm_place;
  set_time(isolate, IC_NEVER);
  ic_isolate *last = alarms->heap[--alarms->count];
  if (last == isolate) return;
  sink(alarms, last, place);
  rise(alarms, last, last->alarm_place);
}

static bool grow_locked(ic_alarms *alarms) {
  if (alarms->count < alarms->capacity) return true;
  size_t capacity = alarms->capacity * 2 + 64;
  ic_isolate **heap = realloc(alarms->heap, capacity * sizeof(ic_isolate *));
  if (!heap) return false;
  alarms->heap = heap;
  alarms->capacity = capacity;
  return true;
}

bool ic_alarms_set(ic_alarms *alarms, ic_isolate *isolate,
                   int64_t deadline_ns) {
  if (time_of(isolate) <= deadline_ns) return false;
  ic_mutex_lock(&alarms->mutex);
  bool was_there = has_alarm(isolate);
  bool set = was_there || grow_locked(alarms);
  if (set) {
    set_time(isolate, deadline_ns);
    if (!was_there) ic_isolate_hold(isolate);
    rise(alarms, isolate, was_there ? isolate->alarm_place : alarms->count++);
  }
  bool is_nearest = set && isolate->alarm_place == 0;
  ic_mutex_unlock(&alarms->mutex);
  return is_nearest;
}

ic_isolate *ic_alarms_take_due(ic_alarms *alarms, int64_t now_ns,
                               int64_t *next_ns) {
  ic_isolate *due = NULL;
  *next_ns = IC_NEVER;
  ic_mutex_lock(&alarms->mutex);
  if (alarms->count > 0) {
    *next_ns = time_of(alarms->heap[0]);
    if (*next_ns <= now_ns) {
      due = alarms->heap[0];
      take_locked(alarms, due);
    }
  }
  ic_mutex_unlock(&alarms->mutex);
  return due;
}

void ic_alarms_remove(ic_alarms *alarms, ic_isolate *isolate) {
  ic_mutex_lock(&alarms->mutex);
  bool was_there = has_alarm(isolate);
  if (was_there) take_locked(alarms, isolate);
  ic_mutex_unlock(&alarms->mutex);
  if (was_there) ic_isolate_release(isolate);
}
