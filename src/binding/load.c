// load.c - a new state: libraries, the spawner's search paths, the cluster's C
// modules, our own module, then the entry, which is loaded but not run.

#include "binding/load.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/coroutine.h"
#include "binding/ending.h"
#include "binding/module.h"
#include "binding/process.h"
#include "binding/sandbox.h"

static const char *const entry_kinds[] = {"function", "source", "file",
                                          "module", "supervisor"};

static void set_package_field(lua_State *L, const char *name,
                              const char *value) {
  if (!value) return;
  lua_getglobal(L, "package");
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

// The list only grows at its head, and its nodes never change.
static void preload_c_modules(lua_State *L, ic_lua_body *body) {
  ic_cluster *cluster = body->base.isolate->cluster;
  ic_mutex_lock(&cluster->registry.mutex);
  const ic_module *module = cluster->modules;
  ic_mutex_unlock(&cluster->registry.mutex);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (; module; module = module->next) {
    // The newest of a name comes first, and stays.
    if (lua_getfield(L, -1, module->name) == LUA_TNIL) {
      ic_ending_push_foreign(L, body, module->open);
      lua_setfield(L, -3, module->name);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

// A warning arrives in pieces; each is a line's part, and lines are not mixed as
// the isolate's stderr is made for that.
static void warn(void *context, const char *piece, int to_continue) {
  ic_lua_body *body = context;
  if (!body->output.err.file) return;
  if (!body->warning_continues) {
    if (!to_continue && piece[0] == '@') {
      if (strcmp(piece, "@off") == 0) body->warnings_are_off = true;
      if (strcmp(piece, "@on") == 0) body->warnings_are_off = false;
      return;
    }
    if (!body->warnings_are_off) {
      fprintf(body->output.err.file,
              "isolate-cluster: warning in %s: ", body->base.isolate->path);
    }
  }
  body->warning_continues = to_continue != 0;
  if (body->warnings_are_off) return;
  fprintf(body->output.err.file, to_continue ? "%s" : "%s\n", piece);
}

// A traceback behind the text of an error, or instead of one.
static int add_traceback(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (!text) {
    text = luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)
               ? lua_tostring(L, -1)
               : lua_pushfstring(L, "(error object is a %s value)",
                                 luaL_typename(L, 1));
  }
  luaL_traceback(L, L, text, 1);
  return 1;
}

static void load_module(lua_State *L, const ic_entry *entry) {
  ic_module_require(L, entry->bytes);
  if (!lua_isfunction(L, -1)) {
    luaL_error(L, "module '%s' must return a function, got %s", entry->bytes,
               luaL_typename(L, -1));
  }
}

// The plan's refs are found in its message.
static void load_supervisor(lua_State *L, ic_lua_body *body) {
  const ic_message *plan = body->entry.plan;
  ic_module_require(L, "isolate_cluster.supervisor");
  lua_getfield(L, -1, "entry");
  lua_remove(L, -2);
  body->decoding = plan;
  ic_status status = ic_value_decode(L, &body->scratch, &body->hooks,
                                     plan->bytes, plan->value_size);
  body->decoding = NULL;
  if (status != IC_OK) luaL_error(L, "%s", body->scratch.text);
  lua_call(L, 1, 1);
}

// Pushes the entry's function.
static void load_entry(lua_State *L, ic_lua_body *body) {
  const ic_entry *entry = &body->entry;
  int status = LUA_OK;
  switch (entry->kind) {
    case IC_ENTRY_FUNCTION:
      status = luaL_loadbufferx(L, entry->bytes, entry->size, "=entry", "b");
      break;
    case IC_ENTRY_SOURCE:
      status = luaL_loadbufferx(L, entry->bytes, entry->size, entry->chunk_name,
                                "t");
      break;
    case IC_ENTRY_FILE:
      status = luaL_loadfile(L, entry->bytes);
      break;
    case IC_ENTRY_MODULE:
      load_module(L, entry);
      return;
    case IC_ENTRY_SUPERVISOR:
      load_supervisor(L, body);
      return;
  }
  if (status != LUA_OK) lua_error(L);
}

// No call that may raise is outside of a protected one; so this is a defect of
// ours, and Lua ends the process.
static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "isolate-cluster: unprotected error: %s\n",
          text ? text : "(not a string)");
  return 0;
}

static int load(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, 1);
  lua_settop(L, 0);
  // Nothing of this is garbage: the collector would only walk it.
  lua_gc(L, LUA_GCSTOP);
  luaL_openlibs(L);
  set_package_field(L, "path", body->entry.package_path);
  set_package_field(L, "cpath", body->entry.package_cpath);
  const ic_isolate *isolate = body->base.isolate;
  ic_output_install(&body->output, L, isolate->cluster->capture, isolate->path);
  ic_process_install(L);
  ic_ending_install(body, L);
  lua_pushlightuserdata(L, body);
  ic_coroutine_install(L);
  ic_module_install(L);
  lua_settop(L, 0);
  preload_c_modules(L, body);
  ic_module_require(L, "isolate_cluster.isolate");
  ic_sandbox_apply(L, body);
  lua_gc(L, LUA_GCRESTART);
  load_entry(L, body);
  lua_pushstring(L, entry_kinds[body->entry.kind]);
  lua_call(L, 2, 0);
  return 0;
}

static void run_load(ic_lua_body *body) {
  lua_State *L = body->L;
  body->running = L;
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, load);
  lua_pushlightuserdata(L, body);
  body->load_status = lua_pcall(L, 1, 0, 1);
  body->running = NULL;
  if (body->load_status == LUA_OK) {
    lua_settop(L, 0);
    ic_body_count_memory(body);
  }
}

// What became of a load that was ended by force.
static ic_status describe_end(ic_lua_body *body, char **message) {
  const char *reason = body->base.reason;
  free(body->base.error);  // who spawns it is told by the message alone
  body->base.error = NULL;
  char text[128];
  snprintf(text, sizeof text, "the isolate was ended while it loaded: %s",
           reason);
  *message = strdup(text);
  if (strcmp(reason, IC_REASON_MEMORY) == 0) return IC_MEMORY;
  return strcmp(reason, IC_REASON_CPU) == 0 ? IC_CPU : IC_LOAD;
}

ic_status ic_load_body(ic_body *base, char **message) {
  ic_lua_body *body = (ic_lua_body *)base;
  body->arena = ic_arena_new();
  if (!body->arena) return IC_MEMORY;
  body->L = lua_newstate(ic_ending_allocate, body);
  if (!body->L) return IC_MEMORY;
  lua_atpanic(body->L, panic);
  lua_setwarnf(body->L, warn, body);
  ic_ending_set_limits(body);
  bool is_whole = ic_ending_run(body, run_load);
  if (!is_whole || ic_ending_name(body)) return describe_end(body, message);
  if (body->load_status == LUA_OK) {
    ic_entry_fini(&body->entry);
    return IC_OK;
  }
  const char *text = lua_tostring(body->L, -1);
  *message = strdup(text ? text : "an error without a text");
  return body->load_status == LUA_ERRMEM ? IC_MEMORY : IC_LOAD;
}
