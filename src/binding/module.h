// module.h - the Lua module: what `require "isolate_cluster"` finds.

#ifndef IC_MODULE_H
#define IC_MODULE_H

#include <lua.h>
#include <stdbool.h>

#include "isolate_cluster.h"

// Makes our modules known to the state, whose body is on the top of the stack:
// "isolate_cluster", its parts, and "isolate_cluster.core", the functions in C.
// Stack: [-0, +0]. Raises memory errors.
void ic_module_install(lua_State *L);

// Pushes what require(name) gives. Stack: [-0, +1]. Raises what it raises.
void ic_module_require(lua_State *L, const char *name);

// Makes the pool run the isolates of the script's clusters, unless those or their
// spawns say else. Stack: [-0, +0].
void ic_module_share_by_default(lua_State *L);

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
