// template.h - the state that the states of all isolates are copies of.

#ifndef IC_TEMPLATE_H
#define IC_TEMPLATE_H

#include "binding/body.h"

// A body whose state has all that isolates have in common: a copy of the
// template, which the first call makes. NULL: there is no template here, or no
// memory for a copy.
// Threads: any.
ic_lua_body *ic_template_copy(void);

#endif
