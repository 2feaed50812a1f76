// key_spread.h - number keys that Lua would search one by one.
//
// Lua spreads integer and float keys over a table by a hash that anybody can
// foresee: bytes can be made whose keys all fall together, and then each key
// that is added is compared with all before it. So the keys of big maps are
// counted by where they will fall, and the map is refused when the comparisons
// go beyond what they may cost for each key. (Strings are hashed with a seed.)
//
// Lists of counts lie one behind the other in the scratch, one for each open
// map that has number keys.

#ifndef IC_KEY_SPREAD_H
#define IC_KEY_SPREAD_H

#include "binding/value.h"

// Maps of fewer pairs need no counts.
enum { IC_KEY_SPREAD_PAIRS = 128 };

// Opens counts for a table that was made with room for [pairs] pairs; answers
// where they are in [out], never 0.
// Errors: IC_MEMORY.
ic_status ic_key_spread_open(ic_value_scratch *scratch, size_t pairs,
                             size_t *out);

// Closes the counts at [spread] and all opened after it.
void ic_key_spread_close(ic_value_scratch *scratch, size_t spread);

// Counts the number at [index], which is not NaN.
// Stack:  [-0, +0], never raises.
// Errors: IC_MALFORMED - too many fall together.
ic_status ic_key_spread_add(ic_value_scratch *scratch, size_t spread,
                            lua_State *L, int index);

#endif
