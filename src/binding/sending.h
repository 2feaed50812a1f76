// sending.h - what Lua code sends: encoded from its stack, and pushed.

#ifndef IC_SENDING_H
#define IC_SENDING_H

#include <lua.h>

#include "binding/body.h"

// Encodes the value at [index] as a message, which the errors call [name].
//
// Ownership: gives [out]. Stack: [-0, +0]. Never raises.
// Errors: IC_UNSENDABLE, IC_MEMORY; text in the scratch.
ic_status ic_sending_encode(lua_State *L, ic_lua_body *body, int index,
                            const char *name, ic_message **out);

// Encodes the value at [index], the isolate's own to look at: into the scratch's
// [encoded], which keeps its memory for the next time. Errors: likewise.
ic_status ic_sending_encode_bytes(lua_State *L, ic_lua_body *body, int index);

// What stands behind the value: indexes on the stack, or 0; or the correlation id that
// the message which is answered has, or NULL.
typedef struct {
  int correlation;
  int type;
  const ic_message *answered;
} ic_extras;

// As ic_sending_encode, with what is [behind] the value.
ic_status ic_sending_encode_with(lua_State *L, ic_lua_body *body, int index,
                                 const ic_extras *behind, ic_message **out);

// Tells the askers of the requests that were handed on by what was encoded last,
// that it went to [to]; NULL: where nobody can know. Sending does it.
void ic_sending_tell_askers(ic_lua_body *body, ic_isolate *to);

// As ic_sending_encode: the answer of [body] to [request], or 0; with the correlation id
// of [question], if that is not NULL.
ic_status ic_sending_answer(lua_State *L, ic_lua_body *body, int index,
                            uint64_t request, const ic_message *question,
                            ic_message **out);

// Sends [message] from [body]; what is left to its caller on an error is freed.
// Pushes true, or nil, a text and a code; returns how many, which its caller
// returns to Lua at once: where a mailbox is full it may wait, and yield.
// Raises where it can't.
int ic_sending_send(lua_State *L, ic_lua_body *body, ic_isolate *to,
                    ic_message *message);

// Likewise a request, whose sender waits for the answer anyway. [waits]: it waits
// for room. Does not yield.
int ic_sending_ask(lua_State *L, ic_lua_body *body, ic_isolate *to,
                   ic_message *message, bool *waits);

#endif
