// codec.c - the rarer heads, UTF-8, and the walk that proves well-formedness.

#include "core/codec.h"

#include <assert.h>
#include <stdlib.h>

// --- Heads -----------------------------------------------------------------

// Of 1, 2, 4 or 8 bytes; written out, so that each becomes one swapped load.
static inline uint64_t big_endian(const uint8_t *at, size_t size) {
  if (size == 1) return at[0];
  if (size == 2) return (uint64_t)at[0] << 8 | at[1];
  if (size == 8) return ic_codec_get_64(at);
  return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 |
         (uint64_t)at[3];
}

static double double_of_bits(uint64_t bits) {
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static double double_of_single(uint64_t bits) {
  uint32_t narrow = (uint32_t)bits;
  float number;
  memcpy(&number, &narrow, sizeof number);
  return number;
}

// Half precision: 1 bit sign, 5 bits exponent (bias 15), 10 bits fraction.
static double double_of_half(uint64_t bits) {
  uint64_t sign = (bits & 0x8000) << 48;
  uint64_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: a multiple of 2 to the -24
    double number = (double)fraction / 16777216.0;
    return sign ? -number : number;
  }
  exponent = exponent == 31 ? 0x7ff : exponent + (1023 - 15);
  return double_of_bits(sign | exponent << 52 | fraction << 42);
}

// Major type 7; [info] is 0..27, [argument] what followed.
static ic_status simple_or_double(uint8_t info, uint64_t argument,
                                  ic_codec_head *out) {
  if (info == 24 && argument < 32) return IC_MALFORMED;
  *out = (ic_codec_head){.kind = IC_CODEC_SIMPLE, .argument = argument};
  if (info <= 24) return IC_OK;
  out->kind = IC_CODEC_DOUBLE;
  if (info == 25) out->number = double_of_half(argument);
  if (info == 26) out->number = double_of_single(argument);
  if (info == 27) out->number = double_of_bits(argument);
  return IC_OK;
}

// Additional information 31.
static ic_status indefinite_head(ic_codec_kind major, ic_codec_head *out) {
  bool string = major == IC_CODEC_BYTES || major == IC_CODEC_TEXT;
  bool many = major == IC_CODEC_ARRAY || major == IC_CODEC_MAP;
  if (!string && !many && major != IC_CODEC_SIMPLE) return IC_MALFORMED;
  bool is_break = major == IC_CODEC_SIMPLE;
  *out = (ic_codec_head){.kind = is_break ? IC_CODEC_BREAK : major,
                         .indefinite = !is_break};
  return IC_OK;
}

// How many bytes the argument takes behind the first.
static size_t argument_size(uint8_t info) {
  return info >= 24 && info <= 27 ? (size_t)1 << (info - 24) : 0;
}

// Major type 7, or an indefinite length.
static ic_status read_rare_head(const uint8_t **at, const uint8_t *end,
                                ic_codec_head *out) {
  uint8_t info = **at & 31;
  size_t size = argument_size(info);
  if (info >= 28 && info <= 30) return IC_MALFORMED;
  if ((size_t)(end - *at) - 1 < size) return IC_MALFORMED;
  uint64_t argument = size > 0 ? big_endian(*at + 1, size) : info;
  ic_status status = info == 31
                         ? indefinite_head((ic_codec_kind)(**at >> 5), out)
                         : simple_or_double(info, argument, out);
  if (status == IC_OK) *at += 1 + size;
  return status;
}

ic_status ic_codec_read_long_head(const uint8_t **at, const uint8_t *end,
                                  ic_codec_head *out) {
  if (*at >= end) return IC_MALFORMED;
  const uint8_t *from = *at + 1;
  uint8_t first = **at, info = first & 31;
  if (info > 27 || first >= 0xe0) return read_rare_head(at, end, out);
  size_t size = (size_t)1 << (info - 24);
  if ((size_t)(end - from) < size) return IC_MALFORMED;
  out->kind = (ic_codec_kind)(first >> 5);
  out->indefinite = false;
  out->argument = big_endian(from, size);
  *at = from + size;
  return IC_OK;
}

// Why a head that reads well begins no well-formed item.
static const char *explain_content(const ic_codec_head *head) {
  switch (head->kind) {
    case IC_CODEC_BREAK:
      return "a break where none may be";
    case IC_CODEC_BYTES:
    case IC_CODEC_TEXT:
      if (head->indefinite) return "a string with a chunk that is none";
      return "a string longer than the bytes that are left";
    case IC_CODEC_ARRAY:
    case IC_CODEC_MAP:
      return "an array or map longer than the bytes that are left";
    default:
      return "an item that is owed more bytes than are left";
  }
}

const char *ic_codec_explain(const uint8_t *at, const uint8_t *end) {
  if (at >= end) return "the bytes end where an item is owed";
  ic_codec_head head;
  const uint8_t *behind = at;
  ic_status status = ic_codec_read_head(&behind, end, &head);
  if (status == IC_OK) return explain_content(&head);
  uint8_t info = *at & 31;
  if (info >= 28 && info <= 30) return "a head with reserved information";
  if (info == 31) return "an indefinite length of what has no length";
  if ((size_t)(end - at) - 1 < argument_size(info)) {
    return "the bytes end inside a head";
  }
  return "a simple value below 32 in two bytes";
}

ic_status ic_codec_read_chunk(const uint8_t **at, const uint8_t *end,
                              ic_codec_kind kind, size_t *size, bool *last) {
  const uint8_t *behind = *at;
  ic_codec_head head;
  if (ic_codec_read_head(&behind, end, &head) != IC_OK) return IC_MALFORMED;
  *last = head.kind == IC_CODEC_BREAK;
  if (!*last) {
    if (head.kind != kind || head.indefinite) return IC_MALFORMED;
    if (head.argument > (size_t)(end - behind)) return IC_MALFORMED;
    *size = (size_t)head.argument;
  }
  *at = behind;
  return IC_OK;
}

// --- UTF-8 -----------------------------------------------------------------

// The bytes of the character at [at], 0 where it is none. [left] > 0.
static size_t utf8_character(const uint8_t *at, size_t left) {
  uint8_t first = at[0];
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (left < size) return 0;
  uint8_t low = 0x80, high = 0xbf;  // what the second byte may be
  if (first == 0xe0) low = 0xa0;    // below: overlong
  if (first == 0xed) high = 0x9f;   // above: surrogates
  if (first == 0xf0) low = 0x90;    // below: overlong
  if (first == 0xf4) high = 0x8f;   // above: beyond U+10FFFF
  if (at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  return size;
}

bool ic_codec_is_utf8_slowly(const uint8_t *bytes, size_t size) {
  size_t i = 0;
  while (i < size) {
    size_t character = utf8_character(bytes + i, size - i);
    if (character == 0) return false;
    i += character;
  }
  return true;
}

// Sixteen bytes at once, wherever they lie, by whatever the processor has.
typedef uint64_t sixteen
    __attribute__((vector_size(16), aligned(1), may_alias));

// Copies 64 bytes. True if they are ASCII.
static inline bool copy_64(uint8_t *to, const uint8_t *bytes) {
  const sixteen *from = (const sixteen *)bytes;
  sixteen a = from[0], b = from[1], c = from[2], d = from[3];
  sixteen *copy = (sixteen *)to;
  copy[0] = a, copy[1] = b, copy[2] = c, copy[3] = d;
  sixteen any = (a | b) | (c | d);
  return ((any[0] | any[1]) & 0x8080808080808080u) == 0;
}

bool ic_codec_copy_text(uint8_t *to, const uint8_t *bytes, size_t size) {
  size_t i = 0;
  while (size - i >= 64 && copy_64(to + i, bytes + i))
    i += 64;
  if (size > i) memcpy(to + i, bytes + i, size - i);
  return ic_codec_is_utf8(bytes + i, size - i);
}

// --- Well-formedness -------------------------------------------------------
//
// Definite arrays, maps and tags need no stack: they only add to the items that
// are owed before their surroundings go on. A stack is needed for indefinite
// ones, since a break may come only where nothing is owed inside of them.

typedef struct {
  size_t owed;   // items that must come before this level may end or go on
  size_t items;  // items begun that belong to the indefinite array or map
  size_t map;    // the map's number in the sizes, or NOT_A_MAP
} check_level;

#define NOT_A_MAP SIZE_MAX
enum { FIRST_LEVELS = 16 };

typedef struct {
  const uint8_t *at, *end;
  check_level *levels;  // levels[0] is the surroundings of the one item
  size_t count, capacity;
  size_t maps;                          // indefinite maps met
  size_t heads;                         // read so far
  const _Atomic(const char *) *killed;  // or NULL
  ic_codec_sizes *sizes;                // or NULL
  check_level first[FIRST_LEVELS];
} checker;

void ic_codec_sizes_fini(ic_codec_sizes *sizes) {
  free(sizes->items);
  *sizes = (ic_codec_sizes){0};
}

static ic_status sizes_push(ic_codec_sizes *sizes) {
  if (sizes->count == sizes->capacity) {
    size_t capacity = sizes->capacity ? sizes->capacity * 2 : 16;
    size_t *items = realloc(sizes->items, capacity * sizeof *items);
    if (!items) return IC_MEMORY;
    sizes->items = items;
    sizes->capacity = capacity;
  }
  sizes->items[sizes->count++] = 0;
  return IC_OK;
}

static ic_status grow_levels(checker *c) {
  size_t capacity = c->capacity * 2;
  check_level *old = c->levels == c->first ? NULL : c->levels;
  check_level *levels = realloc(old, capacity * sizeof *levels);
  if (!levels) return IC_MEMORY;
  if (!old) memcpy(levels, c->first, sizeof c->first);
  c->levels = levels;
  c->capacity = capacity;
  return IC_OK;
}

static ic_status open_level(checker *c, ic_codec_kind kind) {
  if (c->count == c->capacity && grow_levels(c) != IC_OK) return IC_MEMORY;
  size_t map = NOT_A_MAP;
  if (kind == IC_CODEC_MAP) {
    if (c->sizes && sizes_push(c->sizes) != IC_OK) return IC_MEMORY;
    map = c->maps++;
  }
  c->levels[c->count++] = (check_level){.map = map};
  return IC_OK;
}

static ic_status close_level(checker *c) {
  const check_level *level = &c->levels[c->count - 1];
  if (c->count == 1 || level->owed > 0) return IC_MALFORMED;
  if (level->map != NOT_A_MAP) {
    if (level->items % 2 != 0) return IC_MALFORMED;
    size_t first = c->sizes ? c->sizes->count - c->maps : 0;
    if (c->sizes) c->sizes->items[first + level->map] = level->items / 2;
  }
  c->count--;
  return IC_OK;
}

// Owes [count] times [each] items more, unless the bytes left can't hold them.
static ic_status owe(checker *c, uint64_t count, size_t each) {
  size_t left = (size_t)(c->end - c->at);
  check_level *level = &c->levels[c->count - 1];
  if (count > left / each) return IC_MALFORMED;
  size_t more = (size_t)count * each;
  if (more > left || level->owed > left - more) return IC_MALFORMED;
  level->owed += more;
  return IC_OK;
}

static ic_status skip_bytes(checker *c, uint64_t size) {
  if (size > (size_t)(c->end - c->at)) return IC_MALFORMED;
  c->at += size;
  return IC_OK;
}

// To be asked for each head.
static bool is_given_up(checker *c) {
  enum { HEADS_PER_LOOK = 4096 };
  return ++c->heads % HEADS_PER_LOOK == 0 && c->killed &&
         atomic_load_explicit(c->killed, memory_order_relaxed);
}

static ic_status skip_chunks(checker *c, ic_codec_kind kind) {
  for (;;) {
    size_t size = 0;
    bool last;
    if (is_given_up(c)) return IC_GONE;
    ic_status status = ic_codec_read_chunk(&c->at, c->end, kind, &size, &last);
    if (status != IC_OK || last) return status;
    c->at += size;
  }
}

// What follows the head of an item that is no break.
static ic_status check_content(checker *c, const ic_codec_head *head) {
  switch (head->kind) {
    case IC_CODEC_BYTES:
    case IC_CODEC_TEXT:
      if (head->indefinite) return skip_chunks(c, head->kind);
      return skip_bytes(c, head->argument);
    case IC_CODEC_ARRAY:
    case IC_CODEC_MAP:
      if (head->indefinite) return open_level(c, head->kind);
      return owe(c, head->argument, head->kind == IC_CODEC_MAP ? 2 : 1);
    case IC_CODEC_TAG:
      return owe(c, 1, 1);
    default:
      return IC_OK;
  }
}

static ic_status check_head(checker *c) {
  ic_codec_head head;
  if (is_given_up(c)) return IC_GONE;
  ic_status status = ic_codec_read_head(&c->at, c->end, &head);
  if (status != IC_OK) return status;
  if (head.kind == IC_CODEC_BREAK) return close_level(c);
  check_level *level = &c->levels[c->count - 1];
  if (level->owed > 0) {
    level->owed--;
  } else {
    level->items++;
  }
  return check_content(c, &head);
}

ic_status ic_codec_check(const uint8_t **at, const uint8_t *end,
                         const _Atomic(const char *) *killed,
                         ic_codec_sizes *sizes) {
  checker c = {.at = *at, .end = end, .capacity = FIRST_LEVELS, .count = 1};
  c.killed = killed;
  c.sizes = sizes;
  c.levels = c.first;
  c.first[0] = (check_level){.owed = 1, .map = NOT_A_MAP};
  ic_status status = IC_OK;
  while (status == IC_OK && (c.count > 1 || c.levels[0].owed > 0)) {
    *at = c.at;
    status = check_head(&c);
  }
  if (status == IC_OK) *at = c.at;
  if (c.levels != c.first) free(c.levels);
  return status;
}
