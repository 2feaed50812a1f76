// driving.c - small functions; what each does for Lua is in front of it.

#include "binding/ending.h"
#include "binding/driving.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/body.h"
#include "binding/ref.h"

static const char *const event_names[] = {[IC_EVENT_REPLY] = "reply",
                                          [IC_EVENT_SPAWNED] = "spawned",
                                          [IC_EVENT_ROOM] = "room",
                                          [IC_EVENT_FULL] = "full",
                                          [IC_EVENT_UP] = "up",
                                          [IC_EVENT_DOWN] = "down",
                                          [IC_EVENT_ENDED] = "ended",
                                          [IC_EVENT_DEAD_LETTER] = "deadLetter",
                                          [IC_EVENT_STUCK] = "stuck",
                                          [IC_EVENT_SHUTDOWN] = "shutdown",
                                          [IC_EVENT_COMMAND] = "command",
                                          [IC_EVENT_TIMER] = "timer",
                                          [IC_EVENT_EMPTY] = "empty",
                                          [IC_EVENT_NODE_DOWN] = "nodeDown",
                                          [IC_EVENT_ERROR] = "error",
                                          [IC_EVENT_ALIVE] = "alive",
                                          [IC_EVENT_FIRST_WAIT] = "firstWait",
                                          [IC_EVENT_END] = "ending",
                                          [IC_EVENT_COUNT] = NULL};

// on(event, function): what handles the event from now on.
static int on(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  int event = luaL_checkoption(L, 1, NULL, event_names);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_unref(L, LUA_REGISTRYINDEX, body->events[event]);
  lua_settop(L, 2);
  body->events[event] = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

// It gets the message too if it has a parameter for it.
void ic_driving_set_handler(lua_State *L, ic_lua_body *body) {
  luaL_unref(L, LUA_REGISTRYINDEX, body->handler);
  body->handler = LUA_NOREF;
  lua_Debug shape;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">u", &shape);
  body->handler_wants_message = shape.nparams > 1 || shape.isvararg;
  body->handler = luaL_ref(L, LUA_REGISTRYINDEX);
}

// setHandler(function | nil): what values go to.
static int set_handler(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) {
    ic_driving_set_handler(L, body);
    return 0;
  }
  luaL_unref(L, LUA_REGISTRYINDEX, body->handler);
  body->handler = LUA_NOREF;
  return 0;
}

// A deadline in seconds of now() as the clock's; nil is never.
static int64_t check_deadline(lua_State *L, int index) {
  if (lua_isnoneornil(L, index)) return IC_NEVER;
  double deadline_ns = luaL_checknumber(L, index) * 1e9;
  // Rounded up, so that a deadline is never found to be not quite there.
  return deadline_ns < 9.2e18 ? (int64_t)deadline_ns + 1 : IC_NEVER;
}

// setDeadline(seconds | nil): when the timer event is due.
static int set_deadline(lua_State *L) {
  ic_body_of(L)->deadline_ns = check_deadline(L, 1);
  return 0;
}

// now() -> seconds of a clock that only goes forward.
static int now(lua_State *L) {
  lua_pushnumber(L, (double)ic_body_now_ns(ic_body_of(L)) / 1e9);
  return 1;
}

// isStarting() -> whether the entry has neither returned nor waited yet
static int is_starting(lua_State *L) {
  lua_pushboolean(L, ic_body_of(L)->is_starting);
  return 1;
}

static int after_yield(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  ic_body_of(L)->lua_waits--;
  return lua_gettop(L);
}

// yield(): waits until somebody who knows the coroutine resumes it.
static int yield(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  lua_settop(L, 0);
  ic_body_await(body, L);
  body->lua_waits++;
  return lua_yieldk(L, 0, 0, after_yield);
}

// setListening(boolean): whether an event other than messages is listened to
static int set_listening(lua_State *L) {
  ic_body_of(L)->listens = lua_toboolean(L, 1);
  return 0;
}

// stop(reason, message | nil, traceback): the isolate ends after what runs now;
// by the error, if there is one.
static int stop(lua_State *L) {
  static const char *const reasons[] = {"done", "error", "shutdown", NULL};
  ic_lua_body *body = ic_body_of(L);
  const char *reason = reasons[luaL_checkoption(L, 1, NULL, reasons)];
  if (!body->stopping && !lua_isnoneornil(L, 2)) {
    size_t message_size, traceback_size;
    const char *message = luaL_checklstring(L, 2, &message_size);
    const char *traceback = luaL_checklstring(L, 3, &traceback_size);
    ic_body_set_error(&body->base, message, message_size, traceback,
                      traceback_size);
    if (body->is_over_memory) reason = IC_REASON_MEMORY;
  }
  ic_body_stop(body, reason);
  return 0;
}

// exit(reason, message | nil, traceback): the isolate ends here and now.
static int exit_now(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  stop(L);
  body->exiting = true;
  ic_body_interrupt(&body->base);
  if (lua_isyieldable(L)) return lua_yield(L, 0);
  return luaL_error(L, "the isolate has called os.exit");
}

static bool is_ours(const char *line, size_t size) {
  static const char stripped[] = "\t?: ", c_function[] = "\t[C]: in ?";
  return strncmp(line, stripped, sizeof stripped - 1) == 0 ||
         (size == sizeof c_function - 1 &&
          strncmp(line, c_function, size) == 0);
}

// How much of a traceback is the script's: at its end is what calls that, which has no
// lines or names that are of use.
static size_t size_of_script(const char *text, size_t size) {
  size_t left = size;
  for (;;) {
    const char *newline = memrchr(text, '\n', left);
    if (!newline || newline[1] != '\t') return size;  // no call is the script's
    size_t before = (size_t)(newline - text);
    if (!is_ours(newline + 1, left - before - 1)) return left;
    left = before;
  }
}

// traceback(coroutine, text) -> text with the coroutine's traceback
static int traceback(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  luaL_traceback(L, co, luaL_checkstring(L, 2), 0);
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  lua_pushlstring(L, text, size_of_script(text, size));
  return 1;
}

// watchEnd(ref) -> the number under which its end comes as the event "ended"
static int watch_end(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref *ref = ic_lua_ref_test(L, 1);
  luaL_argexpected(L, ref, 1, "ref");
  uint64_t number;
  if (ic_watching_add(&body->watching, ref->isolate, body->base.isolate,
                      &number) != IC_OK) {
    return luaL_error(L, "not enough memory to watch an isolate");
  }
  ic_ending_weigh(body);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

// forgetEnd(number): the event does not come any more
static int forget_end(lua_State *L) {
  ic_watching_end(&ic_body_of(L)->watching, (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

static int report(lua_State *L) {
  ic_body_report(ic_body_of(L), luaL_checkstring(L, 1));
  return 0;
}

// countLateReply(cluster key)
static int count_late_reply(lua_State *L) {
  ic_body_count_late_reply(ic_body_of(L), (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

// isPumping() -> whether a turn runs, so that a wait yields
static int is_pumping(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  lua_pushboolean(L, !body->is_host || body->in_turn);
  return 1;
}

// isIsolate() -> false in a host script
static int is_isolate(lua_State *L) {
  lua_pushboolean(L, !ic_body_of(L)->is_host);
  return 1;
}

// pump(deadline): in a host script: waits for something to come, or the
// deadline, and handles what came. -> false where nothing ever will
static int pump(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  lua_pushboolean(L, ic_body_pump(body, L, check_deadline(L, 1)));
  return 1;
}

void ic_driving_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"on", on},
                                       {"setHandler", set_handler},
                                       {"setDeadline", set_deadline},
                                       {"now", now},
                                       {"yield", yield},
                                       {"isStarting", is_starting},
                                       {"setListening", set_listening},
                                       {"stop", stop},
                                       {"exit", exit_now},
                                       {"traceback", traceback},
                                       {"watchEnd", watch_end},
                                       {"forgetEnd", forget_end},
                                       {"report", report},
                                       {"countLateReply", count_late_reply},
                                       {"isPumping", is_pumping},
                                       {"isIsolate", is_isolate},
                                       {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
  if (!((ic_lua_body *)lua_touserdata(L, -2))->is_host) return;
  ic_body_push_function(L, -2, pump);
  lua_setfield(L, -2, "pump");
}
