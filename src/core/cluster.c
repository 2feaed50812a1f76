// cluster.c - a cluster is used by whoever started it and by every isolate whose
// thread runs; the last of them frees it.

#include "core/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/dead_letters.h"
#include "core/supervision.h"

enum { STUCK_AFTER_MS = 5000 };  // where the options don't say

// Between two looks at whether a cluster has settled.
enum { SHORTEST_LOOK_NS = 20000, LONGEST_LOOK_NS = 1000000 };

bool ic_bytes_copy(const char *data, size_t size, ic_bytes *out) {
  *out = (ic_bytes){0};
  if (!data) return true;
  char *copy = malloc(size + 1);
  if (!copy) return false;
  memcpy(copy, data, size);
  *out = (ic_bytes){copy, size};
  return true;
}

// All clusters of the process, to find one by the key in a ref's bytes.
static ic_mutex process_mutex = {PTHREAD_MUTEX_INITIALIZER};
static ic_cluster *process_clusters;  // guard: process_mutex

static void enter_process(ic_cluster *cluster) {
  ic_mutex_lock(&process_mutex);
  cluster->next_in_process = process_clusters;
  process_clusters = cluster;
  ic_mutex_unlock(&process_mutex);
}

static void leave_process_locked(ic_cluster *cluster) {
  ic_cluster **link = &process_clusters;
  while (*link != cluster)
    link = &(*link)->next_in_process;
  *link = cluster->next_in_process;
}

ic_cluster *ic_cluster_find(uint64_t key) {
  ic_mutex_lock(&process_mutex);
  ic_cluster *cluster = process_clusters;
  while (cluster && cluster->key != key)
    cluster = cluster->next_in_process;
  if (cluster) ic_cluster_hold(cluster);
  ic_mutex_unlock(&process_mutex);
  return cluster;
}

void ic_cluster_visit_all(void (*visit)(ic_cluster *cluster, void *context),
                          void *context) {
  ic_mutex_lock(&process_mutex);
  for (ic_cluster *cluster = process_clusters; cluster;
       cluster = cluster->next_in_process) {
    visit(cluster, context);
  }
  ic_mutex_unlock(&process_mutex);
}

static uint64_t random_key(void) {
  uint64_t key = 0;
  if (getrandom(&key, sizeof key, 0) != sizeof key) {
    key = (uint64_t)ic_now_ns();
  }
  return (key >> 1) | 1;
}

// How many isolates the pool runs at once: as many as there are cores.
static size_t threads_of(const ic_cluster_options *options) {
  if (options && options->pool_threads > 0) return options->pool_threads;
  return ic_thread_cores();
}

// Says [text] about [isolate] to people, by [complain] where nobody was named to
// hear of it.
static void tell_people(ic_cluster *cluster, ic_isolate *isolate,
                        const char *text,
                        void (*complain)(ic_isolate *isolate,
                                         const char *text)) {
  if (ic_cluster_report(cluster, isolate->path, text)) return;
  if (complain) complain(isolate, text);
}

// Says what is stuck to people, and to those who watch for it.
static void tell_stuck(void *context, const ic_stuck *stuck) {
  ic_cluster *cluster = context;
  ic_isolate *isolate = stuck->isolate;
  tell_people(cluster, isolate, stuck->text, isolate->post.complain);
  ic_message *event = ic_message_new_event(IC_MESSAGE_STUCK);
  if (!event) return;
  event->sender = ic_isolate_hold(isolate);
  event->reason = stuck->kind;
  event->request = (uint64_t)(stuck->seconds * 1e9);
  event->text = strdup(stuck->text);
  ic_registry_tell(&cluster->registry, IC_WATCH_STUCK, event);
}

static int64_t stuck_after(const ic_cluster_options *options) {
  int64_t after_ms = options ? options->stuck_after_ms : 0;
  if (after_ms == 0) after_ms = STUCK_AFTER_MS;
  return after_ms < 0 ? 0 : after_ms * IC_NS_PER_MS;
}

ic_status ic_cluster_new(const ic_cluster_options *options, ic_cluster **out) {
  ic_cluster *cluster = calloc(1, sizeof *cluster);
  if (!cluster) return IC_MEMORY;
  atomic_init(&cluster->users, 1);
  cluster->key = random_key();
  if (options) {
    cluster->shared = options->shared;
    cluster->limits = options->limits;
    cluster->report = options->report;
    cluster->report_context = options->report_context;
  }
  ic_registry_init(&cluster->registry, cluster->key);
  if (options) cluster->registry.most = options->isolates;
  ic_scheduler_init(&cluster->scheduler, threads_of(options));
  ic_watchdog_init(&cluster->watchdog, &cluster->scheduler);
  ic_sentry_init(&cluster->sentry, &cluster->scheduler, stuck_after(options),
                 tell_stuck, cluster);
  enter_process(cluster);
  *out = cluster;
  return IC_OK;
}

ic_cluster *ic_cluster_hold(ic_cluster *cluster) {
  atomic_fetch_add_explicit(&cluster->users, 1, memory_order_relaxed);
  return cluster;
}

static void free_modules(ic_module *module) {
  while (module) {
    ic_module *next = module->next;
    free(module);
    module = next;
  }
}

// The count falls to 0 only under the process's mutex, so that ic_cluster_find
// never revives a cluster.
void ic_cluster_release(ic_cluster *cluster) {
  ic_mutex_lock(&process_mutex);
  bool last =
      atomic_fetch_sub_explicit(&cluster->users, 1, memory_order_acq_rel) == 1;
  if (last) leave_process_locked(cluster);
  ic_mutex_unlock(&process_mutex);
  if (!last) return;
  if (cluster->shutdown_thread_known) {
    if (ic_thread_is_self(cluster->shutdown_thread)) {
      ic_thread_detach_self();
    } else {
      ic_thread_join(cluster->shutdown_thread);
    }
  }
  ic_watchdog_stop(&cluster->watchdog);
  ic_sentry_stop(&cluster->sentry);
  ic_scheduler_fini(&cluster->scheduler);
  ic_watchdog_fini(&cluster->watchdog);
  ic_sentry_fini(&cluster->sentry);
  ic_capture_free(cluster->capture);
  ic_registry_fini(&cluster->registry);
  free_modules(cluster->modules);
  free(cluster->sandbox.data);
  free(cluster);
}

ic_status ic_cluster_register_module(ic_cluster *cluster, const char *name,
                                     ic_open_function open) {
  size_t size = strlen(name) + 1;
  ic_module *module = malloc(sizeof *module + size);
  if (!module) return IC_MEMORY;
  memcpy(module->name, name, size);
  module->open = open;
  ic_mutex_lock(&cluster->registry.mutex);
  module->next = cluster->modules;
  cluster->modules = module;
  ic_mutex_unlock(&cluster->registry.mutex);
  return IC_OK;
}

// --- An isolate's life ------------------------------------------------------

// Tells the spawner how its spawn went: the request becomes the answer, so no
// lack of memory keeps it from coming. Takes [request] and [text].
static void tell_spawner(ic_message *request, ic_isolate *isolate,
                         ic_status status, char *text) {
  ic_isolate *spawner = request->reply_to;
  request->reply_to = NULL;
  request->kind = IC_MESSAGE_SPAWNED;
  request->status = status;
  request->text = text;
  if (status == IC_OK) request->sender = ic_isolate_hold(isolate);
  if (ic_isolate_push(spawner, request) != IC_OK) ic_message_free(request);
  ic_isolate_release(spawner);
}

static ic_status load_and_publish(ic_isolate *isolate, char **text) {
  ic_message *start = ic_message_new_event(IC_MESSAGE_START);
  if (!start) return IC_MEMORY;
  ic_status status = isolate->body->class->load(isolate->body, text);
  const char *killed = atomic_load(&isolate->killed);
  if (status != IC_OK && killed && strcmp(killed, IC_REASON_KILLED) == 0) {
    free(*text);  // tells of the killing only
    *text = NULL;
    status = IC_DOWN;
  } else if (status == IC_OK) {
    status = ic_registry_publish(&isolate->cluster->registry, isolate, start);
  }
  if (status != IC_OK) ic_message_free(start);
  return status;
}

static void end_code(ic_isolate *isolate) {
  ic_body *body = isolate->body;
  if (body->class->close) body->class->close(body);
}

// On the isolate's thread: what ic_cluster_start left to do.
static bool life_load(ic_isolate *isolate, ic_message *request) {
  if (request->kind == IC_MESSAGE_CANCEL) {
    ic_message_free(request);
    return false;
  }
  char *text = NULL;
  ic_status status = load_and_publish(isolate, &text);
  if (status != IC_OK) {
    // While it can still be ended, as finalizers may run for ever.
    end_code(isolate);
    // The path is free again before the spawner hears of it.
    ic_registry_remove(&isolate->cluster->registry, isolate, NULL, NULL);
  }
  tell_spawner(request, isolate, status, text);
  return status == IC_OK;
}

// An end by a limit is told to people, whoever else hears of it, as no code of the
// isolate can tell of it. Not so if it never was there: then who spawns it is told.
static void tell_limit(ic_isolate *isolate) {
  enum { TEXT_BYTES = 4096 };
  const ic_body *body = isolate->body;
  const char *killed = atomic_load(&isolate->killed);
  if (!killed || body->reason != killed) return;
  if (strcmp(killed, IC_REASON_KILLED) == 0) return;
  if (!ic_registry_has(&isolate->cluster->registry, isolate)) return;
  char text[TEXT_BYTES];
  const ic_error *error = body->error;
  snprintf(text, sizeof text, "%s ended (%s)%s%s", isolate->path, killed,
           error ? ": " : "", error ? error->bytes : "");
  tell_people(isolate->cluster, isolate, text, body->class->complain);
}

// Whom it still supervises ends now, and only then is its own end told.
static void end_supervised(const ic_isolate *supervisor) {
  ic_cluster *cluster = supervisor->cluster;
  ic_isolate *child;
  while ((child = ic_supervision_next(&cluster->registry, supervisor)) !=
         NULL) {
    ic_isolate_condemn(child, IC_REASON_KILLED);
    ic_cluster_kill(cluster, child, IC_REASON_KILLED);
    ic_isolate_release(child);
  }
}

// The mailbox is closed first, so that nothing is sent to what is being freed;
// the down is told last, when nothing of the isolate is left.
static void life_end(ic_isolate *isolate) {
  ic_dead_letters_drop(&isolate->cluster->registry, isolate,
                       ic_isolate_close(isolate));
  end_code(isolate);
  tell_limit(isolate);
  // What follows frees what an interrupt would use.
  if (ic_turn_current() == isolate) ic_turn_enter(NULL);
  const char *reason = isolate->body->reason;
  ic_error *error = isolate->body->error;
  isolate->body->error = NULL;
  isolate->body->class->free(isolate->body);
  ic_watchdog_isolate_ends(&isolate->cluster->watchdog, isolate);
  atomic_store(&isolate->is_over, true);
  ic_registry_remove(&isolate->cluster->registry, isolate, reason, error);
  end_supervised(isolate);
}

static void life_tell_sentry(ic_isolate *isolate) {
  ic_sentry_tell_turn(&isolate->cluster->sentry, isolate);
}

// Its own count of the cluster may be gone by now.
static void life_outgrow(ic_isolate *isolate) {
  ic_cluster *cluster = ic_cluster_find(isolate->cluster_key);
  if (!cluster) return;
  ic_cluster_kill(cluster, isolate, IC_REASON_MEMORY);
  ic_cluster_release(cluster);
}

static const ic_life life = {life_load, life_end, ic_cluster_release,
                             life_tell_sentry, life_outgrow};

// Pushes the first message, which the thread of [isolate] waits for. Only a
// shutdown that had no more time can have closed the mailbox. Takes [first].
static ic_status push_first(ic_isolate *isolate, ic_message *first) {
  if (ic_isolate_push(isolate, first) == IC_OK) return IC_OK;
  ic_message_free(first);
  return IC_DOWN;
}

// The thread of [isolate] runs and waits for [first], which publishing may
// refuse. The registry's user of the isolate goes with a failure.
static ic_status begin(ic_cluster *cluster, ic_isolate *isolate,
                       const ic_start *start, ic_message *first) {
  if (start->load_later) {
    first->kind = IC_MESSAGE_LOAD;
    first->request = start->request;
    first->reply_to = ic_isolate_hold(start->spawner);
    return push_first(isolate, first);
  }
  ic_registry *registry = &cluster->registry;
  ic_status status = ic_registry_publish(registry, isolate, first);
  if (status == IC_OK) return IC_OK;
  ic_registry_remove(registry, isolate, NULL, NULL);
  first->kind = IC_MESSAGE_CANCEL;
  push_first(isolate, first);
  return status;
}

// Says why there is no place for one more, where [text] is not NULL.
static ic_status refuse_full(const char *why, char **text) {
  if (text) *text = strdup(why);
  return IC_FULL;
}

// The spawner's thread is the one that runs this, so its family is begun once.
static ic_status join_family(ic_isolate *isolate, const ic_start *start,
                             char **text) {
  if (start->family_most == 0) return IC_OK;
  ic_isolate *spawner = start->spawner;
  if (!spawner->family) spawner->family = ic_family_new(start->family_most);
  if (!spawner->family) return IC_MEMORY;
  if (!ic_family_enter(spawner->family)) {
    return refuse_full("as many isolates live as the sandbox may have spawned",
                       text);
  }
  isolate->family = ic_family_hold(spawner->family);
  isolate->is_member = true;
  return IC_OK;
}

// Loads the body and starts the thread. On an error nothing is left but the
// isolate's entry in the registry.
static ic_status set_up(ic_cluster *cluster, ic_isolate *isolate,
                        ic_start *start, char **text) {
  isolate->cluster = cluster;
  ic_status status = join_family(isolate, start, text);
  if (status != IC_OK) return status;
  if (start->supervised) {
    ic_supervision_begin(&cluster->registry, isolate, start->spawner);
  }
  isolate->life = &life;
  isolate->limits = start->limits;
  const ic_limits *limits = &start->limits;
  ic_weight_init(&isolate->weight, ic_limits_hard_bytes(limits));
  if (limits->mailbox_messages > 0 || limits->mailbox_bytes > 0) {
    isolate->bound = ic_bound_new(limits, &isolate->weight);
    if (!isolate->bound) return IC_MEMORY;
  }
  isolate->properties = start->properties;
  isolate->body = start->body;
  start->body->isolate = isolate;
  if (start->limits.cpu_ns > 0 || start->limits.cpu_total_ns > 0) {
    status = ic_watchdog_start(&cluster->watchdog);
    if (status != IC_OK) return status;
  }
  if (!start->load_later) status = start->body->class->load(start->body, text);
  if (status != IC_OK) return status;
  ic_sentry_add(&cluster->sentry, isolate);
  ic_cluster_hold(cluster);
  ic_isolate_hold(isolate);
  status = ic_scheduler_start(&cluster->scheduler, isolate, start->shared);
  if (status == IC_OK) return IC_OK;
  ic_isolate_release(isolate);
  ic_cluster_release(cluster);
  return status;
}

ic_status ic_cluster_start(ic_cluster *cluster, ic_start *start,
                           ic_isolate **out, char **text) {
  ic_message *first = ic_message_new_event(IC_MESSAGE_START);
  ic_isolate *isolate = NULL;
  ic_status status = IC_MEMORY;
  if (first) {
    status =
        ic_registry_reserve(&cluster->registry, start->path, false, &isolate);
  }
  if (status != IC_OK) {
    if (status == IC_FULL) {
      refuse_full("as many isolates live as the cluster may have", text);
    }
    start->body->class->free(start->body);
    if (start->properties) ic_message_free(start->properties);
    if (first) ic_message_free(first);
    return status;
  }
  ic_isolate_hold(isolate);  // for [out]
  status = set_up(cluster, isolate, start, text);
  if (status == IC_OK) {
    status = begin(cluster, isolate, start, first);
  } else {
    ic_message_free(first);
    ic_dead_letters_drop(&cluster->registry, isolate,
                         ic_isolate_close(isolate));
    start->body->class->free(start->body);
    ic_registry_remove(&cluster->registry, isolate, NULL, NULL);
  }
  if (status == IC_OK) {
    *out = isolate;
  } else {
    ic_isolate_release(isolate);
  }
  return status;
}

// --- Looking up and waiting -------------------------------------------------

ic_status ic_cluster_lookup(ic_cluster *cluster, const char *path,
                            ic_ref **out) {
  return ic_registry_find(&cluster->registry, path, out);
}

ic_status ic_cluster_lookup_all(ic_cluster *cluster, const char *prefix,
                                ic_ref ***out, size_t *count) {
  ic_ref_list list = {0};
  ic_status status = ic_registry_list(&cluster->registry, prefix, &list);
  if (status != IC_OK) return status;
  *out = list.items;
  *count = list.count;
  return IC_OK;
}

ic_status ic_cluster_wait(ic_cluster *cluster, int64_t timeout_ms) {
  int64_t deadline_ns = ic_deadline_ns(timeout_ms);
  return ic_registry_wait_empty(&cluster->registry, &deadline_ns);
}

// Looks again and again, with pauses that grow: what it waits for is silence, and
// nobody has to pay for telling of that.
ic_status ic_cluster_settle(ic_cluster *cluster, int64_t timeout_ms) {
  int64_t deadline_ns = ic_deadline_ns(timeout_ms);
  int64_t pause_ns = SHORTEST_LOOK_NS;
  ic_parker pause;
  ic_parker_init(&pause);
  while (!ic_scheduler_is_settled(&cluster->scheduler)) {
    int64_t now_ns = ic_now_ns();
    if (now_ns >= deadline_ns) return IC_TIMEOUT;
    ic_parker_park(&pause, now_ns + pause_ns);
    if (pause_ns < LONGEST_LOOK_NS) pause_ns *= 2;
  }
  return IC_OK;
}

bool ic_cluster_is_up(ic_cluster *cluster) {
  ic_mutex_lock(&cluster->registry.mutex);
  bool up = cluster->registry.node != IC_NODE_DOWN;
  ic_mutex_unlock(&cluster->registry.mutex);
  return up;
}

void ic_cluster_totals(ic_cluster *cluster, ic_totals *out, size_t *live) {
  ic_mutex_lock(&cluster->registry.mutex);
  *out = cluster->registry.totals;
  *live = cluster->registry.isolates;
  ic_mutex_unlock(&cluster->registry.mutex);
}

void ic_cluster_stats(ic_cluster *cluster, ic_stats *out) {
  ic_registry_stats(&cluster->registry, out);
}

bool ic_cluster_report(ic_cluster *cluster, const char *path,
                       const char *text) {
  if (cluster->capture) {
    ic_capture_add(cluster->capture, IC_CAPTURED_REPORT, path, text,
                   strlen(text));
    return true;
  }
  if (!cluster->report) return false;
  cluster->report(cluster->report_context, path, text);
  return true;
}

// --- Killing one --------------------------------------------------------------

ic_status ic_cluster_kill(ic_cluster *cluster, ic_isolate *isolate,
                          const char *reason) {
  return ic_watchdog_kill(&cluster->watchdog, isolate, reason);
}

ic_status ic_ref_kill(ic_ref *ref) {
  if (ref->is_port) return IC_INVALID;
  if (!ic_ref_is_alive(ref)) return IC_GONE;
  ic_cluster *cluster = ic_cluster_find(ref->cluster_key);
  if (!cluster) return IC_GONE;
  ic_status status = ic_cluster_kill(cluster, ref, IC_REASON_KILLED);
  ic_cluster_release(cluster);
  return status == IC_DOWN ? IC_GONE : status;
}
