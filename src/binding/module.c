// module.c - puts the C functions and the bundled Lua code into a state.
//
// The Lua code is compiled once for the process; states load the bytecode.

#include "binding/module.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "binding/body.h"
#include "binding/bundle.h"
#include "binding/context.h"
#include "binding/coroutine.h"
#include "binding/driving.h"
#include "binding/node.h"
#include "binding/process.h"
#include "binding/ref.h"
#include "binding/sandbox.h"
#include "binding/sending.h"
#include "binding/simulation.h"
#include "binding/spawning.h"
#include "binding/turns.h"
#include "binding/value_scratch.h"
#include "core/outsiders.h"

// --- The bundled code -------------------------------------------------------

typedef struct {
  size_t size;
  char bytes[];
} bytecode;

enum { BUNDLE_MAX = 32 };

#define IC_CORE_NAME "isolate_cluster.core"

// Set once each, and kept for the life of the process.
static _Atomic(bytecode *) compiled[BUNDLE_MAX];

// Keeps the bytecode of the function on the top for the other states, without
// what is for debugging: where an error happened is told by the script's lines.
// Where there is no memory for it, they compile it again.
static void keep_bytecode(lua_State *L, size_t index) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, sizeof(bytecode));
  if (lua_dump(L, ic_body_write, &buffer, 1) != 0) {
    ic_buffer_fini(&buffer);
    return;
  }
  bytecode *code = ic_buffer_copy(&buffer);
  if (code) code->size = buffer.size;
  ic_buffer_fini(&buffer);
  if (!code) return;
  bytecode *none = NULL;
  if (!atomic_compare_exchange_strong(&compiled[index], &none, code)) {
    free(code);  // another state was quicker
  }
}

// Registry: the globals of our Lua code, its modules by name, and the script's
// `require`. The first is made when the first file is loaded that needs it.
static const char globals_key, modules_key, require_key;

// A file's number; ic_bundle_count: none of ours.
static size_t find_file(const char *name) {
  size_t index = 0;
  while (index < ic_bundle_count &&
         strcmp(ic_bundle_files[index].name, name) != 0) {
    index++;
  }
  return index;
}

// Opens a standard library anew, whatever the script has made of the one it has,
// into the table on the top. Stack: [-0, +0].
static void open_into_globals(lua_State *L, const char *name,
                              lua_CFunction open) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  lua_setfield(L, -2, name);
}

// Some put what they open elsewhere too, which is put back.
static int open_libraries(lua_State *L) {
  int body = 1, old_globals = 2, old_strings = 3, globals = 4;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushliteral(L, "");
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_remove(L, -2);
  lua_newtable(L);
  lua_pushvalue(L, globals);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushcfunction(L, luaopen_base);
  int status = lua_pcall(L, 0, 0, 0);
  lua_pushvalue(L, old_globals);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  if (status != LUA_OK) return lua_error(L);
  open_into_globals(L, LUA_STRLIBNAME, luaopen_string);
  lua_pushliteral(L, "");
  lua_pushvalue(L, old_strings);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  open_into_globals(L, LUA_COLIBNAME, luaopen_coroutine);
  open_into_globals(L, LUA_TABLIBNAME, luaopen_table);
  open_into_globals(L, LUA_MATHLIBNAME, luaopen_math);
  open_into_globals(L, LUA_DBLIBNAME, luaopen_debug);
  lua_getfield(L, globals, LUA_COLIBNAME);
  lua_pushvalue(L, body);
  lua_insert(L, -2);
  ic_coroutine_open(L);
  lua_settop(L, globals);
  return 1;
}

static int require_ours(lua_State *L);

// Pushes a `require` that knows our modules, and the script's other ones.
static void push_require(lua_State *L, const ic_lua_body *body) {
  lua_pushlightuserdata(L, (void *)body);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &require_key);
  lua_pushcclosure(L, require_ours, 2);
}

// Pushes the globals of our code: a script may call a variable of its own `type`
// or `next`, and must not break what runs it. Of `os`, `io`, `package` and `utf8`
// it has the script's tables; `_G` is the script's too.
static void push_globals(lua_State *L, const ic_lua_body *body) {
  static const char *const shared[] = {LUA_OSLIBNAME, LUA_IOLIBNAME,
                                       LUA_LOADLIBNAME, LUA_UTF8LIBNAME};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_pushcfunction(L, open_libraries);
  lua_pushlightuserdata(L, (void *)body);
  lua_call(L, 1, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
    lua_getfield(L, -1, shared[i]);
    lua_setfield(L, -3, shared[i]);
  }
  lua_pop(L, 1);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, LUA_GNAME);
  push_require(L, body);
  lua_setfield(L, -2, "require");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
}

// Pushes a file's chunk; _ENV is the script's globals.
static void push_chunk(lua_State *L, size_t index) {
  const ic_bundle_file *file = &ic_bundle_files[index];
  const bytecode *code = atomic_load(&compiled[index]);
  int status;
  if (code) {
    status = luaL_loadbufferx(L, code->bytes, code->size, file->name, "b");
  } else {
    lua_pushfstring(L, "=%s", file->name);
    status = luaL_loadbufferx(L, (const char *)file->bytes, file->size,
                              lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    if (status == LUA_OK) keep_bytecode(L, index);
  }
  if (status != LUA_OK) lua_error(L);
}

// Takes the module on the top to be the one of the name. Stack: [-0, +0].
static void keep_module(lua_State *L, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

// --- isolate_cluster.core ---------------------------------------------------

// IsolateCluster.encode(value) -> bytes | nil, message, code
static int encode(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  if (lua_isnone(L, 1)) {
    return luaL_error(L, "IsolateCluster.encode wants a value, got nothing");
  }
  ic_status status = ic_sending_encode_bytes(L, body, 1);
  if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  ic_sending_tell_askers(body, NULL);
  ic_buffer *encoded = &body->scratch.encoded;
  lua_pushlstring(L, (const char *)encoded->bytes, encoded->size);
  // One huge value must not cost the isolate that memory for good.
  if (ic_buffer_held(encoded) > IC_VALUE_KEPT_BYTES) ic_buffer_fini(encoded);
  return 1;
}

// As check.describe has it, of what is no string.
static const char *describe(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type == LUA_TNONE || type == LUA_TNIL) return "nil";
  if (type == LUA_TNUMBER || type == LUA_TBOOLEAN) {
    return luaL_tolstring(L, index, NULL);
  }
  return lua_pushfstring(L, "a %s", lua_typename(L, type));
}

// IsolateCluster.decode(bytes) -> value | nil, message, code
static int decode(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  size_t size;
  if (lua_type(L, 1) != LUA_TSTRING) {
    return luaL_error(
        L, "what IsolateCluster.decode reads must be a string, got %s",
        describe(L, 1));
  }
  const char *bytes = lua_tolstring(L, 1, &size);
  const ic_message *outer = body->decoding;
  body->decoding = NULL;
  ic_status status = ic_value_decode(L, &body->scratch, &body->hooks,
                                     (const uint8_t *)bytes, size);
  body->decoding = outer;
  if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  return 1;
}

// captured(function) -> the name of a captured local, where | nil, or false if
// the function is one of C
static int captured(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (lua_iscfunction(L, 1)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, 1, i)) != NULL; i++) {
    lua_pop(L, 1);
    if (strcmp(name, "_ENV") == 0) continue;
    lua_Debug where;
    lua_pushvalue(L, 1);
    lua_getinfo(L, ">S", &where);
    lua_pushstring(L, name);
    lua_pushfstring(L, "%s:%d", where.short_src, where.linedefined);
    return 2;
  }
  lua_pushnil(L);
  return 1;
}

typedef struct {
  bool has_begun;
  luaL_Buffer bytes;
} dump_result;

static int add_bytes(lua_State *L, const void *bytes, size_t size, void *out) {
  dump_result *result = out;
  if (!result->has_begun) luaL_buffinit(L, &result->bytes);
  result->has_begun = true;
  luaL_addlstring(&result->bytes, bytes, size);
  return 0;
}

// dump(function) -> its bytecode. A sandbox has no string.dump, for us neither.
static int dump(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  dump_result result = {0};
  if (lua_dump(L, add_bytes, &result, 0) != 0) {
    return luaL_error(L, "the function is one of C");
  }
  luaL_pushresult(&result.bytes);
  return 1;
}

// Not kept in isolates from the beginning: few use any of it.
static void push_core(lua_State *L, ic_lua_body *body) {
  static const luaL_Reg functions[] = {{"encode", encode},
                                       {"decode", decode},
                                       {"captured", captured},
                                       {"dump", dump},
                                       {NULL, NULL}};
  lua_pushlightuserdata(L, body);
  lua_newtable(L);
  ic_body_set_functions(L, -2, functions);
  lua_pushliteral(L, IC_VERSION);
  lua_setfield(L, -2, "version_text");
  ic_driving_open(L);
  ic_context_open(L);
  ic_lua_ref_open(L);
  ic_node_open(L);
  ic_spawning_open(L);
  ic_sandbox_open(L);
  if (body->is_host) ic_simulation_open(L);
  lua_remove(L, -2);
}

// --- Our require ------------------------------------------------------------

// require(name) -> the module: one of ours, once for a state; else what the
// script's require gives, the second upvalue
static int require_ours(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  const char *name = luaL_checkstring(L, 1);
  bool is_core = strcmp(name, IC_CORE_NAME) == 0;
  size_t index = find_file(name);
  lua_settop(L, 1);
  if (!is_core && index == ic_bundle_count) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  lua_settop(L, 1);
  if (is_core) {
    push_core(L, body);
  } else {
    push_chunk(L, index);
    push_globals(L, body);
    lua_setupvalue(L, -2, 1);  // _ENV
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
  }
  keep_module(L, name);
  return 1;
}

// What the searcher gives to the script's require.
static int load_ours(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

// One of package.searchers: our modules need no path.
static int search_ours(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strcmp(name, IC_CORE_NAME) != 0 && find_file(name) == ic_bundle_count) {
    lua_pushliteral(L, "no module of Isolate Cluster");
    return 1;
  }
  push_require(L, ic_body_of(L));
  lua_pushcclosure(L, load_ours, 1);
  return 1;
}

// Puts the searcher behind that of package.preload.
static void install_searcher(lua_State *L, ic_lua_body *body) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i > 1; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushlightuserdata(L, body);
  ic_body_push_function(L, -1, search_ours);
  lua_rawseti(L, -3, 2);
  lua_pop(L, 1);
  lua_pop(L, 2);
  lua_getglobal(L, "require");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &require_key);
}

// Before anything of ours is in the state.
static void install_first(lua_State *L, ic_lua_body *body) {
  luaL_checkstack(L, 16, "a module");
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
  lua_pushlightuserdata(L, body);
  ic_lua_ref_install(L);
  ic_turns_install(L);
  lua_pop(L, 1);
}

void ic_module_require(lua_State *L, ic_lua_body *body, const char *name) {
  push_require(L, body);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

// --- What isolates have at once ---------------------------------------------

void ic_module_rest(lua_State *L, ic_lua_body *body) {
  ic_module_require(L, body, "isolate_cluster.isolate");
}

void ic_module_begin(lua_State *L, ic_lua_body *body) {
  install_first(L, body);
  install_searcher(L, body);
  ic_context_install(L);
}

// --- The host script's body -------------------------------------------------

static const char host_key;  // registry: the host script's body

static int free_host(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, 1);
  ic_isolate *isolate = body->base.isolate;
  body->running = NULL;
  if (isolate) {
    ic_outsiders_leave(isolate);
    ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  }
  ic_body_fini(body);
  ic_scheduler_adopt(NULL);
  ic_isolate_release(isolate);
  body->base.isolate = NULL;
  return 0;
}

static ic_lua_body *push_host_body(lua_State *L) {
  static const ic_body_class class = {.interrupt = ic_body_interrupt};
  ic_lua_body *body = lua_newuserdatauv(L, sizeof *body, 0);
  ic_body_init(body);
  body->base.class = &class;
  body->is_host = true;
  body->L = L;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_host);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (ic_isolate_new("(host script)", &body->base.isolate) != IC_OK) {
    luaL_error(L, "not enough memory for a host script");
  }
  body->base.isolate->body = &body->base;
  ic_outsiders_enter(body->base.isolate);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
  return body;
}

int luaopen_isolate_cluster(lua_State *L) {
  lua_settop(L, 0);
  ic_lua_body *body = push_host_body(L);
  install_first(L, body);
  install_searcher(L, body);
  ic_module_require(L, body, "isolate_cluster");
  return 1;
}

static ic_lua_body *host_body(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  ic_lua_body *body = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return body;
}

// What the first opens knows the way to the second.
int luaopen_isolate_cluster_testing(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "isolate_cluster");
  lua_call(L, 1, 0);
  ic_module_require(L, host_body(L), "isolate_cluster.testing");
  return 1;
}

// --- The command's script ---------------------------------------------------

void ic_module_require_in_host(lua_State *L, const char *name) {
  ic_module_require(L, host_body(L), name);
}

struct ic_host {
  ic_isolate *isolate;
  ic_thread thread;
};

ic_host *ic_module_adopt(lua_State *L) {
  static ic_host host;  // one thread is the process's first
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  lua_getglobal(L, LUA_COLIBNAME);
  ic_coroutine_open(L);
  lua_pop(L, 2);
  ic_process_install(L);
  ic_lua_body *body = host_body(L);
  body->output.out.file = stdout;
  body->output.out.is_own = true;
  ic_output_install_print(L, &body->output.out);
  body->running = L;
  ic_scheduler_adopt(body->base.isolate);
  host = (ic_host){ic_isolate_hold(body->base.isolate), ic_thread_self()};
  return &host;
}

void ic_module_interrupt(ic_host *host) {
  ic_isolate_condemn(host->isolate, IC_REASON_KILLED);
  ic_isolate_wake(host->isolate);
  ic_thread_interrupt(host->thread);
}

bool ic_module_is_interrupted(const ic_host *host) {
  return atomic_load(&host->isolate->killed) != NULL;
}

void ic_module_disown(ic_host *host) {
  ic_scheduler_adopt(NULL);
  ic_isolate_release(host->isolate);
  host->isolate = NULL;
}
