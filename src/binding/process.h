// process.h - functions of the os library that leave the process as it is.
//
// C's system(), which Lua's os.execute uses, makes the whole process ignore SIGINT
// until the program has ended: a Ctrl-C would be lost whenever an isolate runs one.

#ifndef IC_PROCESS_H
#define IC_PROCESS_H

#include <lua.h>

// Replaces os.execute. Stack: [-0, +0]. Raises memory errors.
void ic_process_install(lua_State *L);

// For isolates: the locale, which is the process's, is not theirs to set.
// Stack: [-0, +0]. Raises memory errors.
void ic_process_protect(lua_State *L);

#endif
