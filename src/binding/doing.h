// doing.h - what an isolate is on, and where in its script, in words for people.

#ifndef IC_DOING_H
#define IC_DOING_H

#include "binding/body.h"

// Writes what the isolate is on, as " on a message of type "import" from /ui", and
// a NUL, as far as it fits; as snprintf, how long it is. Threads: the body's own.
int ic_doing_describe(const ic_lua_body *body, char *out, size_t size);

// Finds the innermost line of the script that [L] is in, and fills in what the
// letters of [what] want, as lua_getinfo; false where there is none. Allocates
// nothing. Stack: [-0, +0].
bool ic_doing_find_line(lua_State *L, const char *what, lua_Debug *out);

#endif
