// registry.c - lives from their reservation to their end, a list of watchers, and the
// announcing.

#include "core/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/path.h"

void ic_registry_init(ic_registry *registry, uint64_t cluster_key) {
  *registry =
      (ic_registry){.cluster_key = cluster_key, .version = ic_mailbox_moment()};
  ic_mutex_init(&registry->mutex);
  ic_condition_init(&registry->changed);
}

void ic_registry_fini(ic_registry *registry) {
  for (size_t i = 0; i < registry->watcher_count; i++) {
    ic_isolate_release(registry->watchers[i].isolate);
  }
  free(registry->watchers);
  ic_changes_fini(&registry->changes);
  ic_paths_fini(&registry->paths);
  ic_condition_fini(&registry->changed);
  ic_mutex_fini(&registry->mutex);
}

// --- Telling; all with the mutex held ---------------------------------------

// Pushes [message] to [to]; whoever has to be woken goes into [sleepers].
static void push_locked(ic_isolate *to, ic_message *message,
                        ic_ref_list *sleepers) {
  bool wake = false;
  if (ic_isolate_put(to, message, &wake) != IC_OK) ic_message_free(message);
  if (wake && ic_ref_list_add(sleepers, to) != IC_OK) {
    ic_isolate_wake(to);  // no memory to remember it: then under the mutex
  }
}

static void forget_watcher_locked(ic_registry *registry, ic_watcher *watcher) {
  ic_isolate *isolate = watcher->isolate;
  *watcher = registry->watchers[--registry->watcher_count];
  ic_isolate_release(isolate);  // not its last user: it has not been removed
}

// Who is condemned runs no code any more, and watches nothing: where very many are
// ended by force, to tell each of all the others would take the square of that.
static void forget_condemned_locked(ic_registry *registry) {
  for (size_t i = registry->watcher_count; i > 0; i--) {
    ic_watcher *watcher = &registry->watchers[i - 1];
    if (atomic_load_explicit(&watcher->isolate->killed, memory_order_relaxed)) {
      forget_watcher_locked(registry, watcher);
    }
  }
}

static void tell_watchers_locked(ic_registry *registry, unsigned watch,
                                 ic_message_kind kind, ic_isolate *subject,
                                 ic_ref_list *sleepers) {
  forget_condemned_locked(registry);
  for (size_t i = 0; i < registry->watcher_count; i++) {
    if (!(registry->watchers[i].watches & watch)) continue;
    ic_message *event = ic_message_new_event(kind);
    if (!event) continue;
    event->cluster_key = registry->cluster_key;
    event->request = registry->version;
    if (subject) {
      event->sender = ic_isolate_hold(subject);
      event->reason = subject->reason;
    }
    push_locked(registry->watchers[i].isolate, event, sleepers);
  }
}

// Those who wait for the end of this one isolate.
static void tell_waiting_locked(ic_isolate *ended, ic_ref_list *sleepers) {
  ic_isolate *watcher;
  ic_message *event;
  while ((event = ic_watch_take_locked(ended, &watcher)) != NULL) {
    event->reason = ended->reason;
    push_locked(watcher, event, sleepers);
  }
}

static void wake_all(ic_ref_list *sleepers) {
  for (size_t i = 0; i < sleepers->count; i++) {
    ic_isolate_wake(sleepers->items[i]);
  }
  ic_ref_list_fini(sleepers);
}

// Makes room for one more watcher.
static ic_status reserve_watcher_locked(ic_registry *registry) {
  if (registry->watcher_count < registry->watcher_capacity) return IC_OK;
  size_t capacity = registry->watcher_capacity * 2 + 8;
  ic_watcher *watchers =
      realloc(registry->watchers, capacity * sizeof *watchers);
  if (!watchers) return IC_MEMORY;
  registry->watchers = watchers;
  registry->watcher_capacity = capacity;
  return IC_OK;
}

static void add_watcher_locked(ic_registry *registry, ic_isolate *isolate,
                               unsigned watches) {
  registry->watchers[registry->watcher_count++] =
      (ic_watcher){ic_isolate_hold(isolate), watches};
}

static ic_status watch_locked(ic_registry *registry, ic_isolate *isolate,
                              unsigned watches) {
  size_t i = registry->watcher_count;
  while (i > 0 && registry->watchers[i - 1].isolate != isolate)
    i--;
  if (i == 0) {
    if (watches == 0) return IC_OK;
    ic_status status = reserve_watcher_locked(registry);
    if (status == IC_OK) add_watcher_locked(registry, isolate, watches);
    return status;
  }
  ic_watcher *watcher = &registry->watchers[i - 1];
  watcher->watches = watches;
  if (watches == 0) forget_watcher_locked(registry, watcher);
  return IC_OK;
}

// --- The life of an entry ---------------------------------------------------

static ic_status reserve_locked(ic_registry *registry, const char *path,
                                bool is_port, ic_isolate **out) {
  if (registry->node != IC_NODE_UP) return IC_DOWN;
  bool is_full = registry->most > 0 && registry->isolates >= registry->most;
  if (is_full && !is_port) return IC_FULL;
  char generated[IC_PATH_MAX_BYTES + 1];
  ic_status status = ic_paths_reserve(&registry->paths);
  if (status != IC_OK) return status;
  if (path && ic_path_is_prefix(path)) {
    status = ic_paths_generate(&registry->paths, path, generated);
    if (status != IC_OK) return status;
    path = generated;
  } else if (path && ic_paths_find(&registry->paths, path)) {
    return IC_IN_USE;
  }
  ic_isolate *isolate;
  status = ic_isolate_new(path ? path : "(port)", &isolate);
  if (status != IC_OK) return status;
  isolate->cluster_key = registry->cluster_key;
  isolate->stage = IC_STAGE_RESERVED;
  isolate->is_port = is_port;
  if (path) ic_paths_put(&registry->paths, isolate);
  if (!is_port) registry->isolates++;
  *out = isolate;
  return IC_OK;
}

ic_status ic_registry_reserve(ic_registry *registry, const char *path,
                              bool is_port, ic_isolate **out) {
  if (!path && !is_port) path = "/";
  if (path && ic_path_complaint(path, ic_path_is_prefix(path))) {
    return IC_INVALID;
  }
  ic_mutex_lock(&registry->mutex);
  ic_status status = reserve_locked(registry, path, is_port, out);
  ic_mutex_unlock(&registry->mutex);
  return status;
}

static bool has_live_supervisor(const ic_isolate *isolate) {
  return isolate->supervisor && isolate->supervisor->stage == IC_STAGE_LIVE;
}

// For those that start.
static void note_change_locked(ic_registry *registry, ic_message_kind kind,
                               ic_isolate *isolate, ic_ref_list *waste) {
  registry->version = ic_mailbox_next_moment();
  ic_changes_add_locked(&registry->changes, isolate, kind, registry->version,
                        waste);
}

// Others hear of it, those that start later; it hears of what comes from now on.
static void announce_locked(ic_registry *registry, ic_isolate *isolate,
                            ic_ref_list *sleepers, ic_ref_list *waste) {
  if (isolate->in_map) {
    note_change_locked(registry, IC_MESSAGE_UP, isolate, waste);
    tell_watchers_locked(registry, IC_WATCH_UP, IC_MESSAGE_UP, isolate,
                         sleepers);
  }
  if (isolate->is_port) return;
  registry->totals.spawned++;
  atomic_store(&isolate->mailbox.is_dated, true);
  ic_changes_begin_locked(&registry->changes, isolate);
}

static ic_status publish_locked(ic_registry *registry, ic_isolate *isolate,
                                ic_message *start, ic_ref_list *sleepers,
                                ic_ref_list *waste) {
  if (registry->node != IC_NODE_UP) return IC_DOWN;
  if (isolate->supervisor && !has_live_supervisor(isolate)) return IC_DOWN;
  announce_locked(registry, isolate, sleepers, waste);
  // Nobody can find the isolate before the unlock, so this is its first.
  if (start) push_locked(isolate, start, sleepers);
  isolate->stage = IC_STAGE_LIVE;
  return IC_OK;
}

ic_status ic_registry_publish(ic_registry *registry, ic_isolate *isolate,
                              ic_message *start) {
  ic_ref_list sleepers = {0};
  ic_ref_list waste = {0};
  ic_mutex_lock(&registry->mutex);
  ic_status status =
      publish_locked(registry, isolate, start, &sleepers, &waste);
  ic_mutex_unlock(&registry->mutex);
  wake_all(&sleepers);
  ic_ref_list_fini(&waste);
  return status;
}

static void count_ended_locked(ic_registry *registry, ic_isolate *isolate) {
  ic_totals *totals = &registry->totals;
  bool lived = isolate->stage != IC_STAGE_RESERVED;
  if (lived && !isolate->is_port) totals->ended++;
  totals->sent += ic_counted(&isolate->sent);
  totals->received += ic_counted(&isolate->received);
  totals->late_replies += ic_counted(&isolate->late_replies);
  totals->dropped += ic_isolate_dropped(isolate);
}

static void remove_locked(ic_registry *registry, ic_isolate *isolate,
                          ic_ref_list *sleepers, ic_ref_list *waste) {
  count_ended_locked(registry, isolate);
  bool was_found = isolate->stage != IC_STAGE_RESERVED && isolate->in_map;
  isolate->stage = IC_STAGE_ENDED;
  if (isolate->is_member) ic_family_leave(isolate->family);
  isolate->is_member = false;
  if (!isolate->is_starting) watch_locked(registry, isolate, 0);
  ic_changes_end_locked(&registry->changes, isolate, 0, waste);
  if (isolate->in_map) ic_paths_drop(&registry->paths, isolate);
  if (was_found) {
    note_change_locked(registry, IC_MESSAGE_DOWN, isolate, waste);
    tell_watchers_locked(registry, IC_WATCH_DOWN, IC_MESSAGE_DOWN, isolate,
                         sleepers);
  }
  tell_waiting_locked(isolate, sleepers);
  if (!isolate->is_port && --registry->isolates == 0) {
    tell_watchers_locked(registry, IC_WATCH_NODE, IC_MESSAGE_NODE_EMPTY, NULL,
                         sleepers);
    ic_condition_broadcast(&registry->changed);
  }
}

// The supervisor of one that has ended, if it waits only for that; or NULL.
static ic_isolate *last_waited_for_locked(const ic_isolate *ended) {
  ic_isolate *supervisor = ended->supervisor;
  if (!supervisor || --supervisor->supervised > 0) return NULL;
  return supervisor->stage == IC_STAGE_LEAVING ? supervisor : NULL;
}

void ic_registry_remove(ic_registry *registry, ic_isolate *isolate,
                        const char *reason, ic_error *error) {
  ic_ref_list sleepers = {0};
  ic_ref_list waste = {0};
  ic_isolate *removed = NULL;  // linked by next_in_bucket, which is free now
  ic_mutex_lock(&registry->mutex);
  if (isolate->stage >= IC_STAGE_LEAVING) {
    ic_mutex_unlock(&registry->mutex);
    free(error);
    return;
  }
  isolate->reason = reason;
  isolate->error = error;
  if (isolate->supervised > 0) {
    isolate->stage = IC_STAGE_LEAVING;
    isolate = NULL;
  }
  while (isolate) {
    remove_locked(registry, isolate, &sleepers, &waste);
    isolate->next_in_bucket = removed;
    removed = isolate;
    isolate = last_waited_for_locked(isolate);
  }
  ic_mutex_unlock(&registry->mutex);
  wake_all(&sleepers);
  ic_ref_list_fini(&waste);
  while (removed) {
    ic_isolate *next = removed->next_in_bucket;
    ic_isolate_release(removed);
    removed = next;
  }
}

bool ic_registry_has(ic_registry *registry, const ic_isolate *isolate) {
  ic_mutex_lock(&registry->mutex);
  bool is_live = isolate->stage == IC_STAGE_LIVE;
  ic_mutex_unlock(&registry->mutex);
  return is_live;
}

ic_status ic_registry_watch(ic_registry *registry, ic_isolate *isolate,
                            unsigned watches, ic_message **missed) {
  ic_status status = IC_OK;
  ic_ref_list waste = {0};
  if (missed) *missed = NULL;
  ic_mutex_lock(&registry->mutex);
  bool is_new = isolate->is_starting;  // so it is no watcher yet
  if (watches == 0 ? !is_new : isolate->stage != IC_STAGE_ENDED) {
    status = watch_locked(registry, isolate, watches);
  }
  if (status == IC_OK && is_new) {
    ic_message *events = ic_changes_end_locked(&registry->changes, isolate,
                                               missed ? watches : 0, &waste);
    if (missed) *missed = events;
    atomic_store(&isolate->mailbox.is_dated, false);
  }
  ic_mutex_unlock(&registry->mutex);
  ic_ref_list_fini(&waste);
  return status;
}

// --- Looking up -------------------------------------------------------------

ic_status ic_registry_find(ic_registry *registry, const char *path,
                           ic_isolate **out) {
  if (ic_path_complaint(path, false)) return IC_INVALID;
  ic_status status = IC_NOT_FOUND;
  ic_mutex_lock(&registry->mutex);
  if (registry->node == IC_NODE_DOWN) {
    status = IC_DOWN;
  } else {
    ic_isolate *isolate = ic_paths_find(&registry->paths, path);
    if (isolate && isolate->stage == IC_STAGE_LIVE) {
      *out = ic_isolate_hold(isolate);
      status = IC_OK;
    }
  }
  ic_mutex_unlock(&registry->mutex);
  return status;
}

static int by_path(const void *a, const void *b) {
  ic_isolate *const *first = a;
  ic_isolate *const *second = b;
  return strcmp((*first)->path, (*second)->path);
}

static ic_status list_locked(ic_registry *registry, const char *prefix,
                             ic_ref_list *out) {
  if (registry->node == IC_NODE_DOWN) return IC_DOWN;
  size_t size = strlen(prefix);
  for (size_t i = 0; i < registry->paths.bucket_count; i++) {
    for (ic_isolate *isolate = registry->paths.buckets[i]; isolate;
         isolate = isolate->next_in_bucket) {
      if (isolate->stage != IC_STAGE_LIVE) continue;
      if (strncmp(isolate->path, prefix, size) != 0) continue;
      ic_status status = ic_ref_list_add(out, isolate);
      if (status != IC_OK) return status;
    }
  }
  return IC_OK;
}

ic_status ic_registry_list(ic_registry *registry, const char *prefix,
                           ic_ref_list *out) {
  if (!ic_path_is_prefix(prefix) || ic_path_complaint(prefix, true)) {
    return IC_INVALID;
  }
  ic_ref_list list = {0};
  ic_mutex_lock(&registry->mutex);
  ic_status status = list_locked(registry, prefix, &list);
  ic_mutex_unlock(&registry->mutex);
  if (status != IC_OK) {
    ic_ref_list_fini(&list);
    return status;
  }
  if (list.count > 0) {
    qsort(list.items, list.count, sizeof *list.items, by_path);
  }
  *out = list;
  return IC_OK;
}

static void add_living_locked(const ic_isolate *isolate, ic_stats *out) {
  out->sent += ic_counted(&isolate->sent);
  out->received += ic_counted(&isolate->received);
  out->late_replies += ic_counted(&isolate->late_replies);
  out->dropped += ic_isolate_dropped(isolate);
}

void ic_registry_stats(ic_registry *registry, ic_stats *out) {
  ic_mutex_lock(&registry->mutex);
  const ic_totals *totals = &registry->totals;
  *out = (ic_stats){.live = registry->isolates,
                    .spawned = totals->spawned,
                    .ended = totals->ended,
                    .sent = totals->sent,
                    .received = totals->received,
                    .late_replies = totals->late_replies,
                    .dropped = totals->dropped,
                    .dead_letters = totals->dead_letters};
  for (size_t i = 0; i < registry->paths.bucket_count; i++) {
    for (const ic_isolate *isolate = registry->paths.buckets[i]; isolate;
         isolate = isolate->next_in_bucket) {
      if (!isolate->is_port) add_living_locked(isolate, out);
    }
  }
  ic_mutex_unlock(&registry->mutex);
}

uint64_t ic_registry_version(ic_registry *registry) {
  ic_mutex_lock(&registry->mutex);
  uint64_t version = registry->version;
  ic_mutex_unlock(&registry->mutex);
  return version;
}

// --- The node ---------------------------------------------------------------

void ic_registry_tell(ic_registry *registry, unsigned watch,
                      ic_message *event) {
  ic_isolate *to = NULL;
  ic_mutex_lock(&registry->mutex);
  event->cluster_key = registry->cluster_key;
  for (size_t i = 0; i < registry->watcher_count && !to; i++) {
    if (!(registry->watchers[i].watches & watch)) continue;
    to = ic_isolate_hold(registry->watchers[i].isolate);
  }
  ic_mutex_unlock(&registry->mutex);
  if (!to || ic_isolate_push(to, event) != IC_OK) ic_message_free(event);
  ic_isolate_release(to);
}

void ic_registry_tell_all(ic_registry *registry, ic_message_kind kind) {
  ic_ref_list sleepers = {0};
  ic_mutex_lock(&registry->mutex);
  for (size_t i = 0; i < registry->paths.bucket_count; i++) {
    for (ic_isolate *isolate = registry->paths.buckets[i]; isolate;
         isolate = isolate->next_in_bucket) {
      if (isolate->stage != IC_STAGE_LIVE || isolate->is_port) continue;
      if (has_live_supervisor(isolate)) continue;
      ic_message *event = ic_message_new_event(kind);
      if (event) push_locked(isolate, event, &sleepers);
    }
  }
  ic_mutex_unlock(&registry->mutex);
  wake_all(&sleepers);
}

ic_status ic_registry_wait_empty(ic_registry *registry,
                                 const int64_t *deadline_ns) {
  ic_mutex_lock(&registry->mutex);
  bool in_time = true;
  while (registry->isolates > 0 && in_time) {
    in_time =
        ic_condition_wait(&registry->changed, &registry->mutex, *deadline_ns);
  }
  ic_status status = registry->isolates == 0 ? IC_OK : IC_TIMEOUT;
  ic_mutex_unlock(&registry->mutex);
  return status;
}

void ic_registry_set_node(ic_registry *registry, ic_node_state node) {
  ic_ref_list sleepers = {0};
  ic_mutex_lock(&registry->mutex);
  assert(node > registry->node);
  registry->node = node;
  if (node == IC_NODE_DOWN) {
    tell_watchers_locked(registry, IC_WATCH_NODE, IC_MESSAGE_NODE_DOWN, NULL,
                         &sleepers);
  }
  ic_condition_broadcast(&registry->changed);
  ic_mutex_unlock(&registry->mutex);
  wake_all(&sleepers);
}
