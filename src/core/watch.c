// watch.c - a doubly linked list, so that any watch is taken out at once.

#include "core/watch.h"

#include <stdlib.h>

ic_status ic_watch_new(ic_isolate *watched, ic_isolate *watcher,
                       uint64_t number, ic_watch **out) {
  ic_watch *watch = calloc(1, sizeof *watch);
  ic_message *event = watch ? ic_message_new_event(IC_MESSAGE_ENDED) : NULL;
  if (!event) {
    free(watch);
    return IC_MEMORY;
  }
  event->request = number;
  event->sender = ic_isolate_hold(watched);
  watch->cluster_key = watched->cluster_key;
  watch->watcher = ic_isolate_hold(watcher);
  watch->event = event;
  *out = watch;
  return IC_OK;
}

void ic_watch_free(ic_watch *watch) {
  if (!watch) return;
  ic_message_free(watch->event);
  ic_isolate_release(watch->watcher);
  free(watch);
}

void ic_watch_link_locked(ic_watch *watch, ic_isolate *watched) {
  watch->link = &watched->watches;
  watch->next = watched->watches;
  if (watch->next) watch->next->link = &watch->next;
  watched->watches = watch;
}

void ic_watch_unlink_locked(ic_watch *watch) {
  if (!watch->link) return;
  *watch->link = watch->next;
  if (watch->next) watch->next->link = watch->link;
  watch->link = NULL;
}

ic_message *ic_watch_take_locked(ic_isolate *watched, ic_isolate **watcher) {
  ic_watch *watch = watched->watches;
  if (!watch) return NULL;
  ic_watch_unlink_locked(watch);
  ic_message *event = watch->event;
  watch->event = NULL;
  *watcher = watch->watcher;
  return event;
}
