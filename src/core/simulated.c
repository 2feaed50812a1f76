// simulated.c - the shutdown as the simulator's chore.

#include "core/simulated.h"

static ic_node_state node_of(ic_cluster *cluster, int64_t *deadline_ns) {
  ic_registry *registry = &cluster->registry;
  ic_mutex_lock(&registry->mutex);
  ic_node_state node = registry->node;
  *deadline_ns = cluster->shutdown_deadline_ns;
  ic_mutex_unlock(&registry->mutex);
  return node;
}

static bool is_empty(ic_cluster *cluster) {
  static const int64_t now = 0;
  return ic_registry_wait_empty(&cluster->registry, &now) == IC_OK;
}

static void set_agreed(ic_cluster *cluster, bool all_agreed) {
  ic_mutex_lock(&cluster->registry.mutex);
  cluster->all_agreed = all_agreed;
  ic_mutex_unlock(&cluster->registry.mutex);
}

// What shut_down in cluster.c does, a step at each call. Nobody can sit in a
// handler meanwhile, so who is killed sees it in its next turn.
static int64_t tend(void *context) {
  ic_cluster *cluster = context;
  ic_simulator *simulator = cluster->scheduler.simulator;
  int64_t deadline_ns;
  if (node_of(cluster, &deadline_ns) != IC_NODE_STOPPING) return IC_NEVER;
  if (!cluster->was_asked) {
    cluster->was_asked = true;
    set_agreed(cluster, true);
    ic_registry_tell_all(&cluster->registry, IC_MESSAGE_SHUTDOWN);
  }
  if (is_empty(cluster)) {
    ic_watchdog_stop(&cluster->watchdog);
    ic_scheduler_join(&cluster->scheduler, IC_NEVER);
    ic_registry_set_node(&cluster->registry, IC_NODE_DOWN);
    return IC_NEVER;
  }
  if (ic_simulator_now_ns(simulator) < deadline_ns) return deadline_ns;
  set_agreed(cluster, false);
  ic_scheduler_kill_all(&cluster->scheduler);
  return IC_NEVER;
}

ic_status ic_simulated_start(ic_cluster *cluster, uint64_t seed,
                             bool is_virtual) {
  ic_simulator *simulator;
  ic_status status = ic_simulator_new(seed, is_virtual, &simulator);
  if (status != IC_OK) return status;
  ic_simulator_set_chore(simulator, tend, cluster);
  cluster->scheduler.simulator = simulator;
  return IC_OK;
}
