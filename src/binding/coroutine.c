// coroutine.c - resuming with the body's knowledge.

#include "binding/coroutine.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "binding/ending.h"

#define STOPPED "the isolate is being stopped"

// Wherever the state's code tries to go on, it yields, and is never resumed:
// unlike an error, that runs no message handler and no __close, in which no hook
// is called. Only instructions can yield, and no C function may be in between; it
// gets an error.
static void give_up(lua_State *L, lua_Debug *activation) {
  ic_lua_body *body = ic_ending_body_of(L);
  if (body) ic_ending_note_line(body, L);
  if (!lua_isyieldable(L)) {
    luaL_error(L, STOPPED);
  } else if (activation->event == LUA_HOOKCOUNT) {
    lua_yield(L, 0);
  }
}

// Each instruction and call from now on gives up, and so does what catches that:
// no pcall gets further than one step.
static void make_give_up(lua_State *L) {
  lua_sethook(L, give_up, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void ic_body_interrupt(ic_body *base) {
  lua_State *running = ((ic_lua_body *)base)->running;
  if (running) make_give_up(running);
}

_Noreturn void ic_body_give_up(ic_lua_body *body, lua_State *L) {
  ic_body_interrupt(&body->base);
  ic_ending_note_line(body, L);
  if (lua_isyieldable(L)) lua_yield(L, 0);
  luaL_error(L, STOPPED);
  abort();  // neither of them returns
}

// A signal that comes while [running] changes may mark the wrong coroutine; the
// check behind the change makes up for it, as the flag was set before.
static void set_running(ic_lua_body *body, lua_State *L) {
  body->running = L;
  if (L && ic_body_is_killed(body)) {
    make_give_up(L);
  } else if (L && body->is_pressed) {
    ic_ending_press(body, L);
  }
}

int ic_body_resume(ic_lua_body *body, lua_State *co, lua_State *from,
                   int arguments, int *results) {
  lua_State *outer = body->running;
  ic_ending_check_stack(body);
  set_running(body, co);
  int status = lua_resume(co, from, arguments, results);
  set_running(body, outer);
  return status;
}

// Moves the arguments over, resumes, and moves the results back: their number,
// or -1 with an error value on the top.
static int transfer(lua_State *L, lua_State *co, int arguments) {
  ic_lua_body *body = ic_body_of(L);
  if (!lua_checkstack(co, arguments)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, arguments);
  int results;
  int status = ic_body_resume(body, co, L, arguments, &results);
  body->awaiting = false;  // whoever resumed knows that it waits
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, results);
  return results;
}

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");  // as Lua's own says
  return co;
}

static int resume(lua_State *L) {
  lua_State *co = check_thread(L);
  int results = transfer(L, co, lua_gettop(L) - 1);
  int count = results < 0 ? 1 : results;
  lua_pushboolean(L, results >= 0);
  lua_insert(L, -(count + 1));
  return count + 1;
}

int ic_coroutine_close(ic_lua_body *body, lua_State *co) {
  lua_State *outer = body->running;
  ic_ending_check_stack(body);
  set_running(body, co);  // its __close metamethods run there
  int status = lua_resetthread(co);
  if (body->entry_co == co) body->entry_co = NULL;
  set_running(body, outer);
  return status;
}

// The function that wrap gives; the coroutine is its second upvalue.
static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int results = transfer(L, co, lua_gettop(L));
  if (results >= 0) return results;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD &&
      !ic_body_is_killed(ic_body_of(L))) {
    status = ic_coroutine_close(ic_body_of(L), co);
    if (status != LUA_OK) lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));  // a host script's body, or nil
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 2);
  return 1;
}

static bool may_be_closed(lua_State *L, lua_State *co) {
  if (co == L || lua_status(co) == LUA_YIELD) return co != L;
  lua_Debug frame;  // a coroutine that runs, or resumed another, has one
  return lua_status(co) != LUA_OK || !lua_getstack(co, 0, &frame);
}

static int close(lua_State *L) {
  lua_State *co = check_thread(L);
  if (!may_be_closed(L, co)) {
    return luaL_error(L, "cannot close a %s coroutine",
                      co == L ? "running" : "normal");
  }
  if (ic_coroutine_close(ic_body_of(L), co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

void ic_coroutine_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"resume", resume}, {"wrap", wrap}, {"close", close}, {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
}
