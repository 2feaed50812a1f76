// known_keys.h - the keys of the map before, at hand.
//
// Lists of records have the same keys again and again, in the same order. To find a
// key's string among all that Lua has costs ten times as much as to see that its bytes
// are those of the record before, whose keys are kept on the stack.

#ifndef IC_KNOWN_KEYS_H
#define IC_KNOWN_KEYS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// The first so many keys of a map; each of up to so many bytes, whose head is one
// byte.
enum { IC_KNOWN_KEYS = 16, IC_KNOWN_KEY_SIZE = 23 };

typedef struct {
  int index;                            // where they begin on the stack
  const uint8_t *items[IC_KNOWN_KEYS];  // as they were written; NULL: unknown
  const char *strings[IC_KNOWN_KEYS];   // what Lua has for them
} ic_known_keys;

// Makes place for them on the stack.
// Stack: [-0, +IC_KNOWN_KEYS], never raises; the slots must be free.
static inline void ic_known_keys_init(ic_known_keys *known, lua_State *L) {
  *known = (ic_known_keys){.index = lua_gettop(L) + 1};
  lua_settop(L, lua_gettop(L) + IC_KNOWN_KEYS);
}

// Up to 24 bytes, by a few loads that overlap.
static inline bool ic_known_keys_are_equal(const uint8_t *a, const uint8_t *b,
                                           size_t size) {
  if (size < 8) {
    for (size_t i = 0; i < size; i++)
      if (a[i] != b[i]) return false;
    return true;
  }
  uint64_t left[3], right[3];
  size_t middle = size < 16 ? size - 8 : 8;
  memcpy(&left[0], a, 8), memcpy(&right[0], b, 8);
  memcpy(&left[1], a + middle, 8), memcpy(&right[1], b + middle, 8);
  memcpy(&left[2], a + size - 8, 8), memcpy(&right[2], b + size - 8, 8);
  return ((left[0] ^ right[0]) | (left[1] ^ right[1]) | (left[2] ^ right[2])) ==
         0;
}

// The bytes of the item at [at] if it is the key that was [i]-th in the map before;
// else 0.
static inline size_t ic_known_keys_match(const ic_known_keys *known, size_t i,
                                         const uint8_t *at,
                                         const uint8_t *end) {
  const uint8_t *item = known->items[i];
  if (!item) return 0;
  size_t size = 1 + (*item & 31);
  if (size > (size_t)(end - at)) return 0;
  return ic_known_keys_are_equal(item, at, size) ? size : 0;
}

// The key at the top is [i]-th, from [item]. Stack: [-0, +0], never raises.
static inline void ic_known_keys_note(ic_known_keys *known, size_t i,
                                      lua_State *L, const uint8_t *item,
                                      const char *string) {
  lua_copy(L, -1, known->index + (int)i);
  known->items[i] = item;
  known->strings[i] = string;
}

#endif
