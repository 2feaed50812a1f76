// stuck.h - what the sentry (core/sentry.h) is told of a stuck isolate: the Lua line
// that it is in, and what it does there.

#ifndef IC_STUCK_H
#define IC_STUCK_H

#include "binding/body.h"

// The body's methods of that name.
void ic_stuck_sample(ic_body *base);
void ic_stuck_complain(ic_isolate *isolate, const char *text);

// Tells the sentry where the requests wait that keep the isolate; [probe] asked.
void ic_stuck_answer(ic_lua_body *body, lua_State *L, const ic_message *probe);

// Pushes the table for an event of kind STUCK: ref, kind, seconds, text.
// Stack: [-0, +1]. Raises memory errors.
void ic_stuck_push(lua_State *L, ic_lua_body *body, const ic_message *event);

#endif
