// request.h - ref:request: asking, and waiting for the answer.
//
// A request ends with its answer; when its time is up; when everyone who might
// answer has ended; or as the one of a deadlock that is told (core/wait.h). Who
// might answer is the isolate that was asked, or those that it handed the request
// on to, by a message that named its replyTo. That is watched (watching.h).
//
// The answer resumes the coroutine that waits, without a step in Lua in between.

#ifndef IC_REQUEST_H
#define IC_REQUEST_H

#include "binding/body.h"

// Complaints of all that waits: where it can't suspend; where nothing can end it.
#define IC_CANNOT_WAIT                                                       \
  "can't wait here: a C function that can't be suspended is running "        \
  "(a sort's comparison, a gsub's replacement, a metamethod of C, a module " \
  "being loaded)"
#define IC_NOTHING_WILL_COME                                             \
  "this would wait for ever: in the simulated cluster every isolate is " \
  "idle, nothing is on its way and no timer is set"

// Takes what an answer to a request says to whoever waits for it; false if it is
// for a ticket of Lua code. May take [body->current], or free it.
// Stack: [-0, +0]. Runs the coroutine that waits. Raises memory errors.
bool ic_request_answer(ic_lua_body *body, lua_State *L);

// [body->current] tells that a request was handed on.
void ic_request_handed(ic_lua_body *body);

// The watch with [number], of [ended], has told. Runs the coroutines that waited for
// nobody else. Stack: [-0, +0]. Raises memory errors.
void ic_request_holder_ended(ic_lua_body *body, lua_State *L, uint64_t number);

// Ends the request that is due first, if one is; false if none is.
// Stack: [-0, +0]. Runs its coroutine. Raises memory errors.
bool ic_request_expire(ic_lua_body *body, lua_State *L);

// Whether a request waits that can still go on.
bool ic_request_any(ic_lua_body *body, lua_State *L);

// The isolate is about to sleep, and nobody listens for messages there: notes whether
// it can only wait for an answer, and looks for a deadlock.
void ic_request_settle(ic_lua_body *body);

// It is awake again.
void ic_request_wake(ic_lua_body *body);

// ref:request(value, options) -> reply | nil, message, code
int ic_request_call(lua_State *L);

// Adds `request` to the table of ref methods at [methods]. The body is at index
// [body]. Stack: [-0, +0]. Raises memory errors.
void ic_request_install(lua_State *L, int body, int methods);

// Adds the functions for requests to the table on the top. Below it is the body.
// Stack: [-0, +0]. Raises memory errors.
void ic_request_open(lua_State *L);

#endif
