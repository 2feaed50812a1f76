// spawning.h - Lua code's spawns: what is checked, copied out of the state, and handed
// to the cluster.

#ifndef IC_SPAWNING_H
#define IC_SPAWNING_H

#include <lua.h>

// Adds the function `spawn` to the table on the top. Below it is the body.
// Stack: [-0, +0]. Raises memory errors.
void ic_spawning_open(lua_State *L);

#endif
