// load.c - a new state: libraries, the spawner's search paths, the cluster's C
// modules, our own module, then the entry, which is loaded but not run.

#include "binding/load.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/coroutine.h"
#include "binding/debugging.h"
#include "binding/ending.h"
#include "binding/files.h"
#include "binding/module.h"
#include "binding/process.h"
#include "binding/sandbox.h"

static void set_package_field(lua_State *L, const char *name,
                              const char *value) {
  if (!value) return;
  lua_getglobal(L, "package");
  lua_getfield(L, -1, name);
  if (strcmp(lua_tostring(L, -1), value) != 0) {
    lua_pushstring(L, value);
    lua_setfield(L, -3, name);
  }
  lua_pop(L, 2);
}

// The list only grows at its head, and its nodes never change.
static void preload_c_modules(lua_State *L, ic_lua_body *body) {
  ic_cluster *cluster = body->base.isolate->cluster;
  ic_mutex_lock(&cluster->registry.mutex);
  const ic_module *module = cluster->modules;
  ic_mutex_unlock(&cluster->registry.mutex);
  if (!module) return;
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

static void load_module(lua_State *L, ic_lua_body *body) {
  const ic_entry *entry = &body->entry;
  ic_module_require(L, body, entry->bytes);
  if (!lua_isfunction(L, -1)) {
    luaL_error(L, "module '%s' must return a function, got %s", entry->bytes,
               luaL_typename(L, -1));
  }
}

// The plan's refs are found in its message.
static void load_supervisor(lua_State *L, ic_lua_body *body) {
  const ic_message *plan = body->entry.plan;
  ic_module_rest(L, body);
  lua_pop(L, 1);
  ic_module_require(L, body, "isolate_cluster.supervisor");
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
      load_module(L, body);
      return;
    case IC_ENTRY_SUPERVISOR:
      load_supervisor(L, body);
      return;
  }
  if (status != LUA_OK) lua_error(L);
}

// The allocator while a state is made: Lua bears it then that there is no memory.
static void *allocate(void *body, void *block, size_t old_size,
                      size_t new_size) {
  return ic_arena_realloc(((ic_lua_body *)body)->arena, block, old_size,
                          new_size);
}

// No call that may raise is outside of a protected one; so this is a defect of
// ours, and Lua ends the process.
static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "isolate-cluster: unprotected error: %s\n",
          text ? text : "(not a string)");
  return 0;
}

enum { PAUSE_PERCENT = 180 };  // of the collector

// --- What all isolates have -------------------------------------------------

// Makes the registry grow for references, as they are numbers, before all else that
// will be in it: so they lie in its array, at a third of the memory.
static void make_room_for_references(lua_State *L) {
  enum { ROOM = 5 };  // with what is there, and the list of free ones: 8
  int references[ROOM];
  for (int i = 0; i < ROOM; i++) {
    lua_pushboolean(L, 1);
    references[i] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  for (int i = ROOM; i > 0; i--)
    luaL_unref(L, LUA_REGISTRYINDEX, references[i - 1]);
}

static int load_common(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, 1);
  lua_settop(L, 0);
  // Nothing of this is garbage: the collector would only walk it.
  lua_gc(L, LUA_GCSTOP);
  luaL_openlibs(L);
  make_room_for_references(L);
  ic_output_install(&body->output, L);
  ic_process_install(L);
  ic_process_protect(L);
  ic_debugging_install(L);
  ic_ending_install(body, L);
  ic_files_install(L, body);
  lua_pushlightuserdata(L, body);
  lua_getglobal(L, LUA_COLIBNAME);
  ic_coroutine_open(L);
  ic_module_begin(L, body);
  lua_settop(L, 0);
  // With Lua's 200, memory grows for as long as most of the garbage has finalizers,
  // as refs and envelopes do: they outlive one cycle, count as alive at its end, and
  // the next cycle waits for as much again.
  lua_gc(L, LUA_GCINC, PAUSE_PERCENT, 0, 0);
  // From here on the collector waits until as much has been added.
  lua_gc(L, LUA_GCRESTART);
  lua_gc(L, LUA_GCCOLLECT);
  return 0;
}

ic_status ic_load_state(ic_lua_body *body, lua_Alloc allocator, void *context) {
  lua_State *L = lua_newstate(allocator, context);
  if (!L) return IC_MEMORY;
  body->L = L;
  *(ic_lua_body **)lua_getextraspace(L) = body;  // and that of all coroutines
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, body);
  lua_pushcfunction(L, load_common);
  lua_pushlightuserdata(L, body);
  int status = lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
  return status == LUA_OK ? IC_OK : IC_MEMORY;
}

static ic_status load_alone(ic_lua_body *body) {
  ic_status status = ic_load_state(body, allocate, body);
  if (body->L) lua_setallocf(body->L, ic_ending_allocate, body);
  return status;
}

// --- What one has -----------------------------------------------------------

// A state's math.random is its own, though its state is a copy; in a simulated
// cluster it is the seed's.
static void seed_random(lua_State *L, const ic_isolate *isolate) {
  ic_simulator *simulator = isolate->cluster->scheduler.simulator;
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, simulator ? (lua_Integer)ic_simulator_next_seed(simulator)
                               : (lua_Integer)ic_now_ns());
  lua_pushinteger(L, simulator ? 0 : (lua_Integer)isolate->id);
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}

static int load(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, 1);
  const ic_isolate *isolate = body->base.isolate;
  lua_settop(L, 0);
  ic_output_open(&body->output, L, isolate->cluster->capture, isolate->path);
  seed_random(L, isolate);
  set_package_field(L, "path", body->entry.package_path);
  set_package_field(L, "cpath", body->entry.package_cpath);
  preload_c_modules(L, body);
  ic_sandbox_apply(L, body);
  load_entry(L, body);
  body->function = luaL_ref(L, LUA_REGISTRYINDEX);
  body->may_return_entry =
      body->entry.kind == IC_ENTRY_FILE || body->entry.kind == IC_ENTRY_SOURCE;
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
  if (!body->L && load_alone(body) != IC_OK) return IC_MEMORY;
  body->hooks.killed = &base->isolate->killed;
  ic_ending_set_limits(body);
  bool is_whole = ic_ending_run(body, run_load);
  if (!is_whole || ic_ending_name(body)) return describe_end(body, message);
  if (body->load_status == LUA_OK) {
    ic_entry_fini(&body->entry);
    return IC_OK;
  }
  const char *text = body->exiting ? "it called os.exit while it was loaded"
                                   : lua_tostring(body->L, -1);
  *message = strdup(text ? text : "an error without a text");
  return body->load_status == LUA_ERRMEM ? IC_MEMORY : IC_LOAD;
}
