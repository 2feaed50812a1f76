// request.c - a slot for each request that waits (requests.h). Its coroutine is anchored
// in the registry, at a place that the slot keeps from its first use on.

#include "binding/ending.h"
#include "binding/request.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "binding/coroutine.h"
#include "binding/ref.h"
#include "binding/sending.h"
#include "core/wait.h"

#define DEFAULT_TIMEOUT 5.0
enum {
  SLOTS_LOOKED_AT = 32
};  // an isolate that had more at once is in no deadlock

// --- The arguments ----------------------------------------------------------

// Pushes a value as a sentence of a complaint has it, as check.lua does.
static const char *describe(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      return lua_pushfstring(L, "the string '%s'", lua_tostring(L, index));
    case LUA_TNUMBER:
    case LUA_TBOOLEAN:
      return luaL_tolstring(L, index, NULL);
    case LUA_TNIL:
    case LUA_TNONE:
      return lua_pushliteral(L, "nil");
    default:
      return lua_pushfstring(L, "a %s", luaL_typename(L, index));
  }
}

// The timeout that is on the top.
static double check_timeout(lua_State *L) {
  if (lua_type(L, -1) != LUA_TNUMBER) {
    luaL_error(L, "option 'timeout' must be a number of seconds, got %s",
               describe(L, -1));
  }
  double timeout = lua_tonumber(L, -1);
  if (!(timeout >= 0)) {
    luaL_error(L, "option 'timeout' must be 0 seconds or more, got %s",
               describe(L, -1));
  }
  return timeout;
}

static void check_names(lua_State *L, int options) {
  lua_pushnil(L);
  while (lua_next(L, options)) {
    lua_pop(L, 1);
    const char *name =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(name, "timeout") == 0 || strcmp(name, "type") == 0) continue;
    luaL_error(L, "unknown option %s of ref:request; it knows timeout, type",
               describe(L, -1));
  }
}

// Reads the options at index 3, and leaves the type at index 4.
static double check_options(lua_State *L) {
  double timeout = DEFAULT_TIMEOUT;
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) {
    lua_pushnil(L);
    return timeout;
  }
  if (!lua_istable(L, 3)) {
    luaL_error(L, "the options of ref:request must be a table, got %s",
               describe(L, 3));
  }
  check_names(L, 3);
  if (lua_getfield(L, 3, "timeout") != LUA_TNIL) timeout = check_timeout(L);
  lua_pop(L, 1);
  int type = lua_getfield(L, 3, "type");
  if (type != LUA_TNIL && type != LUA_TSTRING) {
    luaL_error(L, "option 'type' must be a string or nil, got %s",
               describe(L, -1));
  }
  return timeout;
}

// --- Outcomes ---------------------------------------------------------------

// Pushes nil, a text and a code.
static int push_failure(lua_State *L, const ic_request *request,
                        ic_status status, const char *text) {
  lua_pushnil(L);
  if (text) {
    lua_pushstring(L, text);
  } else if (status == IC_TIMEOUT) {
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%g", request->timeout);
    lua_pushfstring(L, "no reply from %s in %s s", request->asked->path,
                    seconds);
  } else if (status == IC_GONE) {
    lua_pushfstring(L, "the isolate %s has ended", request->asked->path);
  } else {
    lua_pushstring(L, ic_status_text(status));
  }
  lua_pushstring(L, ic_status_name(status));
  return 3;
}

// Pushes what [answer] says; how many values. Raises memory errors.
static int push_answer(ic_lua_body *body, lua_State *L,
                       const ic_request *request, const ic_message *answer) {
  if (answer->status != IC_OK) {
    return push_failure(L, request, answer->status, answer->text);
  }
  if (ic_body_push_value(body, L, answer)) return 1;
  return push_failure(L, request, IC_MALFORMED, body->scratch.text);
}

// A request that still waits for room in a mailbox is not sent any more.
static void withdraw(const ic_lua_body *body, ic_request *request) {
  if (!request->full) return;
  ic_message_free(ic_bound_withdraw(request->full->bound,
                                    &request->full->mailbox, body->base.isolate,
                                    request->number));
  ic_isolate_release(request->full);
  request->full = NULL;
}

static void remove_request(ic_lua_body *body, lua_State *L,
                           ic_request *request) {
  withdraw(body, request);
  for (int i = 0; i < request->holder_count; i++) {
    ic_watching_unshare(&body->watching, request->holders[i]);
  }
  if (request->co) {
    lua_pushboolean(L, 0);  // not nil, which is for places that are free
    lua_rawseti(L, LUA_REGISTRYINDEX, request->anchor);
  }
  ic_requests_remove(&body->requests, request);
}

// Resumes [co], which is on the top of [L] below its [arguments].
static void resume(ic_lua_body *body, lua_State *L, lua_State *co,
                   int arguments) {
  int results = 0;
  lua_xmove(L, co, arguments);
  int status = ic_body_resume(body, co, L, arguments, &results);
  body->awaiting = false;  // that it waits again is known where it does
  if (ic_body_is_killed(body)) {
    // No more of its code is to run.
  } else if (status == LUA_YIELD) {
    lua_pop(co, results);
  } else if (status != LUA_OK) {
    ic_body_report_error(body, L, co);
    ic_coroutine_close(body, co);
  }
}

// Ends [request] with the [count] values on the top, and runs who waits for it,
// unless that was closed. False then.
static bool wake(ic_lua_body *body, lua_State *L, ic_request *request,
                 int count) {
  lua_State *co = request->co;
  lua_rawgeti(L, LUA_REGISTRYINDEX, request->anchor);
  lua_insert(L, -(count + 1));  // anchored here while it runs
  remove_request(body, L, request);
  bool waits = lua_status(co) == LUA_YIELD && lua_checkstack(co, count);
  if (waits) {
    resume(body, L, co, count);
  } else {
    lua_pop(L, count);
  }
  lua_pop(L, 1);
  return waits;
}

// Ends [request] without an answer.
static void fail(ic_lua_body *body, lua_State *L, ic_request *request,
                 ic_status status) {
  if (!request->co) {
    request->done = true;
    request->status = status;
    return;
  }
  luaL_checkstack(L, 8, "a request's end");
  wake(body, L, request, push_failure(L, request, status, NULL));
}

bool ic_request_answer(ic_lua_body *body, lua_State *L) {
  ic_message *answer = body->current;
  if (!(answer->request & IC_REQUEST_BIT)) return false;
  ic_request *request = ic_requests_find(&body->requests, answer->request);
  bool waits = request && !request->done;
  if (waits && !request->co) {
    request->done = true;
    request->status = answer->status;
    request->answer = answer;
    body->current = NULL;
    return true;
  }
  if (waits) {
    luaL_checkstack(L, 8, "an answer");
    int count = push_answer(body, L, request, answer);
    bool is_answer = answer->status == IC_OK;
    uint64_t key = answer->sender ? answer->sender->cluster_key : 0;
    ic_body_free_current(body);
    waits = wake(body, L, request, count);
    if (!waits && is_answer) ic_body_count_late_reply(body, key);
  } else if (answer->status == IC_OK) {
    ic_body_count_late_reply(body,
                             answer->sender ? answer->sender->cluster_key : 0);
  }
  return true;
}

bool ic_request_expire(ic_lua_body *body, lua_State *L) {
  ic_request *first = ic_requests_first(&body->requests);
  if (!first || first->deadline_ns > ic_body_now_ns(body)) return false;
  ic_watchdog_count_call(body->meter);
  if (!first->co) {
    if (first->done) return false;
    fail(body, L, first, IC_TIMEOUT);
    return true;
  }
  fail(body, L, first, IC_TIMEOUT);
  return true;
}

// --- Who may answer ---------------------------------------------------------

// Adds a holder; where there is no room for one more, or no memory, nobody is
// watched any more.
static void add_holder(ic_lua_body *body, ic_request *request,
                       ic_isolate *holder) {
  int count = request->holder_count;
  uint64_t number = 0;
  if (count != IC_REQUEST_UNTRACKED && holder && count < IC_REQUEST_HOLDERS &&
      ic_watching_share(&body->watching, holder, body->base.isolate, &number) ==
          IC_OK) {
    request->holders[request->holder_count++] = number;
    return;
  }
  for (int i = 0; i < count; i++) {
    ic_watching_unshare(&body->watching, request->holders[i]);
  }
  request->holder_count = IC_REQUEST_UNTRACKED;
}

static void remove_holder(ic_request *request, int at) {
  request->holders[at] = request->holders[--request->holder_count];
}

void ic_request_handed(ic_lua_body *body) {
  const ic_message *news = body->current;
  ic_request *request = ic_requests_find(&body->requests, news->request);
  if (!request || request->done) return;
  for (int i = 0; i < request->holder_count; i++) {
    ic_watching_slot *slot =
        ic_watching_find(&body->watching, request->holders[i]);
    if (!slot || slot->watched != news->sender) continue;
    slot->users--;
    remove_holder(request, i);
    break;
  }
  add_holder(body, request, news->reply_to);
}

// Takes the watch with [number] from [request]; true if nobody is left.
static bool is_left_alone(ic_request *request, uint64_t number) {
  for (int i = 0; i < request->holder_count; i++) {
    if (request->holders[i] != number) continue;
    remove_holder(request, i);
    return request->holder_count == 0;
  }
  return false;
}

// What the coroutines that are run do may move the slots and add to them.
void ic_request_holder_ended(ic_lua_body *body, lua_State *L, uint64_t number) {
  ic_requests *requests = &body->requests;
  for (size_t i = 0; i < requests->count; i++) {
    ic_request *request = &requests->slots[i];
    if (!request->number || request->done) continue;
    if (is_left_alone(request, number)) fail(body, L, request, IC_GONE);
    if (ic_body_is_killed(body)) return;
  }
}

// --- Sleeping ---------------------------------------------------------------

// Forgets requests whose coroutine was closed.
bool ic_request_any(ic_lua_body *body, lua_State *L) {
  ic_requests *requests = &body->requests;
  for (size_t i = 0; i < requests->count && requests->waiting > 0; i++) {
    ic_request *request = &requests->slots[i];
    if (!request->number) continue;
    if (!request->co || lua_status(request->co) == LUA_YIELD) return true;
    remove_request(body, L, request);
  }
  return false;
}

// The one isolate that all requests wait for; NULL: there are several, or too many
// requests to look at. [first]: the one that ends first.
static ic_isolate *find_only_holder(ic_lua_body *body, ic_request **first) {
  ic_requests *requests = &body->requests;
  ic_isolate *holder = NULL;
  *first = NULL;
  if (requests->count > SLOTS_LOOKED_AT) return NULL;
  for (size_t i = 0; i < requests->count; i++) {
    ic_request *request = &requests->slots[i];
    if (!request->number) continue;
    if (request->holder_count != 1) return NULL;
    ic_watching_slot *slot =
        ic_watching_find(&body->watching, request->holders[0]);
    if (!slot || (holder && slot->watched != holder)) return NULL;
    holder = slot->watched;
    if (!*first || request->deadline_ns < (*first)->deadline_ns) {
      *first = request;
    }
  }
  return holder;
}

void ic_request_settle(ic_lua_body *body) {
  if (body->requests.waiting == 0 || body->is_host || body->lua_waits > 0 ||
      body->listens || body->watching.monitors > 0 ||
      body->deadline_ns != IC_NEVER) {
    return;
  }
  ic_request *first;
  ic_isolate *holder = find_only_holder(body, &first);
  if (!holder) return;
  ic_isolate *isolate = body->base.isolate;
  ic_wait_begin(isolate, holder, first->number, first->deadline_ns);
  body->is_waiting = true;
  ic_wait_tell_deadlock(isolate);
}

void ic_request_wake(ic_lua_body *body) {
  if (!body->is_waiting) return;
  body->is_waiting = false;
  ic_wait_end(body->base.isolate);
}

// --- Asking -----------------------------------------------------------------

// The deadline of a timeout in seconds, rounded up.
static int64_t deadline_of(const ic_lua_body *body, double timeout) {
  if (timeout == HUGE_VAL) return IC_NEVER;
  double deadline_ns = (double)ic_body_now_ns(body) + timeout * 1e9;
  return deadline_ns < 9.2e18 ? (int64_t)deadline_ns + 1 : IC_NEVER;
}

// The next request's slot, which has a place for the coroutine; NULL: no memory.
// Raises memory errors.
static ic_request *prepare(lua_State *L, ic_lua_body *body) {
  ic_request *next = ic_requests_next(&body->requests);
  if (next && next->anchor == 0) {
    lua_pushboolean(L, 0);
    next->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return next;
}

// Begins a request, whose slot it is, to the isolate of [ref], which is watched then.
// False: no memory.
static bool begin(ic_lua_body *body, ic_lua_ref *ref, ic_request *request,
                  double timeout) {
  ic_isolate *self = body->base.isolate;
  bool is_watched = ic_watching_share(&body->watching, ref->isolate, self,
                                      &ref->watch) == IC_OK;
  if (is_watched) {
    ic_requests_add(&body->requests, request, deadline_of(body, timeout));
    request->co = NULL;
    request->asked = ref->isolate;
    request->timeout = timeout;
    request->holders[request->holder_count++] = ref->watch;
  }
  ic_ending_weigh(body);
  return is_watched;
}

// Sends the value at index 2, and begins to wait for the answer. NULL: neither, and
// nil, a text and a code are on the stack.
static ic_request *ask(lua_State *L, ic_lua_body *body, ic_lua_ref *ref,
                       double timeout) {
  ic_message *message;
  ic_isolate_fetch_mailbox(ref->isolate);
  ic_request *request = prepare(L, body);
  ic_extras behind = {.type = lua_isnil(L, 4) ? 0 : 4};
  ic_status status = ic_sending_encode_with(L, body, 2, &behind, &message);
  if (status != IC_OK) {
    ic_lua_ref_fail_value(L, body, status);
    return NULL;
  }
  if (!request || !begin(body, ref, request, timeout)) {
    ic_message_free(message);
    ic_lua_ref_fail(L, IC_MEMORY, ic_status_text(IC_MEMORY));
    return NULL;
  }
  // The reply goes to the sender; a host script is none.
  *(body->is_host ? &message->reply_to : &message->sender) =
      ic_body_hold_isolate(body);
  message->request = request->number;
  bool waits;
  if (ic_sending_ask(L, body, ref->isolate, message, &waits) != 1) {
    remove_request(body, L, request);
    return NULL;
  }
  if (waits) request->full = ic_isolate_hold(ref->isolate);
  return request;
}

// Somebody has resumed the coroutine: who had the outcome, or the script's own
// code. What it was given is above the ref.
static int finish(lua_State *L, int status, lua_KContext context) {
  (void)status;
  ic_lua_body *body = ic_body_of(L);
  ic_request *request = ic_requests_find(&body->requests, (uint64_t)context);
  if (request) remove_request(body, L, request);
  return lua_gettop(L) - 1;
}

static int wait_in_coroutine(lua_State *L, ic_lua_body *body,
                             ic_request *request) {
  uint64_t number = request->number;
  lua_settop(L, 1);
  lua_pushthread(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, request->anchor);
  request->co = L;
  ic_body_await(body, L);
  return lua_yieldk(L, 0, (lua_KContext)number, finish);
}

// The host script's wait: handles events until the outcome is there.
static int wait_in_host(lua_State *L, ic_lua_body *body, uint64_t number) {
  ic_request *request;
  lua_settop(L, 1);
  while (!(request = ic_requests_find(&body->requests, number))->done) {
    if (ic_body_pump(body, L, IC_NEVER)) continue;
    request = ic_requests_find(&body->requests, number);
    if (request->done) break;
    remove_request(body, L, request);
    lua_pushliteral(L, IC_NOTHING_WILL_COME);
    return lua_error(L);
  }
  int count;
  if (request->answer) {
    body->current = request->answer;  // freed by the body, should this raise
    request->answer = NULL;
    count = push_answer(body, L, request, body->current);
    ic_body_free_current(body);
  } else {
    count = push_failure(L, request, request->status, NULL);
  }
  remove_request(body, L, request);
  return count;
}

int ic_request_call(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref *ref = ic_lua_ref_test(L, 1);
  if (!ref) {
    return luaL_error(L, "ref:request wants a ref before the colon, got %s",
                      describe(L, 1));
  }
  if (lua_isnone(L, 2)) {
    return luaL_error(L, "ref:request wants a value to send, got nothing");
  }
  double timeout = check_options(L);
  bool in_coroutine = !body->is_host || body->in_turn;
  if (in_coroutine && !lua_isyieldable(L)) {
    return luaL_error(L, IC_CANNOT_WAIT);
  }
  ic_request *request = ask(L, body, ref, timeout);
  if (!request) return 3;
  if (in_coroutine) return wait_in_coroutine(L, body, request);
  return wait_in_host(L, body, request->number);
}

// isRequesting() -> whether a request waits
static int is_requesting(lua_State *L) {
  lua_pushboolean(L, ic_request_any(ic_body_of(L), L));
  return 1;
}

// takeRequesting() -> the coroutines that wait for an answer, which will get none
static int take_requesting(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_requests *requests = &body->requests;
  lua_newtable(L);
  for (size_t i = 0, count = 0; i < requests->count; i++) {
    ic_request *request = &requests->slots[i];
    if (!request->number || !request->co) continue;
    lua_State *co = request->co;
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_rawseti(L, -2, (lua_Integer)++count);
    remove_request(body, L, request);
  }
  return 1;
}

void ic_request_install(lua_State *L, int body, int methods) {
  ic_body_push_function(L, body, ic_request_call);
  lua_setfield(L, methods, "request");
}

void ic_request_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"isRequesting", is_requesting},
                                       {"takeRequesting", take_requesting},
                                       {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
  lua_pushliteral(L, IC_CANNOT_WAIT);
  lua_setfield(L, -2, "cannotWait");
  lua_pushliteral(L, IC_NOTHING_WILL_COME);
  lua_setfield(L, -2, "nothingWillCome");
}
