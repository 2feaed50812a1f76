// port.c - a mailbox that a thread outside of the cluster reads.
//
// A port is an isolate without a body, for C programs: it can have a path, is
// looked up and sent to like any other, and hears when the node is down. What
// comes is taken by the program when it asks, or by a thread that calls it.
//
// The port owns the watches of those whose ends it waits for, until they are told.
// The event has its watch's place in memory for a number.

#include <stdlib.h>

#include "core/cluster.h"
#include "core/dead_letters.h"
#include "core/death.h"
#include "core/outsiders.h"

typedef struct monitored monitored;

struct monitored {
  // Guard: the port's mutex.
  ic_watch *watch;  // NULL: it is being made
  bool is_told;
  monitored *next;
  monitored **link;  // what points to it
};

struct ic_port {
  ic_isolate *isolate;
  ic_cluster *cluster;
  ic_message *held;  // taken from the mailbox, not given yet; oldest first
  bool node_is_down;
  ic_port_function receive;
  void *context;
  ic_thread thread;  // with [receive]
  ic_mutex mutex;
  monitored *monitored;  // guard: mutex
};

// --- Monitors ---------------------------------------------------------------

static void link_locked(ic_port *port, monitored *it) {
  it->link = &port->monitored;
  it->next = port->monitored;
  if (it->next) it->next->link = &it->next;
  port->monitored = it;
}

static void unlink_locked(monitored *it) {
  *it->link = it->next;
  if (it->next) it->next->link = it->link;
}

static void drop(monitored *it) {
  ic_death_forget(it->watch);
  free(it);
}

// The event may be read before its watch is known here: then who makes that drops it.
ic_status ic_port_monitor(ic_port *port, ic_ref *ref) {
  monitored *it = calloc(1, sizeof *it);
  if (!it) return IC_MEMORY;
  ic_mutex_lock(&port->mutex);
  link_locked(port, it);
  ic_mutex_unlock(&port->mutex);
  ic_watch *watch = NULL;
  ic_status status =
      ic_death_watch(ref, port->isolate, (uint64_t)(uintptr_t)it, &watch);
  ic_mutex_lock(&port->mutex);
  it->watch = watch;
  bool is_over = status != IC_OK || it->is_told;
  if (is_over) unlink_locked(it);
  ic_mutex_unlock(&port->mutex);
  if (is_over) drop(it);
  return status;
}

static void end_monitor(ic_port *port, const ic_message *event) {
  monitored *it = (monitored *)(uintptr_t)event->request;
  ic_mutex_lock(&port->mutex);
  it->is_told = true;
  bool is_made = it->watch != NULL;
  if (is_made) unlink_locked(it);
  ic_mutex_unlock(&port->mutex);
  if (is_made) drop(it);
}

static void end_all_monitors(ic_port *port) {
  while (port->monitored) {
    monitored *it = port->monitored;
    unlink_locked(it);
    drop(it);
  }
}

ic_news ic_message_news(const ic_message *message) {
  ic_news news = {.kind = message->kind == IC_MESSAGE_UP      ? IC_NEWS_UP
                          : message->kind == IC_MESSAGE_DOWN  ? IC_NEWS_DOWN
                          : message->kind == IC_MESSAGE_ENDED ? IC_NEWS_ENDED
                                                              : IC_NEWS_NONE};
  if (news.kind == IC_NEWS_NONE || news.kind == IC_NEWS_UP) return news;
  const ic_error *error = message->sender->error;
  news.reason = message->reason ? message->reason : "gone";
  if (error) {
    news.error = error->bytes;
    news.traceback = ic_error_traceback(error);
  }
  return news;
}

// --- Taking -----------------------------------------------------------------

// The next message for the program among those held, or NULL.
static ic_message *next_held(ic_port *port) {
  while (port->held) {
    ic_message *message = port->held;
    port->held = message->next;
    message->next = NULL;
    if (message->kind == IC_MESSAGE_VALUE) {
      ic_count(&port->isolate->received);
      return message;
    }
    if (message->kind == IC_MESSAGE_ENDED) end_monitor(port, message);
    if (ic_message_news(message).kind != IC_NEWS_NONE) return message;
    if (message->kind == IC_MESSAGE_NODE_DOWN) port->node_is_down = true;
    ic_message_free(message);
  }
  return NULL;
}

ic_status ic_port_take(ic_port *port, int64_t timeout_ms, ic_message **out) {
  if (port->receive) return IC_INVALID;
  int64_t deadline_ns = timeout_ms == 0 ? 0 : ic_deadline_ns(timeout_ms);
  ic_status status = IC_OK;
  ic_message *message;
  while ((message = next_held(port)) == NULL && status == IC_OK) {
    int64_t wait_ns = port->node_is_down ? 0 : deadline_ns;
    port->held = ic_isolate_take(port->isolate, wait_ns);
    if (port->held) continue;
    if (port->node_is_down) {
      status = IC_DOWN;
    } else if (deadline_ns == 0 || ic_now_ns() >= deadline_ns) {
      status = IC_TIMEOUT;
    }
  }
  ic_isolate_settle_descriptor(port->isolate, port->held != NULL);
  if (message) *out = message;
  return message ? IC_OK : status;
}

static void *call_for_each(void *argument) {
  ic_port *port = argument;
  ic_isolate *isolate = port->isolate;
  while (!atomic_load(&isolate->killed)) {
    port->held = ic_isolate_take(isolate, IC_NEVER);
    ic_message *message;
    while (!atomic_load(&isolate->killed) &&
           (message = next_held(port)) != NULL) {
      port->receive(port->context, message);
    }
  }
  return NULL;
}

// --- Opening and closing ----------------------------------------------------

// That the node goes down is never missed. Of ups and downs it hears once it is there,
// so not of its own.
static ic_status announce(ic_registry *registry, ic_isolate *isolate,
                          const ic_port_options *options) {
  unsigned watches = IC_WATCH_NODE;
  ic_status status = ic_registry_watch(registry, isolate, watches, NULL);
  if (status == IC_OK) status = ic_registry_publish(registry, isolate, NULL);
  if (options->ups) watches |= IC_WATCH_UP;
  if (options->downs) watches |= IC_WATCH_DOWN;
  if (status != IC_OK || watches == IC_WATCH_NODE) return status;
  return ic_registry_watch(registry, isolate, watches, NULL);
}

static ic_status open_port(ic_cluster *cluster, const ic_port_options *options,
                           ic_port *port) {
  ic_registry *registry = &cluster->registry;
  ic_status status =
      ic_registry_reserve(registry, options->path, true, &port->isolate);
  if (status != IC_OK) return status;
  ic_isolate_hold(port->isolate);
  status = announce(registry, port->isolate, options);
  if (status == IC_OK && options->receive) {
    status = ic_thread_start(&port->thread, IC_THREAD_STACK_BYTES,
                             call_for_each, port);
  }
  if (status == IC_OK) {
    if (!options->path) ic_outsiders_enter(port->isolate);
    return IC_OK;
  }
  ic_dead_letters_drop(registry, port->isolate,
                       ic_mailbox_close(&port->isolate->mailbox));
  ic_registry_remove(registry, port->isolate, "error", NULL);
  ic_isolate_release(port->isolate);
  return status;
}

ic_status ic_port_open(ic_cluster *cluster, const ic_port_options *options,
                       ic_port **out) {
  static const ic_port_options none = {0};
  if (!options) options = &none;
  ic_port *port = calloc(1, sizeof *port);
  if (!port) return IC_MEMORY;
  port->cluster = ic_cluster_hold(cluster);
  port->receive = options->receive;
  port->context = options->context;
  ic_mutex_init(&port->mutex);
  ic_status status = open_port(cluster, options, port);
  if (status != IC_OK) {
    ic_mutex_fini(&port->mutex);
    ic_cluster_release(cluster);
    free(port);
    return status;
  }
  *out = port;
  return IC_OK;
}

void ic_port_close(ic_port *port) {
  if (!port) return;
  ic_isolate *isolate = port->isolate;
  ic_outsiders_leave(isolate);
  ic_message *left = ic_mailbox_close(&isolate->mailbox);
  if (port->receive) {
    ic_isolate_condemn(isolate, IC_REASON_KILLED);
    ic_isolate_wake(isolate);
    ic_thread_join(port->thread);
  }
  ic_dead_letters_drop(&port->cluster->registry, isolate, port->held);
  ic_dead_letters_drop(&port->cluster->registry, isolate, left);
  ic_registry_remove(&port->cluster->registry, isolate, "done", NULL);
  end_all_monitors(port);
  ic_mutex_fini(&port->mutex);
  ic_isolate_release(isolate);
  ic_cluster_release(port->cluster);
  free(port);
}

ic_ref *ic_port_ref(ic_port *port) {
  return port->isolate;
}

int ic_port_descriptor(ic_port *port) {
  if (port->receive) return -1;
  int descriptor = ic_isolate_open_descriptor(port->isolate);
  ic_isolate_settle_descriptor(port->isolate, port->held != NULL);
  return descriptor;
}
