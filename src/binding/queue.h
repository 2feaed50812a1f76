// queue.h - what has come for a body and is not handled yet, the oldest first.
//
// Values that come while nobody listens are held back; they come first once somebody
// does.

#ifndef IC_QUEUE_H
#define IC_QUEUE_H

#include <lauxlib.h>

#include "binding/body.h"

// Puts what came behind what waits. Takes [chain], which its isolate's mailbox
// has just given.
void ic_queue_put(ic_lua_body *body, ic_message *chain);

// Puts [events], the ups and downs that the isolate missed while it started
// (ic_registry_watch), among what waits; takes them.
void ic_queue_put_missed(ic_lua_body *body, ic_message *events);

static inline bool ic_queue_has_handler(const ic_lua_body *body) {
  return body->handler != LUA_NOREF;
}

// Whether the turn that is over has left something to handle.
static inline bool ic_queue_has_more(const ic_lua_body *body) {
  return body->queue || (body->held && ic_queue_has_handler(body));
}

// The next message to handle, which leaves the mailbox's bound; NULL: none. Gives.
ic_message *ic_queue_next(ic_lua_body *body);

// Which one that would be; borrowed.
const ic_message *ic_queue_peek(const ic_lua_body *body);

#endif
