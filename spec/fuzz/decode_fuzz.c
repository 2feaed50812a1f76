// decode_fuzz.c - any bytes into a Lua value, and the value into bytes again.
//
// For libFuzzer (clang -fsanitize=fuzzer,address,undefined); begin with the
// files in corpus/, each an item or nearly one:
//
//   decode_fuzz -max_len=4096 NEW_CORPUS spec/fuzz/corpus
//
// What must hold for all bytes: no read beyond them (they are copied into a
// block of their size), no memory out of proportion, the stack as it was, text
// for each refusal; malformed bytes are refused as the codec's check does. What
// was decoded can be encoded, and says the same when it is decoded once more.

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/value.h"

#define MUST(condition)                                       \
  do {                                                        \
    if (!(condition)) {                                       \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      abort();                                                \
    }                                                         \
  } while (0)

enum { BYTES_PER_BYTE = 400, BYTES_AT_LEAST = 4096 };

static size_t allocated;  // bytes, nothing that was freed subtracted

static void *count_and_allocate(void *context, void *block, size_t old_size,
                                size_t new_size) {
  (void)context;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  if (!block) old_size = 0;
  if (new_size > old_size) allocated += new_size - old_size;
  return realloc(block, new_size);
}

// Every other object stands for its content, the others for a new table.
static void revive(void *context, lua_State *L) {
  size_t *objects = context;
  if ((*objects)++ % 2 == 0) return;
  lua_pop(L, 1);
  lua_newtable(L);
}

static bool is_well_formed(const uint8_t *bytes, size_t size) {
  const uint8_t *at = bytes;
  return ic_codec_check(&at, bytes + size, NULL) == IC_OK && at == bytes + size;
}

// Encodes the value at the top, and pops it.
static void encode(lua_State *L, ic_value_scratch *scratch, ic_buffer *out) {
  int top = lua_gettop(L);
  ic_buffer_init(out, 0);
  MUST(ic_value_encode(L, scratch, NULL, "value", out) == IC_OK);
  MUST(lua_gettop(L) == top - 1);
  MUST(is_well_formed(out->bytes, out->size));
}

static bool has_byte_in(const ic_buffer *buffer, uint8_t from, uint8_t to) {
  for (size_t i = 0; i < buffer->size; i++) {
    if (buffer->bytes[i] >= from && buffer->bytes[i] <= to) return true;
  }
  return false;
}

// Once more around: the same bytes. Only maps may change their order, and with
// them the numbers of shared tables.
static void go_round(lua_State *L, ic_value_scratch *scratch) {
  ic_buffer first, second;
  encode(L, scratch, &first);
  MUST(ic_value_decode(L, scratch, NULL, first.bytes, first.size) == IC_OK);
  encode(L, scratch, &second);
  bool maps = has_byte_in(&first, 0xa2, 0xbf);
  bool shares = has_byte_in(&first, 0xd8, 0xd8);
  if (!maps || !shares) MUST(first.size == second.size);
  if (!maps) MUST(memcmp(first.bytes, second.bytes, first.size) == 0);
  ic_buffer_fini(&first);
  ic_buffer_fini(&second);
}

static void decode(lua_State *L, ic_value_scratch *scratch,
                   const uint8_t *bytes, size_t size) {
  size_t objects = 0;
  ic_value_hooks hooks = {.context = &objects, .revive = revive};
  allocated = 0;
  ic_status status = ic_value_decode(L, scratch, &hooks, bytes, size);
  MUST(allocated <= BYTES_AT_LEAST + BYTES_PER_BYTE * size);
  MUST(lua_gettop(L) == (status == IC_OK ? 1 : 0));
  if (status == IC_OK) {
    MUST(is_well_formed(bytes, size));
    go_round(L, scratch);
    return;
  }
  MUST(status == IC_MALFORMED || status == IC_RANGE);
  MUST(status == IC_MALFORMED || is_well_formed(bytes, size));
  MUST(strncmp(scratch->text, "byte ", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *bytes = malloc(size + (size == 0));
  memcpy(bytes, data, size);
  lua_State *L = lua_newstate(count_and_allocate, NULL);
  ic_value_scratch scratch;
  ic_value_scratch_init(&scratch);
  lua_gc(L, LUA_GCSTOP);
  decode(L, &scratch, bytes, size);
  ic_value_scratch_fini(&scratch);
  lua_close(L);
  free(bytes);
  return 0;
}
