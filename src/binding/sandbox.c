// sandbox.c - a sandbox comes as the bytes of a value that sandbox.lua reads.

#include "binding/sandbox.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/module.h"
#include "binding/ref.h"

void ic_sandbox_apply(lua_State *L, ic_lua_body *body) {
  const ic_bytes *sandbox = &body->entry.sandbox;
  if (!sandbox->data) return;
  ic_module_require(L, body, "isolate_cluster.sandbox");
  lua_getfield(L, -1, "apply");
  lua_pushlstring(L, sandbox->data, sandbox->size);
  lua_pushboolean(L, body->entry.sandbox_is_option);
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}

int ic_sandbox_deny(lua_State *L, const char *path) {
  lua_pushfstring(L, "the sandbox does not reach %s", path);
  return ic_lua_ref_fail(L, IC_DENIED, lua_tostring(L, -1));
}

// The bytes that the prefixes of the array at [index] need.
static size_t measure(lua_State *L, int index) {
  size_t size = 0;
  for (lua_Integer i = 1; lua_geti(L, index, i) == LUA_TSTRING; i++) {
    size += lua_rawlen(L, -1) + 1;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return size;
}

// confine(prefixes | nil, isolates): from now on the isolate is sandboxed, reaches
// what is beneath these, or all, and its family is of so many at most
static int confine(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  body->is_confined = true;
  lua_Integer most = luaL_checkinteger(L, 2);
  body->family_most = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
  if (lua_isnoneornil(L, 1)) return 0;
  size_t size = measure(L, 1);
  char *prefixes = malloc(size + 1);
  if (!prefixes) return luaL_error(L, "not enough memory for a sandbox");
  ic_reach_fini(&body->reach);
  body->reach = (ic_reach){prefixes, size};
  for (lua_Integer i = 1; lua_geti(L, 1, i) == LUA_TSTRING; i++) {
    size_t length;
    const char *prefix = lua_tolstring(L, -1, &length);
    memcpy(prefixes, prefix, length + 1);
    prefixes += length + 1;
    lua_pop(L, 1);
  }
  return 0;
}

// isConfined() -> boolean
static int is_confined(lua_State *L) {
  lua_pushboolean(L, ic_body_of(L)->is_confined);
  return 1;
}

void ic_sandbox_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"confine", confine}, {"isConfined", is_confined}, {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
}
