// envelope.h - the second argument of a message handler: who sent what, how.
//
// It is made only for a handler that has a parameter for it, and builds what it
// is asked for: content, sender, replyTo, type, correlationId, reply().

#ifndef IC_ENVELOPE_H
#define IC_ENVELOPE_H

#include <lua.h>

#include "binding/body.h"

// Pushes the envelope of [body->current], whose value is on the top. May take the
// message, so that it is not the current one any more; then [body->doing] names it.
// Stack: [-0, +1]. Raises memory errors, and then takes nothing.
void ic_envelope_push(lua_State *L, ic_lua_body *body);

#endif
