// debugging.h - Lua's debug library without the ways into what functions of C
// rely on.
//
// Lua trusts whoever has that library. An isolate's scripts often have it, and one
// that takes a ref's finalizer away, empties the registry or gives our functions
// other upvalues would end the process, not itself alone.

#ifndef IC_DEBUGGING_H
#define IC_DEBUGGING_H

#include <lua.h>

// Replaces functions of the library, which is open. Stack: [-0, +0]. Raises memory
// errors.
void ic_debugging_install(lua_State *L);

#endif
