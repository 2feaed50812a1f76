// process.h - os.execute for our states, which leaves signals alone.
//
// C's system(), which Lua's uses, makes the whole process ignore SIGINT until
// the program has ended: a Ctrl-C would be lost whenever an isolate runs one.

#ifndef IC_PROCESS_H
#define IC_PROCESS_H

#include <lua.h>

// Replaces os.execute. Stack: [-0, +0]. Raises memory errors.
void ic_process_install(lua_State *L);

#endif
