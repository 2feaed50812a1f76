// node.c - the cluster's functions; arguments were checked by the Lua code.

#include "binding/node.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/limit_options.h"
#include "binding/queue.h"
#include "binding/ref.h"
#include "binding/sandbox.h"
#include "binding/simulation.h"
#include "core/path.h"
#include "core/shutdown.h"

#define CLUSTER_TYPE "isolate_cluster.cluster"

typedef struct {
  ic_owned owned;
  ic_cluster *cluster;
} cluster_handle;

static ic_cluster *check_cluster(lua_State *L) {
  cluster_handle *handle = luaL_checkudata(L, 1, CLUSTER_TYPE);
  if (!handle->cluster) luaL_error(L, "the cluster has been closed");
  return handle->cluster;
}

ic_cluster *ic_node_check_cluster(lua_State *L) {
  return check_cluster(L);
}

static cluster_handle *new_handle(lua_State *L) {
  cluster_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (cluster_handle){0};
  luaL_setmetatable(L, CLUSTER_TYPE);
  return handle;
}

static void release_handle(ic_owned *owned) {
  cluster_handle *handle = (cluster_handle *)owned;
  ic_cluster_release(handle->cluster);
  handle->cluster = NULL;
}

static int free_handle(lua_State *L) {
  cluster_handle *handle = lua_touserdata(L, 1);
  ic_lua_body *body = ic_body_of(L);
  if (!body->is_host) {
    if (!body->is_closing) ic_owned_release(&handle->owned);
  } else if (handle->cluster) {
    // The state is being closed: nobody waits for the isolates any more.
    ic_registry_watch(&handle->cluster->registry, body->base.isolate, 0, NULL);
    ic_simulation_leave(body, handle->cluster);
    ic_cluster_free(handle->cluster);
    handle->cluster = NULL;
  }
  return 0;
}

static int fail(lua_State *L, ic_status status) {
  return ic_lua_ref_fail(L, status, ic_status_text(status));
}

// newCluster(isShared | nil, threads | nil, limits | nil, stuckAfter | nil,
// isolates | nil) -> handle, for a host script; stuckAfter is milliseconds, negative:
// never
static int new_cluster(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_cluster_options options = {
      .shared = lua_toboolean(L, 1),
      .pool_threads = (size_t)luaL_optinteger(L, 2, 0),
      .stuck_after_ms = luaL_optinteger(L, 4, 0),
      .isolates = (size_t)luaL_optinteger(L, 5, 0)};
  ic_limit_options_read(L, 3, &options.limits);
  cluster_handle *handle = new_handle(L);
  if (ic_cluster_new(&options, &handle->cluster) != IC_OK ||
      ic_registry_watch(&handle->cluster->registry, body->base.isolate,
                        IC_WATCH_NODE, NULL) != IC_OK) {
    return luaL_error(L, "not enough memory for a cluster");
  }
  return 1;
}

// ownCluster() -> handle of the cluster that the isolate is in
static int own_cluster(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  cluster_handle *handle = new_handle(L);
  handle->cluster = ic_cluster_hold(body->base.isolate->cluster);
  ic_owned_add(&body->owned, &handle->owned, release_handle);
  return 1;
}

// defaultSandbox(handle) -> its bytes | nil
static int default_sandbox(lua_State *L) {
  const ic_bytes *sandbox = &check_cluster(L)->sandbox;
  if (!sandbox->data) return 0;
  lua_pushlstring(L, sandbox->data, sandbox->size);
  return 1;
}

// setDefaultSandbox(handle, bytes): before anything is spawned
static int set_default_sandbox(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  if (!ic_bytes_copy(bytes, size, &check_cluster(L)->sandbox)) {
    return luaL_error(L, "not enough memory for a sandbox");
  }
  return 0;
}

// clusterKey(handle) -> the number that events name the cluster by
static int cluster_key(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_cluster(L)->key);
  return 1;
}

static int is_up(lua_State *L) {
  lua_pushboolean(L, ic_cluster_is_up(check_cluster(L)));
  return 1;
}

// complaint(path, isPrefix) -> what is wrong with it | nil
static int complaint(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  const char *text = strlen(path) == size
                         ? ic_path_complaint(path, lua_toboolean(L, 2))
                         : "it holds a byte 0";
  lua_pushstring(L, text);
  return 1;
}

// lookup(handle, path) -> ref | nil, message, code
static int lookup(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  const char *path = luaL_checkstring(L, 2);
  if (!ic_reach_covers(&ic_body_of(L)->reach, path)) {
    return ic_sandbox_deny(L, path);
  }
  ic_isolate *isolate;
  ic_status status = ic_registry_find(&cluster->registry, path, &isolate);
  if (status == IC_NOT_FOUND) {
    lua_pushfstring(L, "no isolate at %s", path);
    return ic_lua_ref_fail(L, status, lua_tostring(L, -1));
  }
  if (status != IC_OK) return fail(L, status);
  ic_lua_ref_push_counted(L, ic_body_of(L), isolate);
  return 1;
}

// The refs of a list that Lua code is being given.
typedef struct {
  ic_owned owned;
  ic_ref_list refs;
} owned_list;

static void release_list(ic_owned *owned) {
  ic_ref_list_fini(&((owned_list *)owned)->refs);
}

static int free_list(lua_State *L) {
  ic_owned_release(lua_touserdata(L, 1));
  return 0;
}

// Pushes an empty list, which is freed with the userdata that it is in.
static ic_ref_list *push_list(lua_State *L) {
  owned_list *list = lua_newuserdatauv(L, sizeof *list, 0);
  *list = (owned_list){0};
  if (luaL_newmetatable(L, "isolate_cluster.list")) {
    lua_pushcfunction(L, free_list);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  ic_owned_add(&ic_body_of(L)->owned, &list->owned, release_list);
  return &list->refs;
}

// Pushes the array of the refs that the state may know of; frees [list].
static int push_refs(lua_State *L, ic_ref_list *list) {
  lua_createtable(L, (int)list->count, 0);
  ic_lua_body *body = ic_body_of(L);
  lua_Integer count = 0;
  for (size_t i = 0; i < list->count; i++) {
    if (!ic_reach_covers(&body->reach, list->items[i]->path)) continue;
    ic_lua_ref_push(L, body, list->items[i], 0);
    lua_rawseti(L, -2, ++count);
  }
  ic_ref_list_fini(list);
  return 1;
}

// list(handle, prefix) -> array of refs | nil, message, code
static int list_refs(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  const char *prefix = luaL_checkstring(L, 2);
  ic_ref_list *list = push_list(L);
  ic_status status = ic_registry_list(&cluster->registry, prefix, list);
  return status == IC_OK ? push_refs(L, list) : fail(L, status);
}

// listBusy(handle) -> array of refs | nil, message, code
static int list_busy(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  ic_ref_list *list = push_list(L);
  ic_status status = ic_scheduler_list_busy(&cluster->scheduler, list);
  return status == IC_OK ? push_refs(L, list) : fail(L, status);
}

// isSettled(handle) -> whether every isolate is idle and nothing is on its way,
// to the host script neither. Its own timers count, as they would run now.
static int is_settled(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  bool settled = ic_scheduler_is_settled(&check_cluster(L)->scheduler) &&
                 ic_mailbox_is_empty(&body->base.isolate->mailbox) &&
                 !body->queue;
  lua_pushboolean(L, settled);
  return 1;
}

// version(handle) -> a number that rises with each up and down
static int version(lua_State *L) {
  lua_pushinteger(
      L, (lua_Integer)ic_registry_version(&check_cluster(L)->registry));
  return 1;
}

// watch(handle, up, down, deadLetters, stuck): what the state hears of from now on
static int watch(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  ic_lua_body *body = ic_body_of(L);
  unsigned watches = body->is_host ? IC_WATCH_NODE : 0;
  if (lua_toboolean(L, 2)) watches |= IC_WATCH_UP;
  if (lua_toboolean(L, 3)) watches |= IC_WATCH_DOWN;
  if (body->is_host && lua_toboolean(L, 4)) watches |= IC_WATCH_DEAD;
  if (body->is_host && lua_toboolean(L, 5)) watches |= IC_WATCH_STUCK;
  ic_message *missed;
  if (ic_registry_watch(&cluster->registry, body->base.isolate, watches,
                        &missed) != IC_OK) {
    return luaL_error(L, "not enough memory to watch the cluster");
  }
  if (missed) ic_queue_put_missed(body, missed);
  return 0;
}

// --- The end, and the figures -----------------------------------------------

// beginShutdown(handle, seconds) -> true | nil, message, code. Where no thread can be
// started for it, a host script's does it at once, and hears of nothing meanwhile.
static int begin_shutdown(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  double seconds = luaL_checknumber(L, 2);
  int64_t timeout_ms = seconds < 1e12 ? (int64_t)(seconds * 1000) : -1;
  ic_status status = ic_cluster_begin_shutdown(cluster, timeout_ms);
  if (status == IC_MEMORY && ic_body_of(L)->is_host) {
    ic_cluster_shutdown(cluster, timeout_ms);
    status = IC_OK;
  }
  if (status != IC_OK) return fail(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

// endShutdown(handle) -> whether all agreed; after the event nodeDown
static int end_shutdown(lua_State *L) {
  lua_pushboolean(L, ic_cluster_end_shutdown(check_cluster(L)));
  return 1;
}

// shutdownAll(seconds): all clusters of the process; waits for their ends
static int shutdown_all(lua_State *L) {
  ic_cluster_shutdown_all((int64_t)(luaL_checknumber(L, 1) * 1000));
  return 0;
}

// liveIsolates(handle) -> how many isolates are left, those that load included
static int live_isolates(lua_State *L) {
  ic_totals totals;
  size_t live;
  ic_cluster_totals(check_cluster(L), &totals, &live);
  lua_pushinteger(L, (lua_Integer)live);
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, name);
}

static void push_isolate_stats(lua_State *L, const ic_isolate *isolate,
                               ic_totals *totals) {
  uint64_t sent = ic_counted(&isolate->sent);
  uint64_t received = ic_counted(&isolate->received);
  uint64_t late = ic_counted(&isolate->late_replies);
  uint64_t pushed = ic_counted(&isolate->mailbox.pushed);
  uint64_t taken = ic_counted(&isolate->handled);
  totals->sent += sent;
  totals->received += received;
  totals->late_replies += late;
  lua_createtable(L, 0, 5);
  set_count(L, "sent", sent);
  set_count(L, "received", received);
  set_count(L, "lateReplies", late);
  uint64_t dropped = ic_isolate_dropped(isolate);
  totals->dropped += dropped;
  set_count(L, "dropped", dropped);
  set_count(L, "mailbox", pushed > taken ? pushed - taken : 0);
  set_count(L, "memory", ic_counted(&isolate->memory_bytes));
}

// stats(handle) -> the table of figures
static int stats(lua_State *L) {
  ic_cluster *cluster = check_cluster(L);
  ic_totals totals;
  size_t live;
  lua_settop(L, 1);
  ic_ref_list *list = push_list(L);
  ic_registry_list(&cluster->registry, "/", list);
  ic_cluster_totals(cluster, &totals, &live);
  lua_newtable(L);
  lua_createtable(L, 0, (int)list->count);
  for (size_t i = 0; i < list->count; i++) {
    if (list->items[i]->is_port) continue;
    push_isolate_stats(L, list->items[i], &totals);
    lua_setfield(L, -2, list->items[i]->path);
  }
  ic_ref_list_fini(list);
  lua_setfield(L, -2, "isolates");
  set_count(L, "live", live);
  set_count(L, "spawned", totals.spawned);
  set_count(L, "ended", totals.ended);
  set_count(L, "sent", totals.sent);
  set_count(L, "received", totals.received);
  set_count(L, "lateReplies", totals.late_replies);
  set_count(L, "dropped", totals.dropped);
  set_count(L, "deadLetters", totals.dead_letters);
  return 1;
}

void ic_node_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"ownCluster", own_cluster},
                                       {"defaultSandbox", default_sandbox},
                                       {"clusterKey", cluster_key},
                                       {"isUp", is_up},
                                       {"complaint", complaint},
                                       {"lookup", lookup},
                                       {"list", list_refs},
                                       {"isSettled", is_settled},
                                       {"listBusy", list_busy},
                                       {"version", version},
                                       {"watch", watch},
                                       {"beginShutdown", begin_shutdown},
                                       {"liveIsolates", live_isolates},
                                       {"stats", stats},
                                       {NULL, NULL}};
  static const luaL_Reg host_functions[] = {
      {"newCluster", new_cluster},
      {"setDefaultSandbox", set_default_sandbox},
      {"endShutdown", end_shutdown},
      {"shutdownAll", shutdown_all},
      {NULL, NULL}};
  const ic_lua_body *body = lua_touserdata(L, -2);
  ic_body_set_functions(L, -2, functions);
  if (body->is_host) {
    ic_body_set_functions(L, -2, host_functions);
  }
  luaL_newmetatable(L, CLUSTER_TYPE);
  ic_body_push_function(L, -3, free_handle);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "cluster handle");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
