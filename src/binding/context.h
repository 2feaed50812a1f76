// context.h - what an isolate's entry receives, as far as every isolate needs it: a
// context with a path, properties and messages.
//
// All else is in Lua (context.lua, stream.lua), which is loaded when it is first used:
// it puts its own metamethods in the place of those here. So these are as few, and as
// small, as they can be: each isolate has them from the beginning.

#ifndef IC_CONTEXT_H
#define IC_CONTEXT_H

#include "binding/body.h"

// Puts the context into an isolate's new state, and its own os.exit.
// Stack: [-0, +0]. Raises memory errors.
void ic_context_install(lua_State *L);

// Pushes the context. Stack: [-0, +1].
void ic_context_push(lua_State *L);

// Adds what the Lua code needs of it to the table on the top. Below it is the body.
// Stack: [-0, +0]. Raises memory errors.
void ic_context_open(lua_State *L);

#endif
