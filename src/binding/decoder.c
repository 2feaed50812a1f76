// decoder.c - refusals, the values that a later item may refer to, and what is rare.

#include "binding/decoder.h"

#include <stdio.h>

#include "binding/key_spread.h"

const char ic_decoder_absent;

// --- Errors ----------------------------------------------------------------

static outcome fail(ic_decoder *d, ic_status status, const uint8_t *at,
                    const char *what) {
  snprintf(d->scratch->text, sizeof d->scratch->text, "byte %zu: %s",
           (size_t)(at - d->start), what);
  d->status = status;
  return FAILED;
}

outcome ic_decoder_fail_memory(ic_decoder *d) {
  return fail(d, IC_MEMORY, d->item, "not enough memory");
}

outcome ic_decoder_fail_malformed(ic_decoder *d, const char *what) {
  return fail(d, IC_MALFORMED, d->item, what);
}

outcome ic_decoder_fail_at(ic_decoder *d, const uint8_t *at, const char *what) {
  return fail(d, IC_MALFORMED, at, what);
}

outcome ic_decoder_fail_codec(ic_decoder *d, const uint8_t *at) {
  return fail(d, IC_MALFORMED, at, ic_codec_explain(at, d->end));
}

outcome ic_decoder_look(ic_decoder *d) {
  d->rounds = IC_VALUE_ROUND;
  if (!ic_value_is_for_none(d->hooks)) return COMPLETE;
  return fail(d, IC_GONE, d->item, ic_status_text(IC_GONE));
}

// Proves that the bytes are well-formed.
static outcome check_all(ic_decoder *d, const uint8_t **at,
                         ic_codec_sizes *sizes) {
  *at = d->start;
  ic_status status =
      ic_codec_check(at, d->end, d->hooks ? d->hooks->killed : NULL, sizes);
  if (status == IC_OK) return COMPLETE;
  if (status == IC_MALFORMED) return ic_decoder_fail_codec(d, *at);
  return status == IC_GONE ? ic_decoder_look(d) : ic_decoder_fail_memory(d);
}

outcome ic_decoder_fail_range(ic_decoder *d, const char *what) {
  const uint8_t *at;
  if (check_all(d, &at, NULL) == FAILED) return FAILED;
  if (at != d->end) return ic_decoder_fail_at(d, at, "bytes behind the item");
  return fail(d, IC_RANGE, d->item, what);
}

// --- Marks ------------------------------------------------------------------

void ic_decoder_set_marks(ic_decoder *d, mark_run run) {
  lua_State *L = d->L;
  if (!d->has_marks) {
    lua_newtable(L);
    lua_insert(L, d->marks);
    d->has_marks = true;
  }
  for (size_t i = 1; i <= run.count; i++) {
    lua_pushvalue(L, -1);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushlightuserdata(L, ABSENT);
    }
    lua_rawseti(L, d->marks, (lua_Integer)(run.first + i));
  }
}

outcome ic_decoder_read_reference(ic_decoder *d) {
  ic_codec_head head;
  const uint8_t *at = d->at;
  if (ic_codec_read_head(&d->at, d->end, &head) != IC_OK) {
    return ic_decoder_fail_codec(d, at);
  }
  if (head.kind != IC_CODEC_UNSIGNED) {
    return ic_decoder_fail_malformed(d, "a reference that is no number");
  }
  if (head.argument >= d->marked) {
    return ic_decoder_fail_malformed(
        d, "a reference to what was not marked before");
  }
  int type = LUA_TNIL;
  if (d->has_marks) {
    type = lua_rawgeti(d->L, d->marks, (lua_Integer)head.argument + 1);
  }
  if (type == LUA_TNIL) {
    return ic_decoder_fail_malformed(d,
                                     "a reference to what is not yet complete");
  }
  if (lua_touserdata(d->L, -1) == ABSENT) {
    lua_pop(d->L, 1);
    lua_pushnil(d->L);
  }
  return COMPLETE;
}

// --- Maps ---------------------------------------------------------------------

void ic_decoder_remove_absent(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    bool is_absent = lua_touserdata(L, -1) == ABSENT;
    lua_pop(L, 1);
    if (!is_absent) continue;
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
}

// Counts the number key at the top, if the map is large.
static ic_status count_key(ic_decoder *d, decode_frame *frame) {
  if (frame->pairs < IC_KEY_SPREAD_PAIRS) return IC_OK;
  if (frame->spread == 0) {
    ic_status status =
        ic_key_spread_open(d->scratch, frame->pairs, &frame->spread);
    if (status != IC_OK) return status;
  }
  return ic_key_spread_add(d->scratch, frame->spread, d->L, -1);
}

outcome ic_decoder_check_number_key(ic_decoder *d, decode_frame *frame) {
  lua_Number number = lua_tonumberx(d->L, -1, NULL);
  if (number != number)
    return ic_decoder_fail_malformed(d, "a map key that is NaN");
  ic_status status = count_key(d, frame);
  if (status == IC_MEMORY) return ic_decoder_fail_memory(d);
  if (status != IC_OK)
    return ic_decoder_fail_malformed(d, "map keys that collide");
  return COMPLETE;
}

// --- Items that are read apart ------------------------------------------------

outcome ic_decoder_read_chunks(ic_decoder *d, ic_codec_kind kind) {
  ic_buffer *joined = &d->scratch->joined;
  joined->size = 0;
  for (size_t chunks = 1;; chunks++) {
    size_t size = 0;
    bool last;
    if (chunks % IC_VALUE_ROUND == 0 && ic_decoder_look(d) == FAILED) {
      return FAILED;
    }
    if (ic_codec_read_chunk(&d->at, d->end, kind, &size, &last) != IC_OK) {
      return ic_decoder_fail_codec(d, d->item);
    }
    if (last) break;
    if (ic_buffer_append(joined, d->at, size) != IC_OK)
      return ic_decoder_fail_memory(d);
    d->at += size;
  }
  lua_pushlstring(d->L, (const char *)joined->bytes, joined->size);
  return COMPLETE;
}

outcome ic_decoder_find_pairs(ic_decoder *d, size_t *pairs) {
  ic_codec_sizes *sizes = &d->scratch->sizes;
  const uint8_t *at;
  if (d->maps == 0) {
    sizes->count = 0;
    if (check_all(d, &at, sizes) == FAILED) return FAILED;
  }
  *pairs = sizes->items[d->maps++];
  return COMPLETE;
}

bool ic_decoder_read_scalar(lua_State *L, const uint8_t *bytes, size_t size) {
  const uint8_t *at = bytes, *end = bytes + size;
  ic_codec_head head;
  int64_t integer;
  if (size == 0 || (*at >= 0x80 && *at < 0xe0)) return false;
  if (ic_codec_read_head(&at, end, &head) != IC_OK || head.indefinite) {
    return false;
  }
  bool is_string = head.kind == IC_CODEC_TEXT || head.kind == IC_CODEC_BYTES;
  if ((uint64_t)(end - at) != (is_string ? head.argument : 0)) return false;
  if (!lua_checkstack(L, 1)) return false;
  if (is_string) {
    lua_pushlstring(L, (const char *)at, (size_t)(end - at));
  } else if (head.kind == IC_CODEC_DOUBLE) {
    lua_pushnumber(L, head.number);
  } else if (head.kind == IC_CODEC_SIMPLE) {
    if (head.argument != IC_CODEC_FALSE && head.argument != IC_CODEC_TRUE) {
      return false;
    }
    lua_pushboolean(L, head.argument == IC_CODEC_TRUE);
  } else if (head.kind == IC_CODEC_BREAK ||
             ic_codec_integer(&head, &integer) != IC_OK) {
    return false;
  } else {
    lua_pushinteger(L, integer);
  }
  return true;
}
