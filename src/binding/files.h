// files.h - the io library for isolates that may be ended by force.
//
// What Lua's own functions open is closed by a finalizer, which does not run then;
// and io.popen's streams would wait for their programs, however long that takes.
// So all are on the body's list, and the programs end with the isolate.

#ifndef IC_FILES_H
#define IC_FILES_H

#include "binding/body.h"

// Ends all programs of the state by force, before each is waited for: that is sooner
// over than one after the other. Their streams are left as they are.
void ic_files_end_programs(ic_lua_body *body);

// Replaces functions of the io library, which is open. Stack: [-0, +0]. Raises
// memory errors.
void ic_files_install(lua_State *L, ic_lua_body *body);

#endif
