// key_spread.c - foretells where Lua 5.4 puts number keys, and what that costs.

#include "binding/key_spread.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "binding/value_scratch.h"

// Comparisons that each key may cost on average.
enum { COMPARISONS_PER_KEY = 256 };

// In front of the counts, in their list.
typedef struct {
  uint64_t comparisons;
  uint32_t nodes;  // of the table's hash part, a power of two
  uint32_t keys;
} spread_head;

enum { HEAD_COUNTS = sizeof(spread_head) / sizeof(uint32_t), KEPT_COUNTS = 2 };

static uint32_t *counts_at(const ic_value_scratch *scratch, size_t spread) {
  return (uint32_t *)scratch->buckets.items + spread;
}

static size_t nodes_for(size_t pairs) {
  size_t nodes = 1;
  while (nodes < pairs)
    nodes *= 2;
  return nodes;
}

ic_status ic_key_spread_open(ic_value_scratch *scratch, size_t pairs,
                             size_t *out) {
  ic_value_list *list = &scratch->buckets;
  size_t nodes = nodes_for(pairs);
  size_t spread = list->count ? list->count : KEPT_COUNTS;
  size_t end = spread + HEAD_COUNTS + nodes;
  ic_status status = ic_value_scratch_reserve(list, end, sizeof(uint32_t));
  if (status != IC_OK) return status;
  list->count = end;
  uint32_t *counts = counts_at(scratch, spread);
  memset(counts, 0, (HEAD_COUNTS + nodes) * sizeof *counts);
  spread_head head = {.nodes = (uint32_t)nodes};
  memcpy(counts, &head, sizeof head);
  *out = spread;
  return IC_OK;
}

void ic_key_spread_close(ic_value_scratch *scratch, size_t spread) {
  scratch->buckets.count = spread;
}

// --- Where Lua puts a key --------------------------------------------------

static size_t integer_bucket(lua_Integer integer, uint32_t nodes) {
#if LUA_VERSION_RELEASE_NUM >= 50403
  return (size_t)((lua_Unsigned)integer % ((nodes - 1) | 1));
#else
  return (size_t)((lua_Unsigned)integer & (nodes - 1));
#endif
}

// Of a float, Lua takes the exponent and the first 31 bits of the fraction.
static size_t float_bucket(lua_Number number, uint32_t nodes) {
  int exponent;
  lua_Number fraction = frexp(number, &exponent) * -(lua_Number)INT_MIN;
  if (isinf(number)) return 0;
  unsigned hash = (unsigned)exponent + (unsigned)(lua_Integer)fraction;
  if (hash > (unsigned)INT_MAX) hash = ~hash;
  return hash % ((nodes - 1) | 1);
}

// Floats with an integer's value become that integer when they are keys.
static size_t bucket_of(lua_State *L, int index, uint32_t nodes) {
  if (lua_isinteger(L, index)) {
    return integer_bucket(lua_tointeger(L, index), nodes);
  }
  lua_Integer integer;
  lua_Number number = lua_tonumber(L, index);
  if (floor(number) == number && lua_numbertointeger(number, &integer)) {
    return integer_bucket(integer, nodes);
  }
  return float_bucket(number, nodes);
}

ic_status ic_key_spread_add(ic_value_scratch *scratch, size_t spread,
                            lua_State *L, int index) {
  uint32_t *counts = counts_at(scratch, spread);
  spread_head head;
  memcpy(&head, counts, sizeof head);
  size_t bucket = bucket_of(L, index, head.nodes);
  head.comparisons += counts[HEAD_COUNTS + bucket]++;
  head.keys++;
  memcpy(counts, &head, sizeof head);
  bool dear = head.comparisons > (uint64_t)head.keys * COMPARISONS_PER_KEY;
  return dear ? IC_MALFORMED : IC_OK;
}
