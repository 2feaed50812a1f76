// ref.h - refs as Lua values: userdata that count an isolate.
//
// In one state the same isolate is the same userdata for as long as that lives,
// so that its properties are decoded once. A ref that answers a request also
// knows the request's number; each such is a userdata of its own.

#ifndef IC_LUA_REF_H
#define IC_LUA_REF_H

#include <lua.h>

#include "binding/body.h"

typedef struct {
  const void *type;  // tells it from the userdata of others
  ic_owned owned;
  ic_isolate *isolate;  // counted; NULL while it is made, and once finalized
  uint64_t request;     // 0: none
  uint64_t watch;       // of the requests to it: where to look first; or 0
  size_t *weighed;      // the body's [kept_bytes], which has
  size_t kept_bytes;    // what is kept of the isolate
} ic_lua_ref;

// Pushes the ref of [isolate]. Stack: [-0, +1]. Raises memory errors.
void ic_lua_ref_push(lua_State *L, ic_lua_body *body, ic_isolate *isolate,
                     uint64_t request);

// Likewise, and takes the caller's user of [isolate], whatever it raises.
void ic_lua_ref_push_counted(lua_State *L, ic_lua_body *body,
                             ic_isolate *isolate);

// The ref at [index], or NULL; one that has been finalized, and that another
// finalizer still has, is none. Stack: [-0, +0]. Never raises.
ic_lua_ref *ic_lua_ref_test(lua_State *L, int index);

// How the values of [body] carry refs.
ic_value_hooks ic_lua_ref_hooks(ic_lua_body *body);

// Pushes nil, [text] and the name of [status]; returns 3.
int ic_lua_ref_fail(lua_State *L, ic_status status, const char *text);

// Likewise where a value was not encoded or decoded, with the scratch's text. IC_GONE: the
// isolate was found condemned in the middle; gives its code up instead.
int ic_lua_ref_fail_value(lua_State *L, ic_lua_body *body, ic_status status);

// Puts the type of refs into the state. The body is on the top, to be an upvalue
// of its methods. Stack: [-0, +0]. Raises memory errors.
void ic_lua_ref_install(lua_State *L);

// Pushes what a context says of its isolate: path, isolateRef or properties. False,
// and nothing, for any other [field]. In a function of ours. Stack: [-0, +1 | 0].
bool ic_lua_ref_push_own(lua_State *L, const char *field);

// Adds the functions for refs to the table on the top. Below it is the body.
// Stack: [-0, +0]. Raises memory errors.
void ic_lua_ref_open(lua_State *L);

#endif
