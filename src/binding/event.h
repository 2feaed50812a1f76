// event.h - what isolates are told of, as values.

#ifndef IC_EVENT_H
#define IC_EVENT_H

#include "binding/body.h"

// The event that a message tells of; IC_EVENT_COUNT: none that Lua code handles.
ic_event ic_event_of(ic_message_kind kind);

// Pushes what the handler of the event gets; how many values.
// Stack: [-0, +n]. Raises memory errors.
int ic_event_push(lua_State *L, ic_lua_body *body, const ic_message *message);

#endif
