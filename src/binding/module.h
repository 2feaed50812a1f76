// module.h - the Lua module: what `require "isolate_cluster"` finds.

#ifndef IC_MODULE_H
#define IC_MODULE_H

#include <lua.h>
#include <stdbool.h>

#include "isolate_cluster.h"

typedef struct ic_lua_body ic_lua_body;

// Puts into an isolate's new state, where the standard libraries are open, what
// every isolate has of ours: the context, and the way to the rest.
// Stack: [-0, +0]. Raises memory errors.
void ic_module_begin(lua_State *L, ic_lua_body *body);

// Pushes the module, ours or one of the script's. Stack: [-0, +1]. Raises what
// loading it raises.
void ic_module_require(lua_State *L, ic_lua_body *body, const char *name);

// Pushes isolate.lua's table, which has all that context.c has not.
// Stack: [-0, +1]. Raises memory errors.
void ic_module_rest(lua_State *L, ic_lua_body *body);

// Likewise one of our modules, in the state of a host script, where the module is
// open. Stack: [-0, +1]. Raises what it raises.
void ic_module_require_in_host(lua_State *L, const char *name);

// The command's script, as its other threads see it.
typedef struct ic_host ic_host;

// Makes the host script in [L], where the module is open, one that can be
// interrupted: the calling thread is its thread from now on. Its print writes
// whole lines.
// Stack: [-0, +0]. Raises memory errors.
ic_host *ic_module_adopt(lua_State *L);

// Makes the script give up what it does: it raises until no code of it runs.
// Threads: any other.
void ic_module_interrupt(ic_host *host);

// True if it was interrupted: an error of the script is no news then.
bool ic_module_is_interrupted(const ic_host *host);

// Before the state is closed: the script is not to be interrupted any more.
void ic_module_disown(ic_host *host);

// Opens the module in a host script's state: the module's table.
IC_API int luaopen_isolate_cluster(lua_State *L);

// Likewise, where `require "isolate_cluster.testing"` comes first.
IC_API int luaopen_isolate_cluster_testing(lua_State *L);

#endif
