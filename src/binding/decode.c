// decode.c - CBOR as a Lua value; written for hostile bytes.
//
// Arrays, maps and tags that are open have a frame each in a list, so nothing
// recurses. Each value that is complete is put where the innermost frame wants
// it; what that completes is put in its turn.
//
// What bounds memory: [owed] counts the bytes that the open arrays and maps
// need at least, and no new one may claim more than is left beyond that. So all
// tables together are made with room for no more items than there are bytes.
// What bounds time: see key_spread.h, and maps of indefinite length, whose
// sizes are found out for all of them in one pass when the first is met, so
// that no table must grow key by key.
//
// On Lua's stack, above what the caller has: known keys (known_keys.h), if there are
// many bytes; the table of the marked values, once there is one; then each open array's
// or map's table, and a map's key at hand.

#include "binding/decoder.h"

#include <limits.h>

#include "binding/key_spread.h"
#include "binding/known_keys.h"
#include "binding/value_scratch.h"

// --- Numbers and strings ---------------------------------------------------

static outcome read_integer(ic_decoder *d, const ic_codec_head *head) {
  int64_t integer;
  if (ic_codec_integer(head, &integer) != IC_OK) {
    return ic_decoder_fail_range(d, "an integer of more than 64 signed bits");
  }
  lua_pushinteger(d->L, integer);
  return COMPLETE;
}

static outcome read_simple(ic_decoder *d, uint64_t simple) {
  if (simple == IC_CODEC_FALSE || simple == IC_CODEC_TRUE) {
    lua_pushboolean(d->L, simple == IC_CODEC_TRUE);
  } else if (simple == IC_CODEC_NULL || simple == IC_CODEC_UNDEFINED) {
    lua_pushnil(d->L);
  } else {
    lua_pushinteger(d->L, (lua_Integer)simple);
  }
  return COMPLETE;
}

static outcome read_string(ic_decoder *d, const ic_codec_head *head) {
  if (head->indefinite) return ic_decoder_read_chunks(d, head->kind);
  bool there = head->argument <= (size_t)(d->end - d->at);
  if (!there) return ic_decoder_fail_codec(d, d->item);
  const char *bytes = (const char *)d->at;
  d->at += head->argument;
  lua_pushlstring(d->L, bytes, (size_t)head->argument);
  return COMPLETE;
}

// --- Marks -----------------------------------------------------------------

static inline void set_pending_marks(ic_decoder *d) {
  if (d->pending.count == 0) return;
  ic_decoder_set_marks(d, d->pending);
  d->pending.count = 0;
}

static void add_pending_mark(ic_decoder *d) {
  if (d->pending.count == 0) d->pending.first = d->marked;
  d->pending.count++;
  d->marked++;
}

// --- Opening and closing ---------------------------------------------------

// Above a frame's table, at most: its key, a value, its copy; the hook's 16.
enum { STACK_SLOTS = 24 };

// A frame whose fields are not set.
static decode_frame *push_frame(ic_decoder *d) {
  ic_value_list *list = &d->scratch->decode_frames;
  if (ic_value_scratch_reserve(list, d->frames + 1, sizeof(decode_frame)) !=
      IC_OK) {
    ic_decoder_fail_memory(d);
    return NULL;
  }
  d->frames++;
  return innermost(d);
}

static outcome open_object(ic_decoder *d) {
  decode_frame *frame = push_frame(d);
  if (!frame) return FAILED;
  *frame = (decode_frame){.form = TAG, .marks = d->pending};
  d->pending.count = 0;
  d->owed++;
  return OPEN;
}

// True where [owed] counts the item at hand: not inside an indefinite length.
static inline bool is_counted(const ic_decoder *d) {
  return d->frames == 0 || !innermost(d)->indefinite;
}

// Other tags leave no frame: they are as if they were not there.
static outcome read_tag(ic_decoder *d, uint64_t tag) {
  const ic_value_hooks *hooks = d->hooks;
  if (tag == IC_CODEC_TAG_OBJECT && hooks && hooks->revive) {
    return open_object(d);
  }
  if (tag == IC_CODEC_TAG_SHARED) return ic_decoder_read_reference(d);
  if (tag == IC_CODEC_TAG_SHAREABLE) add_pending_mark(d);
  if (is_counted(d)) d->owed++;  // its content is what was owed
  d->tagged = true;
  return OPEN;
}

// How many items or pairs an array or map has, as far as is known; the bytes
// for them are there, and owed from now on.
static outcome claim(ic_decoder *d, const ic_codec_head *head, size_t *count) {
  *count = 0;
  bool map = head->kind == IC_CODEC_MAP;
  if (head->indefinite) {
    d->owed++;  // the break
    return map ? ic_decoder_find_pairs(d, count) : COMPLETE;
  }
  size_t left = (size_t)(d->end - d->at);
  size_t free = left > d->owed ? left - d->owed : 0;
  if (head->argument > (map ? free / 2 : free))
    return ic_decoder_fail_codec(d, d->item);
  *count = (size_t)head->argument;
  d->owed += map ? 2 * *count : *count;
  return COMPLETE;
}

static inline int room(size_t count) {
  size_t most = INT_MAX / 2;
  return (int)(count < most ? count : most);
}

// The innermost array or map is complete; its table is at the top.
static void close_container(ic_decoder *d) {
  decode_frame *frame = innermost(d);
  if (frame->has_nils) ic_decoder_remove_absent(d->L);
  if (frame->spread) ic_key_spread_close(d->scratch, frame->spread);
  d->depth--;
  d->frames--;
}

static outcome read_break(ic_decoder *d) {
  const decode_frame *frame = d->frames > 0 ? innermost(d) : NULL;
  if (!frame || !frame->indefinite || d->tagged || frame->has_key) {
    return ic_decoder_fail_malformed(d, "a break where none may be");
  }
  d->owed--;
  close_container(d);
  return COMPLETE;
}

// --- Values in their places ------------------------------------------------

static outcome put_key(ic_decoder *d, decode_frame *frame) {
  int type = lua_type(d->L, -1);
  if (type == LUA_TNIL)
    return ic_decoder_fail_malformed(d, "a map key that is nil");
  if (type == LUA_TNUMBER && ic_decoder_check_number_key(d, frame) == FAILED) {
    return FAILED;
  }
  lua_pushvalue(d->L, -1);
  if (lua_rawget(d->L, -3) != LUA_TNIL) {
    return ic_decoder_fail_malformed(d, "a map key that comes twice");
  }
  lua_pop(d->L, 1);
  frame->has_key = true;
  return OPEN;
}

static inline void set_pair(ic_decoder *d, decode_frame *frame, bool is_nil) {
  if (is_nil) {
    lua_pop(d->L, 1);
    lua_pushlightuserdata(d->L, ABSENT);
    frame->has_nils = true;
  }
  lua_rawset(d->L, -3);
  frame->has_key = false;
}

// Both: COMPLETE when the array or map is complete by it.
static outcome put_pair(ic_decoder *d, decode_frame *frame) {
  set_pair(d, frame, lua_isnil(d->L, -1));
  if (frame->indefinite || --frame->left > 0) return OPEN;
  close_container(d);
  return COMPLETE;
}

static outcome put_item(ic_decoder *d, decode_frame *frame) {
  lua_rawseti(d->L, -2, (lua_Integer)++frame->done);
  if (frame->indefinite || --frame->left > 0) return OPEN;
  close_container(d);
  return COMPLETE;
}

static outcome put_content(ic_decoder *d, decode_frame *frame) {
  mark_run marks = frame->marks;
  d->frames--;
  d->hooks->revive(d->hooks->context, d->L);
  if (marks.count > 0) ic_decoder_set_marks(d, marks);
  return COMPLETE;
}

// Puts the value at the top into the innermost frame, then what that completes
// into the next, until a frame wants more: OPEN. COMPLETE: the root.
static outcome put_value(ic_decoder *d) {
  set_pending_marks(d);
  outcome result = COMPLETE;
  while (result == COMPLETE && d->frames > 0) {
    decode_frame *frame = innermost(d);
    if (frame->form == ARRAY) {
      result = put_item(d, frame);
    } else if (frame->form == TAG) {
      result = put_content(d, frame);
    } else {
      result = frame->has_key ? put_pair(d, frame) : put_key(d, frame);
    }
  }
  return result;
}

// --- What is flat ----------------------------------------------------------
//
// Most arrays and maps begin with numbers and short strings, and many hold
// nothing else: these are put in place here, without a frame and the round by
// put_value. At the first item of another kind that frame is as the round expects.

enum { FLAT_PAIRS = IC_KNOWN_KEYS };

static inline outcome read_scalar(ic_decoder *d, const ic_codec_head *head) {
  switch (head->kind) {
    case IC_CODEC_UNSIGNED:
    case IC_CODEC_NEGATIVE:
      return read_integer(d, head);
    case IC_CODEC_DOUBLE:
      lua_pushnumber(d->L, head->number);
      return COMPLETE;
    case IC_CODEC_SIMPLE:
      return read_simple(d, head->argument);
    default:
      return read_string(d, head);
  }
}

// Reads the next item unless it is an array, a map, a tag or a break: OPEN.
static inline outcome read_if_scalar(ic_decoder *d) {
  ic_codec_head head;
  if (d->at < d->end && *d->at >= 0x80 && *d->at < 0xe0) return OPEN;
  d->item = d->at;
  if (ic_codec_read_head(&d->at, d->end, &head) != IC_OK) {
    return ic_decoder_fail_codec(d, d->at);
  }
  if (head.kind == IC_CODEC_BREAK) {
    d->at = d->item;
    return OPEN;
  }
  d->owed--;
  return read_scalar(d, &head);
}

// Reads the floats that an array begins with: many hold nothing else.
static void read_floats(ic_decoder *d, decode_frame *frame) {
  lua_State *L = d->L;
  const uint8_t *at = d->at;
  size_t most = (size_t)(d->end - at) / IC_CODEC_HEAD_MAX;
  if (most > frame->left) most = frame->left;
  size_t count = 0;
  while (count < most && *at == 0xfb) {
    lua_pushnumber(L, ic_codec_get_double(at + 1));
    lua_rawseti(L, -2, (lua_Integer)++count);
    at += IC_CODEC_HEAD_MAX;
  }
  d->at = at;
  d->owed -= count;
  frame->left -= count;
  frame->done = count;
}

static outcome read_flat_items(ic_decoder *d, decode_frame *frame) {
  read_floats(d, frame);
  while (frame->left > 0) {
    outcome result = read_if_scalar(d);
    if (result != COMPLETE) return result;
    lua_rawseti(d->L, -2, (lua_Integer)++frame->done);
    frame->left--;
  }
  return COMPLETE;
}

// Pushes the next item if it is a short string of definite length; such strings
// are the same in Lua if their addresses are. Else NULL.
static inline const char *read_short_key(ic_decoder *d) {
  if (d->at >= d->end) return NULL;
  size_t size = *d->at & 31;
  ic_codec_kind kind = (ic_codec_kind)(*d->at >> 5);
  if (kind != IC_CODEC_TEXT && kind != IC_CODEC_BYTES) return NULL;
  if (size > IC_KNOWN_KEY_SIZE || size >= (size_t)(d->end - d->at)) return NULL;
  d->item = d->at;
  d->at += 1 + size;
  d->owed--;
  return lua_pushlstring(d->L, (const char *)d->item + 1, size);
}

// The same for the [i]-th key of a map.
static inline const char *read_key(ic_decoder *d, size_t i) {
  ic_known_keys *known = d->known;
  if (!known) return read_short_key(d);
  const uint8_t *item = d->at;
  size_t size = ic_known_keys_match(known, i, item, d->end);
  if (size > 0) {
    d->item = item;
    d->at += size;
    d->owed--;
    lua_pushvalue(d->L, known->index + (int)i);
    return known->strings[i];
  }
  const char *key = read_short_key(d);
  if (key) ic_known_keys_note(known, i, d->L, item, key);
  return key;
}

static bool is_among(const char *key, const char *const *keys, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (keys[i] == key) return true;
  }
  return false;
}

// Null and undefined.
static inline bool is_nil_item(const uint8_t *item) {
  return *item == 0xf6 || *item == 0xf7;
}

static outcome read_flat_pairs(ic_decoder *d, decode_frame *frame) {
  const char *keys[FLAT_PAIRS];
  if (frame->pairs > FLAT_PAIRS) return OPEN;
  for (size_t i = 0; i < frame->pairs; i++) {
    keys[i] = read_key(d, i);
    if (!keys[i]) return OPEN;
    if (is_among(keys[i], keys, i)) {
      return ic_decoder_fail_malformed(d, "a map key that comes twice");
    }
    frame->has_key = true;
    outcome result = read_if_scalar(d);
    if (result != COMPLETE) return result;
    set_pair(d, frame, is_nil_item(d->item));
    frame->left--;
  }
  if (frame->has_nils) ic_decoder_remove_absent(d->L);
  return COMPLETE;
}

static outcome open_container(ic_decoder *d, const ic_codec_head *head) {
  bool map = head->kind == IC_CODEC_MAP;
  size_t count;
  if (d->depth >= IC_CODEC_DEPTH) {
    return ic_decoder_fail_range(d, "arrays and maps nested deeper than 10000");
  }
  // The root's were asked for at the very beginning.
  if (d->depth > 0 && !lua_checkstack(d->L, STACK_SLOTS)) {
    return ic_decoder_fail_memory(d);
  }
  if (claim(d, head, &count) == FAILED) return FAILED;
  lua_createtable(d->L, map ? 0 : room(count), map ? room(count) : 0);
  set_pending_marks(d);
  if (count == 0 && !head->indefinite) return COMPLETE;
  decode_frame flat = {.indefinite = head->indefinite, .left = count};
  outcome result = OPEN;
  if (map) {
    flat.form = MAP;
    flat.pairs = count;
    if (!head->indefinite) result = read_flat_pairs(d, &flat);
  } else {
    flat.form = ARRAY;
    if (!head->indefinite) result = read_flat_items(d, &flat);
  }
  if (result != OPEN) return result;
  decode_frame *frame = push_frame(d);
  if (!frame) return FAILED;
  *frame = flat;
  d->depth++;
  return OPEN;
}

// --- Items -----------------------------------------------------------------

// Reads one item, of an array or map only the head.
static inline outcome read_item(ic_decoder *d) {
  ic_codec_head head;
  d->item = d->at;
  if (ic_codec_read_head(&d->at, d->end, &head) != IC_OK) {
    return ic_decoder_fail_codec(d, d->at);
  }
  if (head.kind == IC_CODEC_BREAK) return read_break(d);
  if (is_counted(d)) d->owed--;
  d->tagged = false;
  if (head.kind == IC_CODEC_TAG) return read_tag(d, head.argument);
  bool container = head.kind == IC_CODEC_ARRAY || head.kind == IC_CODEC_MAP;
  return container ? open_container(d, &head) : read_scalar(d, &head);
}

static outcome read_root(ic_decoder *d) {
  outcome result;
  do {
    if (--d->rounds == 0 && ic_decoder_look(d) == FAILED) return FAILED;
    result = read_item(d);
    if (result == COMPLETE) result = put_value(d);
  } while (result == OPEN);
  if (result == COMPLETE && d->at != d->end) {
    return ic_decoder_fail_at(d, d->at, "bytes behind the item");
  }
  return result;
}

// The value at the top takes the place at [index], and is the top there.
static void leave_alone(lua_State *L, int index) {
  lua_replace(L, index);
  lua_settop(L, index);
}

static void trim(ic_value_scratch *scratch) {
  ic_value_scratch_trim_list(&scratch->decode_frames, sizeof(decode_frame));
  ic_value_scratch_trim_list(&scratch->buckets, sizeof(uint32_t));
  if (scratch->sizes.capacity > 10000) ic_codec_sizes_fini(&scratch->sizes);
  if (scratch->joined.capacity > 1000000) ic_buffer_fini(&scratch->joined);
}

// [known]: memory for them, or NULL.
static ic_status decode(lua_State *L, ic_value_scratch *scratch,
                        const ic_value_hooks *hooks, const uint8_t *bytes,
                        size_t size, ic_known_keys *known) {
  ic_decoder d = {.L = L,
                  .scratch = scratch,
                  .hooks = hooks,
                  .known = known,
                  .rounds = IC_VALUE_ROUND};
  int top = lua_gettop(L);
  d.start = d.at = d.item = bytes;
  d.end = bytes + size;
  d.owed = 1, d.marks = top + 1;
  scratch->buckets.count = 0;
  if (!lua_checkstack(L, STACK_SLOTS + (known ? IC_KNOWN_KEYS : 0))) {
    ic_decoder_fail_memory(&d);
    return IC_MEMORY;
  }
  if (known) {
    ic_known_keys_init(known, L);
    d.marks += IC_KNOWN_KEYS;
  }
  if (read_root(&d) == COMPLETE) {
    d.status = IC_OK;
    if (known || d.has_marks) leave_alone(L, top + 1);
  } else {
    lua_settop(L, top);
  }
  trim(scratch);
  return d.status;
}

// Of a value that is large enough keys may come again. What is needed for that is not
// in the frame of all: a thread's stack is small that has met small values only.
enum { MANY_BYTES = 512 };
static __attribute__((noinline)) ic_status decode_many(
    lua_State *L, ic_value_scratch *scratch, const ic_value_hooks *hooks,
    const uint8_t *bytes, size_t size) {
  ic_known_keys known;
  return decode(L, scratch, hooks, bytes, size, &known);
}

// --- A decode inside another -----------------------------------------------
//
// While a value is decoded Lua may collect garbage, and run a finalizer that
// decodes: that one has a scratch of its own, which no error can strand.

typedef struct {
  ic_value_scratch scratch;
  const ic_value_hooks *hooks;
  const uint8_t *bytes;
  size_t size;
  ic_status status;
} inner_decode;

static int run_inner(lua_State *L) {
  inner_decode *inner = lua_touserdata(L, 1);
  ic_value_scratch *scratch = &inner->scratch;
  inner->status =
      decode(L, scratch, inner->hooks, inner->bytes, inner->size, NULL);
  return inner->status == IC_OK ? 1 : 0;
}

static ic_status decode_inside(lua_State *L, ic_value_scratch *scratch,
                               const ic_value_hooks *hooks,
                               const uint8_t *bytes, size_t size) {
  inner_decode inner = {.hooks = hooks, .bytes = bytes, .size = size};
  if (!lua_checkstack(L, STACK_SLOTS)) return IC_MEMORY;
  ic_value_scratch_init(&inner.scratch);
  lua_pushcfunction(L, run_inner);
  lua_pushlightuserdata(L, &inner);
  int error = lua_pcall(L, 1, LUA_MULTRET, 0);
  memcpy(scratch->text, inner.scratch.text, sizeof scratch->text);
  ic_value_scratch_fini(&inner.scratch);
  if (error != LUA_OK) lua_error(L);
  return inner.status;
}

ic_status ic_value_decode(lua_State *L, ic_value_scratch *scratch,
                          const ic_value_hooks *hooks, const uint8_t *bytes,
                          size_t size) {
  if (ic_decoder_read_scalar(L, bytes, size)) return IC_OK;
  if (scratch->decoding) return decode_inside(L, scratch, hooks, bytes, size);
  scratch->decoding = true;
  ic_status status = size < MANY_BYTES
                         ? decode(L, scratch, hooks, bytes, size, NULL)
                         : decode_many(L, scratch, hooks, bytes, size);
  scratch->decoding = false;
  return status;
}
