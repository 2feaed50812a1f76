// limit_options.h - limits as the Lua code hands them over; see limits.lua.

#ifndef IC_LIMIT_OPTIONS_H
#define IC_LIMIT_OPTIONS_H

#include <lua.h>

#include "isolate_cluster.h"

// Replaces in [limits] what the table at [index] names; nil: nothing. The Lua
// code has checked it. Stack: [-0, +0]. Raises if the table is none of its.
void ic_limit_options_read(lua_State *L, int index, ic_limits *limits);

#endif
