// shutdown.c - on a thread of its own, or the driver's of a simulated cluster.

#include "core/shutdown.h"

#include "core/dead_letters.h"

// After its timeout a shutdown gives killed isolates so long to notice, and
// signals them again in between, as a signal can come where it has no effect. Where
// there are so many that it takes them longer, they have it as long as one after the
// other ends. Threads whose isolate has ended have nothing left to run but our code.
enum {
  KILL_GRACE_MS = 500,
  KILL_EVERY_MS = 10,
  KILL_MOST_MS = 30000,
  LEAVE_MS = 30000,
  FREE_TIMEOUT_MS = 5000
};

static size_t count_live(ic_cluster *cluster) {
  ic_totals totals;
  size_t live;
  ic_cluster_totals(cluster, &totals, &live);
  return live;
}

// Signals all that are left, and leaves them at least as much time as that took; how
// many are left then.
static size_t kill_once(ic_cluster *cluster) {
  int64_t begin_ns = ic_now_ns();
  ic_scheduler_kill_all(&cluster->scheduler);
  int64_t now_ns = ic_now_ns();
  int64_t again_ns = ic_deadline_ns(KILL_EVERY_MS);
  if (again_ns < now_ns + (now_ns - begin_ns)) {
    again_ns = now_ns + (now_ns - begin_ns);
  }
  ic_registry_wait_empty(&cluster->registry, &again_ns);
  return count_live(cluster);
}

// Ends by force what is left after the timeout; true if nothing was.
static bool kill_the_rest(ic_cluster *cluster) {
  size_t left = count_live(cluster);
  if (left == 0) return true;
  int64_t last_ns = ic_deadline_ns(KILL_MOST_MS);
  int64_t give_up_ns = ic_deadline_ns(KILL_GRACE_MS);
  while (left > 0 && ic_now_ns() < give_up_ns) {
    size_t before = left;
    left = kill_once(cluster);
    if (left < before) give_up_ns = ic_deadline_ns(KILL_GRACE_MS);
    if (give_up_ns > last_ns) give_up_ns = last_ns;
  }
  int64_t again_ns = 0;
  ic_isolate *isolate;
  while (ic_registry_wait_empty(&cluster->registry, &again_ns) != IC_OK &&
         (isolate = ic_scheduler_abandon(&cluster->scheduler)) != NULL) {
    ic_dead_letters_drop(&cluster->registry, isolate,
                         ic_isolate_close(isolate));
    // Where its thread waits, to see that this is the end. One of the pool must
    // not be scheduled while it runs, and has been abandoned there already.
    ic_isolate_rouse(isolate);
    ic_registry_remove(&cluster->registry, isolate, IC_REASON_KILLED, NULL);
    ic_isolate_release(isolate);
  }
  return false;
}

// All of it, from the first request to the last thread.
static void shut_down(ic_cluster *cluster) {
  ic_registry_tell_all(&cluster->registry, IC_MESSAGE_SHUTDOWN);
  ic_mutex_lock(&cluster->registry.mutex);
  cluster->was_asked = true;
  ic_mutex_unlock(&cluster->registry.mutex);
  ic_registry_wait_empty(&cluster->registry, &cluster->shutdown_deadline_ns);
  bool all_agreed = kill_the_rest(cluster);
  ic_sentry_stop(&cluster->sentry);
  ic_watchdog_stop(&cluster->watchdog);
  ic_scheduler_join(&cluster->scheduler, ic_deadline_ns(LEAVE_MS));
  ic_mutex_lock(&cluster->registry.mutex);
  cluster->all_agreed = all_agreed;
  ic_mutex_unlock(&cluster->registry.mutex);
  ic_registry_set_node(&cluster->registry, IC_NODE_DOWN);
}

static void *shutdown_thread(void *argument) {
  ic_cluster *cluster = argument;
  shut_down(cluster);
  ic_cluster_release(cluster);
  return NULL;
}

// True if it is the caller's to do: no other shutdown has begun.
static bool claim_locked(ic_cluster *cluster, int64_t deadline_ns) {
  ic_registry *registry = &cluster->registry;
  if (registry->node == IC_NODE_UP) {
    registry->node = IC_NODE_STOPPING;
    cluster->shutdown_deadline_ns = deadline_ns;
    return true;
  }
  if (deadline_ns < cluster->shutdown_deadline_ns) {
    cluster->shutdown_deadline_ns = deadline_ns;
    ic_condition_broadcast(&registry->changed);
  }
  return false;
}

static ic_status begin_locked(ic_cluster *cluster, int64_t deadline_ns) {
  if (!claim_locked(cluster, deadline_ns)) return IC_OK;
  if (cluster->scheduler.simulator) {
    ic_simulator_wake(cluster->scheduler.simulator);  // its driver does it
    return IC_OK;
  }
  ic_cluster_hold(cluster);
  ic_status status =
      ic_thread_start(&cluster->shutdown_thread, IC_SMALL_STACK_BYTES,
                      shutdown_thread, cluster);
  cluster->shutdown_thread_known = status == IC_OK;
  if (status != IC_OK) {
    cluster->registry.node = IC_NODE_UP;
    atomic_fetch_sub(&cluster->users, 1);  // not the last: the caller has one
  }
  return status;
}

ic_status ic_cluster_begin_shutdown(ic_cluster *cluster, int64_t timeout_ms) {
  int64_t deadline_ns =
      ic_simulator_deadline_ns(cluster->scheduler.simulator, timeout_ms);
  ic_mutex_lock(&cluster->registry.mutex);
  ic_status status = begin_locked(cluster, deadline_ns);
  ic_mutex_unlock(&cluster->registry.mutex);
  return status;
}

bool ic_cluster_refuses_to_end(ic_cluster *cluster) {
  ic_mutex_lock(&cluster->registry.mutex);
  bool was_asked = cluster->was_asked;
  ic_mutex_unlock(&cluster->registry.mutex);
  return was_asked &&
         ic_scheduler_is_settled_until(&cluster->scheduler, IC_NEVER - 1);
}

static bool is_driver(const ic_cluster *cluster) {
  const ic_simulator *simulator = cluster->scheduler.simulator;
  return simulator && ic_simulator_is_mine(simulator);
}

bool ic_cluster_end_shutdown(ic_cluster *cluster) {
  ic_registry *registry = &cluster->registry;
  if (is_driver(cluster)) {
    ic_simulator_run(cluster->scheduler.simulator, NULL, false, IC_NEVER);
  }
  ic_mutex_lock(&registry->mutex);
  while (registry->node != IC_NODE_DOWN) {
    ic_condition_wait(&registry->changed, &registry->mutex, IC_NEVER);
  }
  bool all_agreed = cluster->all_agreed;
  bool must_join = cluster->shutdown_thread_known;
  cluster->shutdown_thread_known = false;
  ic_mutex_unlock(&registry->mutex);
  if (must_join) ic_thread_join(cluster->shutdown_thread);
  return all_agreed;
}

// Where no thread can be started, the calling one does it.
ic_status ic_cluster_shutdown(ic_cluster *cluster, int64_t timeout_ms) {
  if (ic_cluster_begin_shutdown(cluster, timeout_ms) != IC_OK) {
    ic_mutex_lock(&cluster->registry.mutex);
    bool claimed = claim_locked(cluster, ic_deadline_ns(timeout_ms));
    ic_mutex_unlock(&cluster->registry.mutex);
    if (claimed) shut_down(cluster);
  }
  return ic_cluster_end_shutdown(cluster) ? IC_OK : IC_TIMEOUT;
}

// Whether it is up, and its shutdown does not wait for another thread's doing.
static bool can_end(ic_cluster *cluster) {
  return ic_cluster_is_up(cluster) &&
         (!cluster->scheduler.simulator || is_driver(cluster));
}

// A cluster that is not down yet, counted for the caller; [out] keeps the first.
static void find_up(ic_cluster *cluster, void *out) {
  ic_cluster **found = out;
  if (!*found && can_end(cluster)) *found = ic_cluster_hold(cluster);
}

typedef struct {
  int64_t timeout_ms;
  size_t count;
} beginning;

static void begin(ic_cluster *cluster, void *context) {
  beginning *all = context;
  if (ic_cluster_is_up(cluster)) all->count++;
  ic_cluster_begin_shutdown(cluster, all->timeout_ms);
}

size_t ic_cluster_shutdown_all(int64_t timeout_ms) {
  beginning all = {timeout_ms, 0};
  ic_cluster_visit_all(begin, &all);
  for (;;) {
    ic_cluster *cluster = NULL;
    ic_cluster_visit_all(find_up, &cluster);
    if (!cluster) return all.count;
    ic_cluster_shutdown(cluster, timeout_ms);
    ic_cluster_release(cluster);
  }
}

void ic_cluster_free(ic_cluster *cluster) {
  if (!cluster) return;
  ic_cluster_shutdown(cluster, FREE_TIMEOUT_MS);
  ic_cluster_release(cluster);
}
