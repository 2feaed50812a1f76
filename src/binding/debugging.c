// debugging.c - in place of Lua's functions, which take the same arguments.

#include "binding/debugging.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <string.h>

// --- Metatables -------------------------------------------------------------

// Pushes what the userdata at [index] shows in place of its metatable; false, and
// nothing, for what shows it.
static bool push_shown(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TUSERDATA &&
         luaL_getmetafield(L, index, "__metatable") != LUA_TNIL;
}

// getmetatable(value): that of a userdata as Lua's plain getmetatable has it
static int get_metatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (!push_shown(L, 1) && !lua_getmetatable(L, 1)) lua_pushnil(L);
  return 1;
}

// setmetatable(value, table | nil) -> value
static int set_metatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2,
                   "nil or table");
  if (push_shown(L, 1)) {
    return luaL_error(L, "cannot change a protected metatable");
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

// --- The registry -----------------------------------------------------------

// What Lua and its libraries keep there by name, and the first two, which are
// documented. All else is of functions in C, that find it again.
static bool is_shown(lua_State *L, int key) {
  static const char ours[] = "isolate_cluster.";
  if (lua_isinteger(L, key)) {
    lua_Integer number = lua_tointeger(L, key);
    return number >= 1 && number <= LUA_RIDX_LAST;
  }
  return lua_type(L, key) == LUA_TSTRING &&
         strncmp(lua_tostring(L, key), ours, sizeof ours - 1) != 0;
}

// getregistry() -> a copy of it
static int get_registry(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, LUA_REGISTRYINDEX)) {
    if (is_shown(L, 2)) {
      lua_pushvalue(L, 2);
      lua_insert(L, 3);
      lua_rawset(L, 1);
    } else {
      lua_pop(L, 1);
    }
  }
  return 1;
}

// --- Upvalues ---------------------------------------------------------------

// The upvalue's number; 0: the function is one of C, which shows none.
static int check_upvalue(lua_State *L) {
  lua_Integer number = luaL_checkinteger(L, 2);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  return lua_iscfunction(L, 1) || number < 1 || number > 255 ? 0 : (int)number;
}

// getupvalue(function, number) -> name, value
static int get_upvalue(lua_State *L) {
  int number = check_upvalue(L);
  const char *name = number ? lua_getupvalue(L, 1, number) : NULL;
  if (!name) return 0;
  lua_pushstring(L, name);
  lua_insert(L, -2);
  return 2;
}

// setupvalue(function, number, value) -> name
static int set_upvalue(lua_State *L) {
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  int number = check_upvalue(L);
  const char *name = number ? lua_setupvalue(L, 1, number) : NULL;
  if (!name) return 0;
  lua_pushstring(L, name);
  return 1;
}

// upvalueid(function, number) -> what tells it from others
static int upvalue_id(lua_State *L) {
  int number = check_upvalue(L);
  if (number && lua_getupvalue(L, 1, number)) {
    lua_pushlightuserdata(L, lua_upvalueid(L, 1, number));
  } else {
    luaL_pushfail(L);
  }
  return 1;
}

void ic_debugging_install(lua_State *L) {
  static const luaL_Reg functions[] = {{"getmetatable", get_metatable},
                                       {"setmetatable", set_metatable},
                                       {"getregistry", get_registry},
                                       {"getupvalue", get_upvalue},
                                       {"setupvalue", set_upvalue},
                                       {"upvalueid", upvalue_id},
                                       {NULL, NULL}};
  lua_getglobal(L, LUA_DBLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
