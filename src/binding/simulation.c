// simulation.c - what isolate_cluster.testing needs of C. The host script is the
// driver of a simulated cluster: it runs the isolates while it waits (pump in
// body.c), and their clock is its own.

#include "binding/simulation.h"

#include <dirent.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "binding/node.h"
#include "core/shutdown.h"
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

// refusesToEnd(handle) -> whether a shutdown waits in vain, as who is left sleeps
static int refuses_to_end(lua_State *L) {
  lua_pushboolean(L, ic_cluster_refuses_to_end(ic_node_check_cluster(L)));
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

// countThreads() -> of the process
static int count_threads(lua_State *L) {
  DIR *folder = opendir("/proc/self/task");
  int count = 0;
  while (folder && readdir(folder))
    count++;
  if (folder) closedir(folder);
  lua_pushinteger(L, count - 2);  // without "." and ".."
  return 1;
}

enum { MOST_DESCRIPTORS = 4096 };  // that are told of

// The process's descriptors; how many.
static size_t find_descriptors(int out[MOST_DESCRIPTORS]) {
  DIR *folder = opendir("/proc/self/fd");
  if (!folder) return 0;
  size_t count = 0;
  const struct dirent *entry;
  while (count < MOST_DESCRIPTORS && (entry = readdir(folder)) != NULL) {
    int descriptor = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || descriptor == dirfd(folder)) continue;
    out[count++] = descriptor;
  }
  closedir(folder);
  return count;
}

// listDescriptors() -> table: what each of the process leads to, by its number
static int list_descriptors(lua_State *L) {
  int descriptors[MOST_DESCRIPTORS];
  size_t count = find_descriptors(descriptors);
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptors[i]);
    ssize_t size = readlink(path, target, sizeof target);
    if (size < 0) continue;
    lua_pushlstring(L, target, (size_t)size);
    lua_rawseti(L, -2, descriptors[i]);
  }
  return 1;
}

void ic_simulation_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"simulate", simulate},
                                       {"leaveSimulation", leave_simulation},
                                       {"isSimulated", is_simulated},
                                       {"refusesToEnd", refuses_to_end},
                                       {"breathe", breathe},
                                       {"trace", trace},
                                       {"startCapture", start_capture},
                                       {"captureRecords", capture_records},
                                       {"countThreads", count_threads},
                                       {"listDescriptors", list_descriptors},
                                       {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
}
