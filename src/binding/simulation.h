// simulation.h - clusters under test, for Lua code: simulated, captured, counted.

#ifndef IC_SIMULATION_H
#define IC_SIMULATION_H

#include "binding/body.h"

// The host script does not drive [cluster] any more.
void ic_simulation_leave(ic_lua_body *body, const ic_cluster *cluster);

// Adds the functions to the table on the top. Below it is the body, to be their
// upvalue. Stack: [-0, +0]. Raises memory errors.
void ic_simulation_open(lua_State *L);

#endif
