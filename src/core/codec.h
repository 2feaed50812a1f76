// codec.h - CBOR (RFC 8949): heads of items, written and read.
//
// An item is a head, and behind it the bytes of a string or the items of an
// array, a map or a tag. A head is one byte, which holds the major type and a
// small argument, or says in how many bytes the argument follows:
//
//   +-------+-------+- - - - - - - - - - -+
//   | major | info  | argument            |   info 0..23: the argument itself
//   | 3 bit | 5 bit | 0, 1, 2, 4, 8 bytes |        24..27: 1, 2, 4, 8 bytes
//   +-------+-------+- - - - - - - - - - -+        28..30: reserved
//                                                  31: indefinite length, break
//
// What is written is always the shortest head; floats are always 64 bits wide,
// so that they can be told from integers. What is read may be any of it. Here
// is nothing that knows Lua, and nothing but ic_codec_check that allocates.
//
// Threads: any. Memory: readers borrow the bytes.

#ifndef IC_CODEC_H
#define IC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/buffer.h"
#include "isolate_cluster.h"

// The deepest nesting of arrays and maps that a value may have.
#define IC_CODEC_DEPTH 10000

// Tags that the cluster knows. A decoder takes the others' content for them.
#define IC_CODEC_TAG_OBJECT 27     // an array: a type's name and arguments
#define IC_CODEC_TAG_SHAREABLE 28  // its content has the next number, from 0
#define IC_CODEC_TAG_SHARED 29     // its content is the number of a shareable

// Simple values.
#define IC_CODEC_FALSE 20
#define IC_CODEC_TRUE 21
#define IC_CODEC_NULL 22
#define IC_CODEC_UNDEFINED 23

// What a head begins. The first eight are the major types.
typedef enum {
  IC_CODEC_UNSIGNED,
  IC_CODEC_NEGATIVE,
  IC_CODEC_BYTES,
  IC_CODEC_TEXT,
  IC_CODEC_ARRAY,
  IC_CODEC_MAP,
  IC_CODEC_TAG,
  IC_CODEC_SIMPLE,
  IC_CODEC_DOUBLE,  // major type 7 too, of any width
  IC_CODEC_BREAK
} ic_codec_kind;

// [argument]: the integer n, or n of -1 - n; a string's bytes; an array's
// items, a map's pairs (any number: compare it with the bytes that are left); a
// tag's number; a simple value. Nothing where the length is indefinite.
typedef struct {
  ic_codec_kind kind;
  bool indefinite;  // strings, arrays and maps: up to the break
  uint64_t argument;
  double number;  // IC_CODEC_DOUBLE only
} ic_codec_head;

// --- Writing ---------------------------------------------------------------
//
// Errors of all: IC_MEMORY; nothing is appended.

enum { IC_CODEC_HEAD_MAX = 9 };  // bytes of the longest head

// Written out, so that a compiler makes one swapped store or load of each.
static inline void ic_codec_put_64(uint8_t *to, uint64_t number) {
  to[0] = (uint8_t)(number >> 56);
  to[1] = (uint8_t)(number >> 48);
  to[2] = (uint8_t)(number >> 40);
  to[3] = (uint8_t)(number >> 32);
  to[4] = (uint8_t)(number >> 24);
  to[5] = (uint8_t)(number >> 16);
  to[6] = (uint8_t)(number >> 8);
  to[7] = (uint8_t)number;
}

static inline uint64_t ic_codec_get_64(const uint8_t *at) {
  return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
         (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
         (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

static inline double ic_codec_get_double(const uint8_t *at) {
  uint64_t bits = ic_codec_get_64(at);
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static inline uint8_t *ic_codec_put_big_endian(uint8_t *to, uint64_t number,
                                               int size) {
  for (int i = size - 1; i >= 0; i--)
    *to++ = (uint8_t)(number >> (8 * i));
  return to;
}

// Writes the shortest head to [to], where IC_CODEC_HEAD_MAX bytes are free;
// answers the place behind it. [kind] is a major type.
static inline uint8_t *ic_codec_put_head(uint8_t *to, ic_codec_kind kind,
                                         uint64_t argument) {
  uint8_t major = (uint8_t)(kind << 5);
  if (argument < 24) {
    *to = (uint8_t)(major | argument);
    return to + 1;
  }
  int wide = argument > UINT8_MAX ? argument > UINT16_MAX ? 2 : 1 : 0;
  if (argument > UINT32_MAX) wide = 3;
  *to++ = (uint8_t)(major | (24 + wide));
  switch (wide) {
    case 0:
      return ic_codec_put_big_endian(to, argument, 1);
    case 1:
      return ic_codec_put_big_endian(to, argument, 2);
    case 2:
      return ic_codec_put_big_endian(to, argument, 4);
    default:
      return ic_codec_put_big_endian(to, argument, 8);
  }
}

static inline size_t ic_codec_head_size(uint64_t argument) {
  if (argument < 24) return 1;
  if (argument <= UINT8_MAX) return 2;
  if (argument <= UINT16_MAX) return 3;
  return argument <= UINT32_MAX ? 5 : 9;
}

static inline ic_status ic_codec_write_head(ic_buffer *out, ic_codec_kind kind,
                                            uint64_t argument) {
  ic_status status = ic_buffer_reserve(out, IC_CODEC_HEAD_MAX);
  if (status != IC_OK) return status;
  uint8_t *to = out->bytes + out->size;
  out->size += (size_t)(ic_codec_put_head(to, kind, argument) - to);
  return IC_OK;
}

// Both: as ic_codec_put_head.
static inline uint8_t *ic_codec_put_integer(uint8_t *to, int64_t integer) {
  if (integer >= 0) {
    return ic_codec_put_head(to, IC_CODEC_UNSIGNED, (uint64_t)integer);
  }
  return ic_codec_put_head(to, IC_CODEC_NEGATIVE, ~(uint64_t)integer);
}

static inline uint8_t *ic_codec_put_double(uint8_t *to, double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  *to = 0xfb;
  ic_codec_put_64(to + 1, bits);
  return to + IC_CODEC_HEAD_MAX;
}

static inline ic_status ic_codec_write_integer(ic_buffer *out,
                                               int64_t integer) {
  ic_status status = ic_buffer_reserve(out, IC_CODEC_HEAD_MAX);
  if (status != IC_OK) return status;
  uint8_t *behind = ic_codec_put_integer(out->bytes + out->size, integer);
  out->size = (size_t)(behind - out->bytes);
  return IC_OK;
}

static inline ic_status ic_codec_write_double(ic_buffer *out, double number) {
  ic_status status = ic_buffer_reserve(out, IC_CODEC_HEAD_MAX);
  if (status != IC_OK) return status;
  ic_codec_put_double(out->bytes + out->size, number);
  out->size += IC_CODEC_HEAD_MAX;
  return IC_OK;
}

// [simple]: 0..23, or 32..255.
static inline ic_status ic_codec_write_simple(ic_buffer *out, uint8_t simple) {
  return ic_codec_write_head(out, IC_CODEC_SIMPLE, simple);
}

// True if [bytes] are well-formed UTF-8: no surrogates, nothing overlong.
bool ic_codec_is_utf8_slowly(const uint8_t *bytes, size_t size);

static inline bool ic_codec_is_utf8(const uint8_t *bytes, size_t size) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t eight;
    memcpy(&eight, bytes + i, 8);
    if (eight & 0x8080808080808080u) {
      return ic_codec_is_utf8_slowly(bytes + i, size - i);
    }
  }
  uint8_t any = 0;
  for (size_t k = i; k < size; k++)
    any |= bytes[k];
  return any < 0x80 || ic_codec_is_utf8_slowly(bytes + i, size - i);
}

// Copies [bytes], and looks at them on the way, so that a large string comes to
// the core once. True if they are UTF-8.
bool ic_codec_copy_text(uint8_t *to, const uint8_t *bytes, size_t size);

// A string of up to so many bytes has its size in its head's one byte.
enum { IC_CODEC_SHORT_STRING = 23 };

// Copies a short string by a few loads, which overlap, and no loop. True if it is
// ASCII.
static inline bool ic_codec_copy_short(uint8_t *to, const char *bytes,
                                       size_t size) {
  if (size >= 8) {
    uint64_t first, middle, last;
    size_t half = size < 16 ? size - 8 : 8;
    memcpy(&first, bytes, 8);
    memcpy(&middle, bytes + half, 8);
    memcpy(&last, bytes + size - 8, 8);
    memcpy(to, &first, 8);
    memcpy(to + half, &middle, 8);
    memcpy(to + size - 8, &last, 8);
    return ((first | middle | last) & 0x8080808080808080u) == 0;
  }
  if (size >= 4) {
    uint32_t first, last;
    memcpy(&first, bytes, 4);
    memcpy(&last, bytes + size - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + size - 4, &last, 4);
    return ((first | last) & 0x80808080u) == 0;
  }
  if (size == 0) return true;
  uint8_t first = (uint8_t)bytes[0], middle = (uint8_t)bytes[size / 2];
  uint8_t last = (uint8_t)bytes[size - 1];
  to[0] = first;
  to[size / 2] = middle;
  to[size - 1] = last;
  return (first | middle | last) < 0x80;
}

// Appends a string: a text string if it is UTF-8, else a byte string.
static inline ic_status ic_codec_write_string(ic_buffer *out, const char *bytes,
                                              size_t size) {
  if (size > SIZE_MAX - IC_CODEC_HEAD_MAX) return IC_MEMORY;
  ic_status status = ic_buffer_reserve(out, IC_CODEC_HEAD_MAX + size);
  if (status != IC_OK) return status;
  uint8_t *to = out->bytes + out->size;
  if (size <= IC_CODEC_SHORT_STRING &&
      ic_codec_copy_short(to + 1, bytes, size)) {
    *to = (uint8_t)(IC_CODEC_TEXT << 5 | size);
    out->size += 1 + size;
    return IC_OK;
  }
  uint8_t *behind = ic_codec_put_head(to, IC_CODEC_TEXT, size);
  if (!ic_codec_copy_text(behind, (const uint8_t *)bytes, size)) {
    ic_codec_put_head(to, IC_CODEC_BYTES, size);  // as long as the other
  }
  out->size += (size_t)(behind - to) + size;
  return IC_OK;
}

// Opens an array, map or string of indefinite length.
static inline ic_status ic_codec_write_open(ic_buffer *out,
                                            ic_codec_kind kind) {
  uint8_t head = (uint8_t)(kind << 5 | 31);
  return ic_buffer_append(out, &head, 1);
}

static inline ic_status ic_codec_write_break(ic_buffer *out) {
  uint8_t head = 0xff;
  return ic_buffer_append(out, &head, 1);
}

// --- Reading ---------------------------------------------------------------

// What ic_codec_read_head does where the argument is not in the first byte.
ic_status ic_codec_read_long_head(const uint8_t **at, const uint8_t *end,
                                  ic_codec_head *out);

// Reads the head at [*at] and moves behind it; never looks at [end] or beyond.
//
// A break is given wherever it stands: the caller knows whether one may come.
// The bytes of a string, and the items of the rest, are the caller's to bound.
//
// Errors: IC_MALFORMED - the bytes end inside the head, or no head begins so;
//         [*at] and [out] are as they were. ic_codec_explain says which.
static inline ic_status ic_codec_read_head(const uint8_t **at,
                                           const uint8_t *end,
                                           ic_codec_head *out) {
  if (*at >= end) return IC_MALFORMED;
  uint8_t first = **at;
  if (first == 0xfb && end - *at >= IC_CODEC_HEAD_MAX) {
    uint64_t bits = ic_codec_get_64(*at + 1);
    out->kind = IC_CODEC_DOUBLE;
    out->indefinite = false;
    out->argument = bits;
    memcpy(&out->number, &bits, sizeof bits);
    *at += IC_CODEC_HEAD_MAX;
    return IC_OK;
  }
  if ((first & 31) >= 24 || first >= 0xe0) {
    return ic_codec_read_long_head(at, end, out);
  }
  out->kind = (ic_codec_kind)(first >> 5);
  out->indefinite = false;
  out->argument = first & 31;
  ++*at;
  return IC_OK;
}

// Why no well-formed item begins at [at]: the head is wrong, or what it says of
// the content does not agree with the bytes. Static.
const char *ic_codec_explain(const uint8_t *at, const uint8_t *end);

// Reads the head of an indefinite string's next chunk: [size] bytes behind
// [*at], all of them there, or [*last] for the break that ends the string.
//
// Errors: IC_MALFORMED - no chunk of [kind]; [*at] is as it was.
ic_status ic_codec_read_chunk(const uint8_t **at, const uint8_t *end,
                              ic_codec_kind kind, size_t *size, bool *last);

// Integers: the value of a head of kind UNSIGNED or NEGATIVE.
// Errors: IC_RANGE - more than 64 signed bits.
static inline ic_status ic_codec_integer(const ic_codec_head *head,
                                         int64_t *out) {
  if (head->argument > INT64_MAX) return IC_RANGE;
  int64_t n = (int64_t)head->argument;
  *out = head->kind == IC_CODEC_NEGATIVE ? -1 - n : n;
  return IC_OK;
}

// The pairs of each map of indefinite length, in the order of their heads.
typedef struct {
  size_t *items;
  size_t count;
  size_t capacity;
} ic_codec_sizes;

void ic_codec_sizes_fini(ic_codec_sizes *sizes);

// Moves [*at] behind the one item that begins there, and proves that it is
// well-formed. Time and memory are linear in its bytes; it does not recurse.
// Appends to [sizes], unless that is NULL. Looks at [killed] now and then, unless
// that is NULL: at the flag of the isolate whose code waits for it (isolate.h).
//
// Errors: IC_MALFORMED - [*at] is the head that is wrong, or [end].
//         IC_GONE - [killed]. IC_MEMORY.
ic_status ic_codec_check(const uint8_t **at, const uint8_t *end,
                         const _Atomic(const char *) *killed,
                         ic_codec_sizes *sizes);

#endif
