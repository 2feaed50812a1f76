// driving.h - the functions through which our Lua code drives its body: what
// handles an event, when the next timer is due, how the isolate ends.

#ifndef IC_DRIVING_H
#define IC_DRIVING_H

#include "binding/body.h"

// Adds the functions to the table on the top. Below it is the body. Stack: [-0, +0]. Raises memory errors.
void ic_driving_open(lua_State *L);

// Makes the function on the top what values go to, and pops it. Raises memory errors.
void ic_driving_set_handler(lua_State *L, ic_lua_body *body);

#endif
