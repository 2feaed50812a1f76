// coroutine.h - the coroutine library's functions that resume, for our states.
//
// To stop code that does not end, the body must know which coroutine runs; so
// resume, wrap and close tell it. They behave as in Lua's manual, section 6.2.

#ifndef IC_COROUTINE_H
#define IC_COROUTINE_H

#include <lua.h>

#include "binding/body.h"

// lua_resetthread, but the body knows what runs.
// Stack of [co]: left with an error value, if closing it raised one.
int ic_coroutine_close(ic_lua_body *body, lua_State *co);

// Replaces the functions in the table on the top of the stack. Below it is the
// body, to be their upvalue. Stack: [-0, +0]. Raises memory errors.
void ic_coroutine_open(lua_State *L);

#endif
