// place.h - where in a value something is: message.items[3].cb, in a text.
//
// The place is written step by step, from the outside to the inside; a place
// with many steps loses those in its middle.

#ifndef IC_PLACE_H
#define IC_PLACE_H

#include <lua.h>
#include <stddef.h>

// A text that is cut where it does not fit; always ends in NUL.
typedef struct {
  char *bytes;
  size_t size;  // of the room
  size_t used;
} ic_place;

void ic_place_init(ic_place *place, char *bytes, size_t size);

void ic_place_add(ic_place *place, const char *text);

// Adds the step into an array's item: [3].
void ic_place_add_index(ic_place *place, lua_Integer index);

// Adds the step into the value that the key at [index] has: .cb, ["a b"], [3],
// [true]. Stack: [-0, +0]. Never raises.
void ic_place_add_key(ic_place *place, lua_State *L, int index);

// Adds what the value at [index] is: "a function (app.lua:12)".
// Stack: [-0, +0], 1 free slot. Never raises.
void ic_place_add_kind(ic_place *place, lua_State *L, int index);

#endif
