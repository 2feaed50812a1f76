// module.c - puts the C functions and the bundled Lua code into a state.
//
// The Lua code is compiled once for the process; states load the bytecode.

#include "binding/module.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "binding/body.h"
#include "binding/bundle.h"
#include "binding/coroutine.h"
#include "binding/envelope.h"
#include "binding/node.h"
#include "binding/process.h"
#include "binding/ref.h"
#include "binding/sandbox.h"
#include "binding/simulation.h"

// --- The bundled code -------------------------------------------------------

typedef struct {
  size_t size;
  char bytes[];
} bytecode;

enum { BUNDLE_MAX = 32 };

// Set once each, and kept for the life of the process.
static _Atomic(bytecode *) compiled[BUNDLE_MAX];

static int write_bytes(lua_State *L, const void *bytes, size_t size,
                       void *out) {
  (void)L;
  return ic_buffer_append(out, bytes, size) == IC_OK ? 0 : 1;
}

// Keeps the bytecode of the function on the top for the other states. Where
// there is no memory for it, they compile it again.
static void keep_bytecode(lua_State *L, size_t index) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, sizeof(bytecode));
  if (lua_dump(L, write_bytes, &buffer, 0) != 0) {
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

static const char globals_key;  // registry: the globals of our Lua code

// Pushes a copy of the table on the top. Stack: [-0, +1].
static void push_copy(lua_State *L) {
  int original = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, original)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

// Our code has globals of its own: a script may call a variable of its own
// `type` or `next`, and must not break what runs it. Of `os`, `io` and `package`
// it sees the script's tables, as it changes them.
static void make_globals(lua_State *L) {
  static const char *const libraries[] = {"coroutine", "debug", "math",
                                          "string", "table"};
  lua_pushglobaltable(L);
  push_copy(L);
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
    if (lua_getfield(L, -1, libraries[i]) == LUA_TTABLE) {
      push_copy(L);
      lua_setfield(L, -3, libraries[i]);
    }
    lua_pop(L, 1);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
  lua_pop(L, 1);
}

// The loader of a bundled module: pushes what the module returns.
static int load_bundled(lua_State *L) {
  size_t index = (size_t)lua_tointeger(L, lua_upvalueindex(1));
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
  if (status != LUA_OK) return lua_error(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
  lua_setupvalue(L, -2, 1);  // _ENV
  lua_pushstring(L, file->name);
  lua_call(L, 1, 1);
  return 1;
}

// --- isolate_cluster.core ---------------------------------------------------

// IsolateCluster.encode(value) -> bytes | nil, message, code
static int encode(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  if (lua_isnone(L, 1)) {
    return luaL_error(L, "IsolateCluster.encode wants a value, got nothing");
  }
  ic_message *message;
  ic_status status = ic_lua_ref_encode(L, body, 1, "message", &message);
  if (status != IC_OK) return ic_lua_ref_fail(L, status, body->scratch.text);
  ic_lua_ref_tell_askers(body, NULL);
  body->current = message;  // freed by the body, should the next line raise
  lua_pushlstring(L, (const char *)message->bytes, message->value_size);
  ic_body_free_current(body);
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
  if (status != IC_OK) return ic_lua_ref_fail(L, status, body->scratch.text);
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

static void push_core(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", encode},
                                       {"decode", decode},
                                       {"captured", captured},
                                       {"dump", dump},
                                       {NULL, NULL}};
  int body = lua_gettop(L);
  lua_newtable(L);
  lua_pushvalue(L, body);
  luaL_setfuncs(L, functions, 1);
  lua_pushliteral(L, IC_VERSION);
  lua_setfield(L, -2, "version_text");
  lua_pushvalue(L, body);
  ic_envelope_open(L);
  lua_insert(L, -2);  // the body again, below the table
  ic_body_open(L);
  ic_lua_ref_open(L);
  ic_node_open(L);
  ic_sandbox_open(L);
  ic_simulation_open(L);
  lua_remove(L, -2);
}

void ic_module_install(lua_State *L) {
  luaL_checkstack(L, 8, "a module");
  make_globals(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (size_t i = 0; i < ic_bundle_count; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushcclosure(L, load_bundled, 1);
    lua_setfield(L, -2, ic_bundle_files[i].name);
  }
  lua_pop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  push_core(L);
  lua_remove(L, -2);
  lua_setfield(L, -2, "isolate_cluster.core");
  lua_pop(L, 1);
}

void ic_module_require(lua_State *L, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
  lua_getfield(L, -1, "require");
  lua_remove(L, -2);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

// --- The host script's body -------------------------------------------------

static const char host_key;  // registry: the host script's body

static int free_host(lua_State *L) {
  ic_lua_body *body = lua_touserdata(L, 1);
  ic_isolate *isolate = body->base.isolate;
  body->running = NULL;
  if (isolate) ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_body_fini(body);
  ic_scheduler_adopt(NULL);
  ic_isolate_release(isolate);
  body->base.isolate = NULL;
  return 0;
}

static void push_host_body(lua_State *L) {
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
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
}

int luaopen_isolate_cluster(lua_State *L) {
  lua_settop(L, 0);
  push_host_body(L);
  ic_module_install(L);
  ic_module_require(L, "isolate_cluster");
  return 1;
}

// What the first opens puts into package.preload is found by the second.
int luaopen_isolate_cluster_testing(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "isolate_cluster");
  lua_call(L, 1, 0);
  ic_module_require(L, "isolate_cluster.testing");
  return 1;
}

// --- The command's script ---------------------------------------------------

static ic_lua_body *host_body(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  ic_lua_body *body = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return body;
}

void ic_module_share_by_default(lua_State *L) {
  host_body(L)->default_shared = true;
}

struct ic_host {
  ic_isolate *isolate;
  ic_thread thread;
};

ic_host *ic_module_adopt(lua_State *L) {
  static ic_host host;  // one thread is the process's first
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  ic_coroutine_install(L);
  lua_pop(L, 1);
  ic_output_install_print(L, stdout);
  ic_process_install(L);
  ic_lua_body *body = host_body(L);
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
