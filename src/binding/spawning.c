// spawning.c - what is spawned is taken off the stack, then handed to the cluster.

#include "binding/spawning.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/limit_options.h"
#include "binding/node.h"
#include "binding/ref.h"
#include "binding/sandbox.h"
#include "binding/sending.h"
#include "core/escape.h"

// The arguments, and what is pushed behind them.
enum {
  PATH = 2,  // behind the cluster's handle
  KIND,
  ENTRY,
  PROPERTIES,
  REQUEST,
  SHARED,
  SUPERVISED,
  SANDBOX,
  LIMITS,
  PACKAGE_PATH,
  PACKAGE_CPATH
};

// The copy of a string on the stack; NULL where there is none, or no memory.
static char *copy_string(lua_State *L, int index) {
  const char *text =
      lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
  return text ? strdup(text) : NULL;
}

// A string has its bytes; false: none; nil: the cluster's, which is not meant for what
// is our own code. False: no memory.
static bool read_sandbox(lua_State *L, ic_entry_kind kind, ic_bytes *out) {
  const ic_bytes *usual = &ic_node_check_cluster(L)->sandbox;
  if (lua_type(L, SANDBOX) == LUA_TSTRING) {
    size_t size;
    const char *bytes = lua_tolstring(L, SANDBOX, &size);
    return ic_bytes_copy(bytes, size, out);
  }
  if (!lua_isnil(L, SANDBOX) || !usual->data || kind == IC_ENTRY_SUPERVISOR) {
    return true;
  }
  return ic_bytes_copy(usual->data, usual->size, out);
}

// Keeps the bytecode of a function. Errors: IC_MEMORY.
static ic_status read_function(lua_State *L, ic_entry *out) {
  ic_buffer code;
  ic_buffer_init(&code, 0);
  lua_pushvalue(L, ENTRY);
  int failed = lua_dump(L, ic_body_write, &code, 0);
  lua_pop(L, 1);
  out->size = code.size;
  out->bytes = failed ? NULL : ic_buffer_copy(&code);
  ic_buffer_fini(&code);
  return out->bytes ? IC_OK : IC_MEMORY;
}

static ic_status read_code(lua_State *L, ic_entry *out) {
  if (out->kind == IC_ENTRY_SUPERVISOR) {
    return ic_sending_encode(L, ic_body_of(L), ENTRY, "supervisor", &out->plan);
  }
  if (out->kind == IC_ENTRY_FUNCTION) return read_function(L, out);
  out->bytes = copy_string(L, ENTRY);
  return out->bytes ? IC_OK : IC_MEMORY;
}

// The entry, the search paths and the sandbox. Never raises. Errors: IC_MEMORY; of a
// supervisor's plan also IC_UNSENDABLE and IC_GONE, whose text is in the body's scratch.
static ic_status read_entry(lua_State *L, ic_entry_kind kind, ic_entry *out) {
  *out = (ic_entry){.kind = kind};
  ic_status status = read_code(L, out);
  if (status == IC_OK && !read_sandbox(L, kind, &out->sandbox)) {
    status = IC_MEMORY;
  }
  if (status != IC_OK) {
    ic_entry_fini(out);
    return status;
  }
  out->package_path = copy_string(L, PACKAGE_PATH);
  out->package_cpath = copy_string(L, PACKAGE_CPATH);
  return IC_OK;
}

// Of the library's table, even where the script has no global that names it.
static void push_package_field(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
    lua_getfield(L, -1, name);
  } else {
    lua_pushnil(L);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static int push_failure(lua_State *L, ic_status status, const char *path,
                        char *text) {
  if (text) {
    lua_pushstring(L, text);
    free(text);
  } else if (status == IC_MEMORY) {
    lua_pushliteral(L, "not enough memory, or no more threads");
  } else if (status == IC_IN_USE) {
    lua_pushfstring(L, "path in use: %s", path);
  } else {
    lua_pushstring(L, ic_status_text(status));
  }
  return ic_lua_ref_fail(L, status, lua_tostring(L, -1));
}

// A sandboxed isolate has a limit of memory, and what it spawns no wider ones.
static void confine_limits(const ic_lua_body *spawner, ic_limits *limits) {
  if (spawner->is_confined) {
    ic_limits_meet(limits, &spawner->base.isolate->limits);
  }
  if (limits->memory_bytes == 0) limits->memory_bytes = IC_SANDBOX_MEMORY_BYTES;
}

// Makes a body of the entry, and starts it. Takes the properties, whatever comes.
// Never raises: until the cluster has all, it is in hand. [text]: the caller's, or NULL.
static ic_status hand_over(lua_State *L, ic_entry_kind kind, ic_start *start,
                           ic_isolate **out, char **text) {
  ic_lua_body *body = ic_body_of(L);
  ic_entry entry;
  *text = NULL;
  ic_escape_forbid();
  ic_status status = read_entry(L, kind, &entry);
  if (status == IC_OK) {
    if (entry.sandbox.data) confine_limits(body, &start->limits);
    ic_lua_body *created = ic_body_new(&entry);
    if (!created) status = IC_MEMORY;
    if (created) start->body = &created->base;
  }
  if (status == IC_OK) {
    status = ic_cluster_start(ic_node_check_cluster(L), start, out, text);
  } else {
    ic_message_free(start->properties);
  }
  ic_escape_permit();
  return status;
}

// spawn(handle, path | nil, kind, entry, properties | nil, request,
//       isShared | nil, isSupervised | nil, sandbox | nil, limits | nil)
//   -> ref | nil, message, code | false: the outcome comes as an event
static int spawn(lua_State *L) {
  static const char *const kinds[] = {"function", "source",     "file",
                                      "module",   "supervisor", NULL};
  ic_lua_body *body = ic_body_of(L);
  const ic_cluster *cluster = ic_node_check_cluster(L);
  const char *path = luaL_optstring(L, PATH, NULL);
  ic_entry_kind kind = (ic_entry_kind)luaL_checkoption(L, KIND, NULL, kinds);
  ic_start start = {.path = path,
                    .load_later = kind == IC_ENTRY_MODULE,
                    .shared = lua_isnoneornil(L, SHARED)
                                  ? cluster->shared
                                  : lua_toboolean(L, SHARED),
                    .supervised = lua_toboolean(L, SUPERVISED),
                    .limits = cluster->limits,
                    .spawner = body->base.isolate,
                    .family_most = body->is_confined ? body->family_most : 0,
                    .request = (uint64_t)luaL_checkinteger(L, REQUEST)};
  if (!ic_reach_covers(&body->reach, path ? path : "/")) {
    return ic_sandbox_deny(L, path ? path : "/");
  }
  luaL_argexpected(L, !body->is_confined || lua_isstring(L, SANDBOX), SANDBOX,
                   "sandbox");
  ic_limit_options_read(L, LIMITS, &start.limits);
  lua_settop(L, LIMITS);
  push_package_field(L, "path");
  push_package_field(L, "cpath");
  if (!lua_isnil(L, PROPERTIES)) {
    ic_status status =
        ic_sending_encode(L, body, PROPERTIES, "properties", &start.properties);
    ic_sending_tell_askers(body, NULL);
    if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  }
  ic_isolate *isolate;
  char *text;
  ic_status status = hand_over(L, kind, &start, &isolate, &text);
  if (status == IC_UNSENDABLE || status == IC_GONE) {  // a supervisor's plan
    return ic_lua_ref_fail_value(L, body, status);
  }
  if (status != IC_OK) return push_failure(L, status, path, text);
  if (!start.load_later) {
    ic_lua_ref_push_counted(L, body, isolate);
    return 1;
  }
  ic_isolate_release(isolate);
  lua_pushboolean(L, 0);
  return 1;
}

void ic_spawning_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", spawn}, {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
}
