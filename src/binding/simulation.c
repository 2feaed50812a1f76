// simulation.c - what isolate_cluster.testing needs of C. The host script is the
// driver of a simulated cluster: it runs the isolates while it waits (pump in
// body.c), and their clock is its own.

#include "binding/simulation.h"

#include <dirent.h>
#include <lauxlib.h>
#include <string.h>

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
  const ic_simulator *simulator = simulator_of(L);
  if (!simulator) return luaL_error(L, "the cluster is not simulated");
  const ic_buffer *text = ic_simulator_trace(simulator);
  lua_pushlstring(L, text->size > 0 ? (const char *)text->bytes : "",
                  text->size);
  return 1;
}

// --- What isolates print and report -----------------------------------------

// startCapture(handle): keeps it, from now on; no isolate was spawned yet.
static int start_capture(lua_State *L) {
  ic_cluster *cluster = ic_node_check_cluster(L);
  cluster->capture = ic_capture_new();
  if (!cluster->capture) return luaL_error(L, "not enough memory to capture");
  return 0;
}

static void set_text(lua_State *L, const char *key, const char *text,
                     size_t size) {
  lua_pushlstring(L, text, size);
  lua_setfield(L, -2, key);
}

static void push_record(lua_State *L, const ic_captured *record) {
  static const char *const kinds[] = {[IC_CAPTURED_OUTPUT] = "output",
                                      [IC_CAPTURED_ERRORS] = "errors",
                                      [IC_CAPTURED_REPORT] = "report"};
  lua_createtable(L, 0, 3);
  const char *kind = kinds[record->kind];
  set_text(L, "kind", kind, strlen(kind));
  set_text(L, "path", record->path, strlen(record->path));
  set_text(L, "text", record->text, record->size);
}

// captureRecords(handle) -> array of records {kind, path, text}
static int capture_records(lua_State *L) {
  ic_capture *from = ic_node_check_cluster(L)->capture;
  if (!from) return luaL_error(L, "the cluster captures nothing");
  size_t size = ic_capture_size(from);
  void *copy = lua_newuserdatauv(L, size, 0);
  size = ic_capture_copy(from, copy, size);
  lua_newtable(L);
  size_t at = 0;
  ic_captured record;
  for (lua_Integer i = 1; ic_capture_read(copy, size, &at, &record); i++) {
    push_record(L, &record);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

// --- What is left of a test -------------------------------------------------

static int count_entries(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return 0;
  int count = 0;
  while (readdir(folder))
    count++;
  closedir(folder);
  return count - 2;  // "." and ".."
}

// countThreads() -> of the process
static int count_threads(lua_State *L) {
  lua_pushinteger(L, count_entries("/proc/self/task"));
  return 1;
}

// countDescriptors() -> of the process
static int count_descriptors(lua_State *L) {
  lua_pushinteger(L, count_entries("/proc/self/fd") - 1);  // and its own
  return 1;
}

void ic_simulation_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"simulate", simulate},
                                       {"leaveSimulation", leave_simulation},
                                       {"isSimulated", is_simulated},
                                       {"breathe", breathe},
                                       {"trace", trace},
                                       {"startCapture", start_capture},
                                       {"captureRecords", capture_records},
                                       {"countThreads", count_threads},
                                       {"countDescriptors", count_descriptors},
                                       {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 1);
}
