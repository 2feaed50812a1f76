// sandbox.h - takes from a new state what its sandbox does not allow.
//
// What that is, and how it is told, is lua/isolate_cluster/sandbox.lua's matter.
// Here are the parts that hold even where that code were misled: the paths that
// the isolate reaches, and that bytes which it makes up become no refs.

#ifndef IC_SANDBOX_H
#define IC_SANDBOX_H

#include "binding/body.h"

// Confines the state of [body] as its entry's sandbox says, if it has one. Our
// modules are loaded by then, or will be from the globals of their own.
// Stack: [-0, +0]. Raises.
void ic_sandbox_apply(lua_State *L, ic_lua_body *body);

// Of a sandboxed isolate without a limit.
enum { IC_SANDBOX_MEMORY_BYTES = 64 << 20 };

// Adds confine and isConfined to the table on the top; below it
// is the body. Stack: [-0, +0]. Raises memory errors.
void ic_sandbox_open(lua_State *L);

// Pushes nil, text and "denied": [path] is out of reach. Stack: [-0, +3].
int ic_sandbox_deny(lua_State *L, const char *path);

#endif
