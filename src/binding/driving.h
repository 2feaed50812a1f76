// driving.h - the functions through which our Lua code drives its body: what
// handles an event, when the next timer is due, how the isolate ends.

#ifndef IC_DRIVING_H
#define IC_DRIVING_H

#include <lua.h>

// Adds the functions to the table on the top. Below it is the body, to be their
// upvalue. Stack: [-0, +0]. Raises memory errors.
void ic_driving_open(lua_State *L);

// Likewise, only what boot.lua needs.
void ic_driving_open_boot(lua_State *L);

#endif
