// load.h - making the state of an isolate and loading its entry.

#ifndef IC_LOAD_H
#define IC_LOAD_H

#include "binding/body.h"

// Makes the state of [body], with all that isolates have in common: libraries,
// and our code. Its allocator is the caller's to replace.
// Errors: IC_MEMORY.
ic_status ic_load_state(ic_lua_body *body, lua_Alloc allocator, void *context);

// The load method of bodies. Errors: IC_LOAD - with a text; IC_MEMORY.
ic_status ic_load_body(ic_body *base, char **message);

#endif
