// limit_options.c - a field that is missing leaves a limit as it is, false lifts
// it.

#include "binding/limit_options.h"

#include <lauxlib.h>

static void read_size(lua_State *L, int index, const char *name, size_t *out) {
  if (lua_getfield(L, index, name) != LUA_TNIL) {
    *out = lua_toboolean(L, -1) ? (size_t)luaL_checkinteger(L, -1) : 0;
  }
  lua_pop(L, 1);
}

static void read_seconds(lua_State *L, int index, const char *name,
                         int64_t *out) {
  if (lua_getfield(L, index, name) != LUA_TNIL) {
    double ns = lua_toboolean(L, -1) ? luaL_checknumber(L, -1) * 1e9 : 0;
    *out = ns > 0 && ns < 1 ? 1 : (int64_t)ns;
  }
  lua_pop(L, 1);
}

void ic_limit_options_read(lua_State *L, int index, ic_limits *limits) {
  if (lua_isnoneornil(L, index)) return;
  luaL_checktype(L, index, LUA_TTABLE);
  read_size(L, index, "memory", &limits->memory_bytes);
  read_seconds(L, index, "cpu", &limits->cpu_ns);
  read_seconds(L, index, "cpuTotal", &limits->cpu_total_ns);
  read_size(L, index, "messages", &limits->mailbox_messages);
  read_size(L, index, "bytes", &limits->mailbox_bytes);
  if (lua_getfield(L, index, "whenFull") != LUA_TNIL) {
    limits->when_full = (ic_when_full)luaL_checkinteger(L, -1);
  }
  lua_pop(L, 1);
}
