// load.h - making the state of an isolate and loading its entry.

#ifndef IC_LOAD_H
#define IC_LOAD_H

#include "binding/body.h"

// The load method of bodies. Errors: IC_LOAD - with a text; IC_MEMORY.
ic_status ic_load_body(ic_body *base, char **message);

#endif
