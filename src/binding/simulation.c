// simulation.c - the host script is the driver of a simulated cluster: it runs the
// isolates while it waits (pump in body.c), and their clock is its own.

#include "binding/simulation.h"

#include <lauxlib.h>

#include "binding/node.h"
#include "core/simulated.h"

static ic_simulator *simulator_of(lua_State *L) {
  return ic_node_check_cluster(L)->scheduler.simulator;
}

void ic_simulation_leave(ic_lua_body *body, const ic_cluster *cluster) {
  ic_isolate *host = body->base.isolate;
  if (host->simulator == cluster->scheduler.simulator) host->simulator = NULL;
}

// simulate(handle, seed, isVirtual): a simulator runs the cluster's isolates, of
// which there is none yet.
static int simulate(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_cluster *cluster = ic_node_check_cluster(L);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  if (ic_simulated_start(cluster, seed, lua_toboolean(L, 3)) != IC_OK) {
    return luaL_error(L, "not enough memory for a simulated cluster");
  }
  body->base.isolate->simulator = cluster->scheduler.simulator;
  return 0;
}

// leaveSimulation(handle): the cluster is down, and the script's clock is the real
// one again.
static int leave_simulation(lua_State *L) {
  ic_simulation_leave(ic_body_of(L), ic_node_check_cluster(L));
  return 0;
}

// isSimulated(handle) -> boolean
static int is_simulated(lua_State *L) {
  lua_pushboolean(L, simulator_of(L) != NULL);
  return 1;
}

// breathe(handle): lets isolates of a simulated cluster overtake the script.
static int breathe(lua_State *L) {
  ic_simulator *simulator = simulator_of(L);
  if (simulator && ic_body_of(L)->base.isolate->simulator == simulator) {
    ic_simulator_breathe(simulator);
  }
  return 0;
}

// trace(handle) -> the lines of what a simulator's isolates did
static int trace(lua_State *L) {
  const ic_buffer *text = ic_simulator_trace(simulator_of(L));
  lua_pushlstring(L, text->size > 0 ? (const char *)text->bytes : "",
                  text->size);
  return 1;
}

void ic_simulation_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"simulate", simulate},
                                       {"leaveSimulation", leave_simulation},
                                       {"isSimulated", is_simulated},
                                       {"breathe", breathe},
                                       {"trace", trace},
                                       {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 1);
}
