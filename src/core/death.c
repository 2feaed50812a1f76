// death.c - finds the registry that guards a watch: its cluster may be another
// than the watcher's, and may be gone.

#include "core/death.h"

#include "core/cluster.h"
#include "core/dead_letters.h"

// Locks what guards the watches of the isolates of the cluster with [key]; NULL
// where that is gone. All of its isolates have ended then, and no watch is in a
// list.
static ic_cluster *enter(uint64_t key) {
  ic_cluster *cluster = ic_cluster_find(key);
  if (cluster) ic_mutex_lock(&cluster->registry.mutex);
  return cluster;
}

static void leave(ic_cluster *cluster) {
  if (!cluster) return;
  ic_mutex_unlock(&cluster->registry.mutex);
  ic_cluster_release(cluster);
}

// Links [watch], or, where [watched] has ended, gives the event to tell. A host
// script is of no cluster, and nobody tells of its end.
static ic_message *begin_locked(const ic_cluster *cluster, ic_watch *watch,
                                ic_isolate *watched) {
  if (watched->stage != IC_STAGE_ENDED) {
    if (cluster) ic_watch_link_locked(watch, watched);
    return NULL;
  }
  ic_message *event = watch->event;
  watch->event = NULL;
  event->reason = watched->reason;
  return event;
}

ic_status ic_death_watch(ic_isolate *watched, ic_isolate *watcher,
                         uint64_t number, ic_watch **out) {
  ic_watch *watch;
  ic_status status = ic_watch_new(watched, watcher, number, &watch);
  if (status != IC_OK) return status;
  ic_cluster *cluster = enter(watch->cluster_key);
  ic_message *event = begin_locked(cluster, watch, watched);
  leave(cluster);
  if (event && ic_isolate_push(watcher, event) != IC_OK) {
    ic_message_free(event);
  }
  *out = watch;
  return IC_OK;
}

void ic_death_bury(ic_isolate *to, ic_message *message, ic_cluster *own) {
  ic_cluster *cluster = ic_cluster_find(to->cluster_key);
  ic_registry *registry = cluster ? &cluster->registry
                          : own   ? &own->registry
                                  : NULL;
  message->next = NULL;
  if (registry) {
    ic_dead_letters_add(registry, to, message, IC_LETTER_GONE);
  } else {
    ic_message_free(message);
  }
  if (cluster) ic_cluster_release(cluster);
}

void ic_death_count(const ic_isolate *to) {
  ic_cluster *cluster = enter(to->cluster_key);
  if (cluster) cluster->registry.totals.dead_letters++;
  leave(cluster);
}

void ic_death_forget(ic_watch *watch) {
  if (!watch) return;
  ic_cluster *cluster = enter(watch->cluster_key);
  ic_watch_unlink_locked(watch);
  leave(cluster);
  ic_watch_free(watch);
}
