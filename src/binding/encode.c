// encode.c - a Lua value as CBOR.
//
// Tables are written from the outside to the inside with an explicit list of
// frames, so that deep nesting costs no C stack. Each table is tried first as
// what it most likely is, and read only once if it is that and flat:
//
//   SEQUENCE   an integer is first, and rawlen is n > 0: the traversal is expected
//              to give 1..n, which Lua does where all of them lie in its array
//              part
//   RECORD     else: written as a map of up to 23 pairs, whose head of one byte is
//              corrected at the end
//
// A table inside, or a key out of order, ends the try: what is left is counted
// before anything nested is written, so that nothing nested is ever written
// twice or moved for the sake of a head. Then it goes on as
//
//   ARRAY      exactly the keys 1..count, in whatever part of the table
//   MAP        count pairs, in the order of the traversal
//
// Nothing here may raise: of Lua, only functions that do not allocate are
// called, and lua_checkstack, which answers if it can't.

#include "binding/encoder.h"

#include <string.h>

#include "binding/sharing.h"
#include "binding/value_scratch.h"

// --- What is no table ------------------------------------------------------

static inline ic_status write_integer(ic_encoder *e, int index) {
  lua_Integer integer = lua_tointegerx(e->L, index, NULL);
  ic_status status = ic_codec_write_integer(e->out, integer);
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

static inline ic_status write_number(ic_encoder *e, int index) {
  if (lua_isinteger(e->L, index)) return write_integer(e, index);
  lua_Number number = lua_tonumberx(e->L, index, NULL);
  ic_status status = ic_codec_write_double(e->out, number);
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

static inline ic_status write_string(ic_encoder *e, int index) {
  size_t size;
  const char *bytes = lua_tolstring(e->L, index, &size);
  ic_status status = ic_codec_write_string(e->out, bytes, size);
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

static ic_status write_boolean(ic_encoder *e, int index) {
  bool yes = lua_toboolean(e->L, index);
  return ic_codec_write_simple(e->out, yes ? IC_CODEC_TRUE : IC_CODEC_FALSE);
}

static ic_status write_userdata(ic_encoder *e, int index) {
  if (!e->hooks || !e->hooks->encode_ref) return ic_encoder_fail_kind(e, index);
  size_t size = e->out->size;
  index = lua_absindex(e->L, index);
  ic_status status =
      e->hooks->encode_ref(e->hooks->context, e->L, index, e->out);
  if (status == IC_OK) return IC_OK;
  e->out->size = size;
  return status == IC_UNSENDABLE ? ic_encoder_fail_kind(e, index)
                                 : ic_encoder_fail_memory(e);
}

// Writes the value at [index], of [type], which is no table.
static ic_status write_scalar(ic_encoder *e, int index, int type) {
  ic_status status;
  switch (type) {
    case LUA_TSTRING:
      return write_string(e, index);
    case LUA_TNUMBER:
      return write_number(e, index);
    case LUA_TBOOLEAN:
      status = write_boolean(e, index);
      break;
    case LUA_TNIL:
      status = ic_codec_write_simple(e->out, IC_CODEC_NULL);
      break;
    case LUA_TUSERDATA:
      return write_userdata(e, index);
    default:
      return ic_encoder_fail_kind(e, index);
  }
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

// The same, with what most are at hand.
static inline ic_status write_item(ic_encoder *e, int index, int type) {
  if (type == LUA_TSTRING) return write_string(e, index);
  if (type == LUA_TNUMBER) return write_number(e, index);
  return write_scalar(e, index, type);
}

// --- The head of a table ---------------------------------------------------

#define GIVEN_UP SIZE_MAX

// Counts pairs from behind the key at the top, which is popped. [*keys_up_to]
// becomes the largest key if all are positive integers, else 0. GIVEN_UP: nobody
// wants the bytes any more.
static inline __attribute__((always_inline)) size_t count_pairs(
    const ic_encoder *e, int table, lua_Integer *keys_up_to) {
  lua_State *L = e->L;
  size_t count = 0;
  lua_Integer largest = 0;
  bool positive = true;
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    bool looks = ++count % IC_VALUE_ROUND == 0;
    if (looks && ic_value_is_for_none(e->hooks)) return GIVEN_UP;
    if (!positive) continue;
    lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    positive = key > 0;
    if (key > largest) largest = key;
  }
  *keys_up_to = positive ? largest : 0;
  return count;
}

static ic_status write_count(ic_encoder *e, encode_frame *frame,
                             encode_form form, size_t count) {
  frame->form = form;
  frame->count = count;
  ic_codec_kind kind = form == ARRAY ? IC_CODEC_ARRAY : IC_CODEC_MAP;
  ic_status status = ic_codec_write_head(e->out, kind, count);
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

// Begins anew as ARRAY or MAP: distinct positive integers, as many as the
// largest of them, are exactly 1..count.
static ic_status begin_counted(ic_encoder *e, encode_frame *frame) {
  lua_State *L = e->L;
  lua_Integer keys_up_to = 0;
  lua_settop(L, frame->table);
  lua_pushnil(L);
  size_t count = count_pairs(e, frame->table, &keys_up_to);
  if (count == GIVEN_UP) return ic_encoder_fail_memory(e);
  bool array = (lua_Unsigned)keys_up_to == count;
  e->out->size = frame->head;
  frame->done = 0;
  frame->stage = NEXT_PAIR;
  if (!array) lua_pushnil(L);
  return write_count(e, frame, array ? ARRAY : MAP, count);
}

static void close_table(ic_encoder *e) {
  lua_settop(e->L, innermost(e)->table - 1);
  e->depth--;
}

// --- SEQUENCE --------------------------------------------------------------

static inline bool is_integer(lua_State *L, int index, size_t integer) {
  return lua_isinteger(L, index) &&
         (lua_Unsigned)lua_tointegerx(L, index, NULL) == integer;
}

// True if the traversal goes on from key [i], with its value at the top, up to
// [count] and ends there. Leaves the stack in any case. Where it is given up, nobody
// cares: it is counted then, which is given up, too.
static bool goes_on(const ic_encoder *e, int table, size_t i, size_t count) {
  lua_State *L = e->L;
  size_t look = i + IC_VALUE_ROUND;
  lua_settop(L, table + 1);
  while (lua_next(L, table)) {
    if (++i > count || !is_integer(L, -2, i)) return false;
    if (i == look) {
      if (ic_value_is_for_none(e->hooks)) return false;
      look += IC_VALUE_ROUND;
    }
    lua_pop(L, 1);
  }
  return i == count;
}

// An array that begins with a float has room for as many from the start: what it
// grew by would be copied again and again. Where there is no memory for that, the
// items may still be smaller.
static void make_room(ic_encoder *e, int table, size_t count) {
  enum { MANY = 64 };
  if (count < MANY) return;
  bool is_number = lua_rawgeti(e->L, table, 1) == LUA_TNUMBER;
  if (is_number && !lua_isinteger(e->L, -1)) {
    (void)ic_buffer_reserve(e->out, count * IC_CODEC_HEAD_MAX);
    ic_buffer_close(e->out);
  }
  lua_pop(e->L, 1);
}

// What another core has read of a block comes from there line by line when it is
// written to: so the next lines are asked for in time.
static inline void fetch_ahead(const ic_buffer *out) {
  enum { AHEAD = 512, LINE = 64 };
  if (out->capacity - out->size < AHEAD + 2 * LINE) return;
  __builtin_prefetch(out->bytes + out->size + AHEAD, 1);
  __builtin_prefetch(out->bytes + out->size + AHEAD + LINE, 1);
}

// Writes the number at the top; there is room for it.
static inline uint8_t *put_number(lua_State *L, uint8_t *to) {
  if (lua_isinteger(L, -1)) {
    return ic_codec_put_integer(to, lua_tointegerx(L, -1, NULL));
  }
  return ic_codec_put_double(to, lua_tonumberx(L, -1, NULL));
}

// Goes on from the key at the top, which is [done], up to AT_ONCE numbers further.
// True if there are as many, and the key at the top is the last one's. Else what is
// there instead, nothing or a pair, is at the top. Below lies what was written, as
// pushing its key again costs less than popping its value.
enum { AT_ONCE = 8 };
static bool write_some_numbers(ic_encoder *e, encode_frame *frame, size_t count,
                               bool *more) {
  lua_State *L = e->L;
  uint8_t *to = e->out->bytes + e->out->size;
  size_t i = frame->done, end = i + AT_ONCE;
  while (i < end) {
    *more = lua_next(L, frame->table);
    if (!*more || i == count || !is_integer(L, -2, i + 1)) break;
    if (lua_type(L, -1) != LUA_TNUMBER) break;
    to = put_number(L, to);
    lua_pushinteger(L, (lua_Integer)++i);
  }
  e->out->size = (size_t)(to - e->out->bytes);
  frame->done = i;
  return i == end;
}

// Writes the numbers that a sequence begins with: many hold nothing else. True if
// there is a pair behind them, which is alone above the table then.
static bool write_numbers(ic_encoder *e, encode_frame *frame, size_t count,
                          ic_status *status) {
  lua_State *L = e->L;
  int table = frame->table;
  bool more = true;
  lua_pushnil(L);
  for (;;) {
    size_t room = AT_ONCE * IC_CODEC_HEAD_MAX;
    if (ic_buffer_reserve(e->out, room) != IC_OK) {
      *status = ic_encoder_fail_memory(e);
      return false;
    }
    fetch_ahead(e->out);
    if (!write_some_numbers(e, frame, count, &more)) break;
    lua_settop(L, table);
    lua_pushinteger(L, (lua_Integer)frame->done);
  }
  if (!more) return false;
  lua_copy(L, -2, table + 1);
  lua_copy(L, -1, table + 2);
  lua_settop(L, table + 2);
  return true;
}

// Writes the items up to the first table. True if the try holds, [*status] be
// what it may; then the frame is an ARRAY, or the table is closed.
static bool write_sequence(ic_encoder *e, encode_frame *frame, size_t count,
                           ic_status *status) {
  lua_State *L = e->L;
  int table = frame->table;
  *status = write_count(e, frame, ARRAY, count);
  if (*status != IC_OK) return true;
  make_room(e, table, count);
  bool more = write_numbers(e, frame, count, status);
  for (; *status == IC_OK && more; more = lua_next(L, table)) {
    size_t i = frame->done + 1;
    if (i > count || !is_integer(L, -2, i)) return false;
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE) {
      bool holds = goes_on(e, table, i, count);
      lua_settop(L, table);
      return holds;
    }
    frame->done = i;
    *status = write_item(e, -1, type);
    lua_pop(L, 1);
  }
  if (*status != IC_OK) return true;
  if (frame->done != count) return false;
  close_table(e);
  return true;
}

// --- RECORD ----------------------------------------------------------------

// Puts the head of a map of [count] pairs where one byte was left for it.
static ic_status correct_head(ic_encoder *e, const encode_frame *frame,
                              size_t count) {
  ic_buffer *out = e->out;
  size_t more = ic_codec_head_size(count) - 1;
  if (ic_buffer_reserve(out, more) != IC_OK) return ic_encoder_fail_memory(e);
  uint8_t *head = out->bytes + frame->head;
  size_t content = out->size - frame->head - 1;
  if (more > 0) memmove(head + 1 + more, head + 1, content);
  ic_codec_put_head(head, IC_CODEC_MAP, count);
  out->size += more;
  return IC_OK;
}

// A table is met in the pair at the top: from here on it is a MAP.
static ic_status count_record(ic_encoder *e, encode_frame *frame) {
  lua_Integer unused;
  lua_pushvalue(e->L, -2);
  size_t behind = count_pairs(e, frame->table, &unused);
  if (behind == GIVEN_UP) return ic_encoder_fail_memory(e);
  frame->count = frame->done + 1 + behind;
  frame->stage = AT_KEY;
  return correct_head(e, frame, frame->count);
}

// The first pair is at the top.
static ic_status write_record(ic_encoder *e, encode_frame *frame) {
  lua_State *L = e->L;
  ic_status status = ic_buffer_reserve(e->out, 1);
  if (status != IC_OK) return ic_encoder_fail_memory(e);
  e->out->size++;
  frame->form = MAP;
  frame->done = 0;
  do {
    int key_type = lua_type(L, -2), value_type = lua_type(L, -1);
    if (key_type == LUA_TTABLE || value_type == LUA_TTABLE) {
      return count_record(e, frame);
    }
    frame->stage = AT_VALUE;
    status = key_type == LUA_TSTRING ? write_string(e, -2)
                                     : write_scalar(e, -2, key_type);
    if (status != IC_OK) return status;
    frame->stage = NEXT_PAIR;
    status = write_item(e, -1, value_type);
    if (status != IC_OK) return status;
    lua_pop(L, 1);
    frame->done++;
  } while (lua_next(L, frame->table));
  status = correct_head(e, frame, frame->done);
  close_table(e);
  return status;
}

// The empty table: an array.
static ic_status write_empty(ic_encoder *e, encode_frame *frame) {
  close_table(e);
  return write_count(e, frame, ARRAY, 0);
}

// --- Nested tables ---------------------------------------------------------

// Each frame leaves at most three values below the next table, and none needs
// more than these above it; the hook's 16 are among them.
enum { STACK_SLOTS = 24 };

// Writes the table at the top, or begins to; it is popped when it is closed.
static ic_status open_table(ic_encoder *e) {
  ic_value_list *frames = &e->scratch->encode_frames;
  if (e->depth >= IC_CODEC_DEPTH) return ic_encoder_fail_depth(e);
  if (e->depth > 0 && !lua_checkstack(e->L, STACK_SLOTS)) {
    return ic_encoder_fail_memory(
        e);  // the root's were asked for at the very beginning
  }
  ic_status status =
      ic_value_scratch_reserve(frames, e->depth + 1, sizeof(encode_frame));
  if (status != IC_OK) return ic_encoder_fail_memory(e);
  encode_frame *frame = frame_at(e, e->depth++);
  frame->table = lua_gettop(e->L);
  frame->head = e->out->size;
  frame->done = 0;
  lua_pushnil(e->L);
  if (!lua_next(e->L, frame->table)) return write_empty(e, frame);
  if (!lua_isinteger(e->L, -2)) return write_record(e, frame);
  size_t count = lua_rawlen(e->L, frame->table);
  if (count == 0) return write_record(e, frame);
  lua_settop(e->L, frame->table);
  if (write_sequence(e, frame, count, &status)) return status;
  return begin_counted(e, frame);
}

// From now on tables are tracked, the root first.
static ic_status begin_tracking(ic_encoder *e) {
  const encode_frame *root = frame_at(e, 0);
  bool again;
  e->tracks = true;
  ic_sharing_begin(e->scratch);
  const void *address = lua_topointer(e->L, root->table);
  return ic_sharing_meet(e->scratch, address, root->head, &again);
}

// What is met again is only noted: no byte is written for it now.
static ic_status leave_again(ic_encoder *e) {
  bool looks = e->scratch->references.count % IC_VALUE_ROUND == 0;
  if (looks && ic_value_is_for_none(e->hooks)) return ic_encoder_fail_memory(e);
  lua_pop(e->L, 1);
  return IC_OK;
}

// Writes the table at the top, which is inside another.
static ic_status enter_table(ic_encoder *e) {
  if (!e->tracks && begin_tracking(e) != IC_OK)
    return ic_encoder_fail_memory(e);
  bool again;
  const void *address = lua_topointer(e->L, -1);
  if (ic_sharing_meet(e->scratch, address, e->out->size, &again) != IC_OK) {
    return ic_encoder_fail_memory(e);
  }
  return again ? leave_again(e) : open_table(e);
}

// Both go on with the innermost table up to the next table in it, or close it.
static ic_status continue_array(ic_encoder *e, encode_frame *frame) {
  while (frame->done < frame->count) {
    frame->done++;
    int type = lua_rawgeti(e->L, frame->table, (lua_Integer)frame->done);
    if (type == LUA_TTABLE) return enter_table(e);
    ic_status status = write_scalar(e, -1, type);
    if (status != IC_OK) return status;
    lua_pop(e->L, 1);
  }
  close_table(e);
  return IC_OK;
}

static ic_status write_key(ic_encoder *e, encode_frame *frame) {
  int type = lua_type(e->L, -2);
  frame->stage = AT_VALUE;
  if (type != LUA_TTABLE) return write_scalar(e, -2, type);
  lua_pushvalue(e->L, -2);
  return enter_table(e);
}

static ic_status write_value(ic_encoder *e, encode_frame *frame) {
  int type = lua_type(e->L, -1);
  frame->stage = NEXT_PAIR;
  frame->done++;
  if (type == LUA_TTABLE) return enter_table(e);
  ic_status status = write_scalar(e, -1, type);
  if (status == IC_OK) lua_pop(e->L, 1);
  return status;
}

// One stage of one pair.
static ic_status continue_map(ic_encoder *e, encode_frame *frame) {
  if (frame->stage == AT_KEY) return write_key(e, frame);
  if (frame->stage == AT_VALUE) return write_value(e, frame);
  if (lua_next(e->L, frame->table)) {
    frame->stage = AT_KEY;
    return IC_OK;
  }
  // A weak table can lose pairs to a collection that lua_checkstack caused for
  // want of memory.
  if (frame->done != frame->count) return ic_encoder_fail_memory(e);
  close_table(e);
  return IC_OK;
}

static ic_status write_root(ic_encoder *e) {
  int type = lua_type(e->L, -1);
  if (type != LUA_TTABLE) return write_scalar(e, -1, type);
  ic_status status = open_table(e);
  while (status == IC_OK && e->depth > 0) {
    encode_frame *frame = innermost(e);
    status = frame->form == ARRAY ? continue_array(e, frame)
                                  : continue_map(e, frame);
  }
  if (status != IC_OK || !e->tracks) return status;
  status = ic_sharing_insert_tags(e->scratch, e->out);
  return status == IC_OK ? IC_OK : ic_encoder_fail_memory(e);
}

static bool is_simple(int type) {
  return type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TBOOLEAN;
}

ic_status ic_value_encode(lua_State *L, ic_value_scratch *scratch,
                          const ic_value_hooks *hooks, const char *name,
                          ic_buffer *out) {
  ic_encoder e = {L, scratch, hooks, name, out, 0, false};
  int type = lua_type(L, -1);
  int top = lua_gettop(L);
  size_t size = out->size;
  ic_status status = is_simple(type) || lua_checkstack(L, STACK_SLOTS)
                         ? write_root(&e)
                         : ic_encoder_fail_memory(&e);
  if (status != IC_OK || type != LUA_TTABLE) lua_settop(L, top - 1);
  if (status != IC_OK) out->size = size;
  if (e.tracks) ic_sharing_end(scratch);
  ic_value_scratch_trim_list(&scratch->encode_frames, sizeof(encode_frame));
  return status;
}

ic_status ic_value_encode_at(lua_State *L, int index, ic_value_scratch *scratch,
                             const ic_value_hooks *hooks, const char *name,
                             ic_buffer *out) {
  int type = lua_type(L, index);
  if (is_simple(type)) {
    ic_encoder e = {L, scratch, hooks, name, out, 0, false};
    return write_scalar(&e, index, type);
  }
  lua_pushvalue(L, index);
  return ic_value_encode(L, scratch, hooks, name, out);
}
