// turns.h - a body handles what came and is due, in coroutines.

#ifndef IC_TURNS_H
#define IC_TURNS_H

#include "binding/body.h"

// Puts into the state what its dispatching needs. The body is on the top.
// Stack: [-0, +0]. Raises memory errors.
void ic_turns_install(lua_State *L);

// Handles all that waits and is due, in coroutines resumed from [L].
// Stack: [-0, +0]. Raises memory errors only.
void ic_turns_take(ic_lua_body *body, lua_State *L);

// One turn of an isolate; where its code can't be called any more, or has failed for
// want of memory, it is stopping then. Raises nothing.
void ic_turns_run(ic_lua_body *body);

// Whether the turn that is over has left a timer that is due already, as one has that
// is set for at once. Not in a simulated cluster, whose clock stands still in a turn.
bool ic_turns_has_due_timer(const ic_lua_body *body);

#endif
