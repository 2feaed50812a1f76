// letter.h - dead letters as tables.

#ifndef IC_LETTER_H
#define IC_LETTER_H

#include "binding/body.h"

// Pushes the table for an event of kind DEAD: content, to, sender, type, reason,
// missed; and notes that it was heard. Stack: [-0, +1]. Raises memory errors.
void ic_letter_push(lua_State *L, ic_lua_body *body, const ic_message *event);

#endif
