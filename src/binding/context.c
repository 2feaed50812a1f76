// context.c - four empty tables, and what is done with them before there is more.
//
// The context and its stream of messages are tables, as all streams are; a first
// listener is kept in the stream as stream.lua keeps listeners. Everything else loads
// that, and is then done again: by its metamethods.

#include "binding/context.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "binding/driving.h"
#include "binding/module.h"
#include "binding/ref.h"

// Registry: a list of the four.
static const char shells_key;
enum { CONTEXT = 1, ON_MESSAGE, STREAM_TYPE, SUBSCRIPTION_TYPE };

static void push_shell(lua_State *L, int which) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &shells_key);
  lua_rawgeti(L, -1, which);
  lua_remove(L, -2);
}

void ic_context_push(lua_State *L) {
  push_shell(L, CONTEXT);
}

// --- What the rest does ------------------------------------------------------

// Calls [function] of the rest with the arguments on the stack. What that says of
// misuse it says of its caller, which is none of Lua's; so here it gets the line of
// ours.
static int call_late(lua_State *L, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (status == LUA_OK) return lua_gettop(L);
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static void load_rest(lua_State *L) {
  ic_module_rest(L, ic_body_of(L));
  lua_pop(L, 1);
}

static int get_again(lua_State *L) {
  load_rest(L);
  lua_gettable(L, 1);
  return 1;
}

static int set_again(lua_State *L) {
  load_rest(L);
  lua_settable(L, 1);
  return 0;
}

static int describe_again(lua_State *L) {
  load_rest(L);
  luaL_tolstring(L, 1, NULL);
  return 1;
}

static int call_again(lua_State *L) {
  load_rest(L);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int close_again(lua_State *L) {
  load_rest(L);
  luaL_callmeta(L, 1, "__close");
  return 0;
}

static int late_get(lua_State *L) {
  return call_late(L, get_again);
}

static int late_set(lua_State *L) {
  return call_late(L, set_again);
}

static int late_describe(lua_State *L) {
  return call_late(L, describe_again);
}

static int late_close(lua_State *L) {
  return call_late(L, close_again);
}

// --- The context --------------------------------------------------------------

static int refuse_property(lua_State *L) {
  lua_settop(L, 2);
  ic_module_rest(L, ic_body_of(L));
  lua_getfield(L, -1, "refuseProperty");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

// context:property(key) -> what the spawner gave, or nil
static int property(lua_State *L) {
  lua_settop(L, 2);
  push_shell(L, CONTEXT);
  bool is_method = lua_rawequal(L, 1, -1);
  lua_pop(L, 1);
  if (!is_method || lua_isnil(L, 2)) return call_late(L, refuse_property);
  ic_lua_ref_push_own(L, "properties");
  lua_insert(L, 2);
  lua_gettable(L, 2);
  return 1;
}

static int get_field(lua_State *L) {
  lua_settop(L, 2);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(name, "onMessage") == 0) {
    push_shell(L, ON_MESSAGE);
    return 1;
  }
  if (strcmp(name, "property") == 0) {
    lua_pushcfunction(L, property);
    return 1;
  }
  return ic_lua_ref_push_own(L, name) ? 1 : call_late(L, get_again);
}

// --- The first listener --------------------------------------------------------

static bool is_first_listener(lua_State *L, const ic_lua_body *body) {
  push_shell(L, CONTEXT);
  bool is_plain = lua_gettop(L) == 4 && lua_rawequal(L, 2, 4) &&
                  lua_isfunction(L, 3) && body->handler == LUA_NOREF;
  lua_pop(L, 1);
  return is_plain;
}

// context:onMessage(function) -> a subscription
static int listen(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  if (!is_first_listener(L, body)) return call_late(L, call_again);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "stream");
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "fn");
  push_shell(L, SUBSCRIPTION_TYPE);
  lua_setmetatable(L, -2);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, 1);
  lua_pushliteral(L, "listeners");
  lua_insert(L, -2);
  lua_rawset(L, 1);
  lua_pushvalue(L, 3);
  ic_driving_set_handler(L, body);
  return 1;
}

// --- The end -----------------------------------------------------------------

static int after_exit(lua_State *L, int status, lua_KContext context) {
  (void)L;
  (void)status;
  (void)context;
  return 0;
}

// os.exit(code): the isolate ends, not the process.
static int exit_isolate(lua_State *L) {
  ic_module_rest(L, ic_body_of(L));
  lua_getfield(L, -1, "exit");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_callk(L, lua_gettop(L) - 1, 0, 0, after_exit);
  return 0;
}

// --- Installation ---------------------------------------------------------------

// Makes the table on the top a type that scripts do not see.
static void name_type(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable");
}

// Puts the table on the top into the list below it.
static void keep_shell(lua_State *L, int which) {
  lua_rawseti(L, -2, which);
}

static void make_type(lua_State *L, int which, const char *name,
                      const luaL_Reg *metamethods) {
  lua_newtable(L);
  name_type(L, name);
  luaL_setfuncs(L, metamethods, 0);
  keep_shell(L, which);
}

static void make_stream_types(lua_State *L) {
  static const luaL_Reg of_streams[] = {{"__index", late_get},
                                        {"__tostring", late_describe},
                                        {"__call", listen},
                                        {NULL, NULL}};
  static const luaL_Reg of_subscriptions[] = {
      {"__index", late_get}, {"__close", late_close}, {NULL, NULL}};
  make_type(L, STREAM_TYPE, "stream", of_streams);
  make_type(L, SUBSCRIPTION_TYPE, "subscription", of_subscriptions);
}

static void make_shells(lua_State *L) {
  static const luaL_Reg of_the_context[] = {{"__index", get_field},
                                            {"__newindex", late_set},
                                            {"__tostring", late_describe},
                                            {NULL, NULL}};
  lua_createtable(L, 4, 0);
  make_stream_types(L);
  lua_newtable(L);
  lua_newtable(L);
  name_type(L, "context");
  luaL_setfuncs(L, of_the_context, 0);
  lua_setmetatable(L, -2);
  keep_shell(L, CONTEXT);
  lua_createtable(L, 0, 1);  // for the listeners
  lua_rawgeti(L, -2, STREAM_TYPE);
  lua_setmetatable(L, -2);
  keep_shell(L, ON_MESSAGE);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shells_key);
}

void ic_context_install(lua_State *L) {
  make_shells(L);
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, exit_isolate);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}

// contextShells() -> the context, its metatable, its stream of messages
static int context_shells(lua_State *L) {
  push_shell(L, CONTEXT);
  lua_getmetatable(L, -1);
  push_shell(L, ON_MESSAGE);
  return 3;
}

// streamShells() -> the metatables of streams and of subscriptions
static int stream_shells(lua_State *L) {
  if (ic_body_of(L)->is_host) {
    lua_createtable(L, 4, 0);
    make_stream_types(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &shells_key);
  }
  push_shell(L, STREAM_TYPE);
  push_shell(L, SUBSCRIPTION_TYPE);
  return 2;
}

// isEntry(coroutine) -> whether the entry runs in it
static int is_entry(lua_State *L) {
  const lua_State *co = lua_tothread(L, 1);
  lua_pushboolean(L, co && co == ic_body_of(L)->entry_co);
  return 1;
}

void ic_context_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"contextShells", context_shells},
                                       {"streamShells", stream_shells},
                                       {"property", property},
                                       {"isEntry", is_entry},
                                       {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
}
