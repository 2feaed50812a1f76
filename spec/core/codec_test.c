// codec_test.c - heads of CBOR items, written and read; UTF-8; the check.

#include "core/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

// --- Helpers ---------------------------------------------------------------

typedef struct {
  uint8_t bytes[64];
  size_t size;
} sample;

static sample from_hex(const char *hex) {
  sample result = {.size = strlen(hex) / 2};
  for (size_t i = 0; i < result.size; i++) {
    char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
    result.bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return result;
}

// In a heap block of exactly its size, so that a sanitizer sees a read beyond.
static ic_status read_exact(const char *hex, ic_codec_head *head,
                            size_t *size) {
  sample s = from_hex(hex);
  uint8_t *bytes = malloc(s.size + (s.size == 0));
  memcpy(bytes, s.bytes, s.size);
  const uint8_t *at = bytes;
  ic_status status = ic_codec_read_head(&at, bytes + s.size, head);
  *size = (size_t)(at - bytes);
  if (status != IC_OK && !ic_codec_explain(at, bytes + s.size)) abort();
  free(bytes);
  return status;
}

static ic_status check_exact(const char *hex, size_t *size) {
  sample s = from_hex(hex);
  uint8_t *bytes = malloc(s.size + (s.size == 0));
  memcpy(bytes, s.bytes, s.size);
  const uint8_t *at = bytes;
  ic_status status = ic_codec_check(&at, bytes + s.size, NULL, NULL);
  *size = (size_t)(at - bytes);
  free(bytes);
  return status;
}

static bool holds(const ic_buffer *buffer, const char *hex) {
  sample s = from_hex(hex);
  return buffer->size == s.size && memcmp(buffer->bytes, s.bytes, s.size) == 0;
}

// --- Reading heads ---------------------------------------------------------

static void reads_arguments_of_every_width(void) {
  static const struct {
    const char *hex;
    ic_codec_kind kind;
    uint64_t argument;
  } heads[] = {
      {"00", IC_CODEC_UNSIGNED, 0},
      {"17", IC_CODEC_UNSIGNED, 23},
      {"1818", IC_CODEC_UNSIGNED, 24},
      {"18ff", IC_CODEC_UNSIGNED, 255},
      {"1903e8", IC_CODEC_UNSIGNED, 1000},
      {"1a000f4240", IC_CODEC_UNSIGNED, 1000000},
      {"1b000000e8d4a51000", IC_CODEC_UNSIGNED, 1000000000000},
      {"1bffffffffffffffff", IC_CODEC_UNSIGNED, UINT64_MAX},
      {"1b0000000000000001", IC_CODEC_UNSIGNED, 1},
      {"20", IC_CODEC_NEGATIVE, 0},
      {"3903e7", IC_CODEC_NEGATIVE, 999},
      {"3bffffffffffffffff", IC_CODEC_NEGATIVE, UINT64_MAX},
      {"44", IC_CODEC_BYTES, 4},
      {"5901f4", IC_CODEC_BYTES, 500},
      {"64", IC_CODEC_TEXT, 4},
      {"7b0102030405060708", IC_CODEC_TEXT, 0x0102030405060708},
      {"83", IC_CODEC_ARRAY, 3},
      {"9819", IC_CODEC_ARRAY, 25},
      {"a2", IC_CODEC_MAP, 2},
      {"ba7fffffff", IC_CODEC_MAP, 0x7fffffff},
      {"c1", IC_CODEC_TAG, 1},
      {"d81c", IC_CODEC_TAG, 28},
      {"d9d9f7", IC_CODEC_TAG, 55799},
      {"f4", IC_CODEC_SIMPLE, 20},
      {"f7", IC_CODEC_SIMPLE, 23},
      {"f0", IC_CODEC_SIMPLE, 16},
      {"f820", IC_CODEC_SIMPLE, 32},
      {"f8ff", IC_CODEC_SIMPLE, 255},
      {"ff", IC_CODEC_BREAK, 0},
  };
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
    ic_codec_head head;
    size_t size;
    CHECK(read_exact(heads[i].hex, &head, &size) == IC_OK);
    CHECK(size == strlen(heads[i].hex) / 2);
    CHECK(head.kind == heads[i].kind);
    CHECK(head.argument == heads[i].argument);
    CHECK(!head.indefinite);
  }
}

static void reads_floats_of_every_width(void) {
  static const struct {
    const char *hex;
    double number;
  } floats[] = {
      {"f90000", 0.0},
      {"f98000", -0.0},
      {"f93c00", 1.0},
      {"f93e00", 1.5},
      {"f97bff", 65504.0},
      {"f90001", 5.960464477539063e-8},
      {"f903ff", 1023.0 / 16777216},
      {"f90400", 0.00006103515625},
      {"f9c400", -4.0},
      {"f97c00", INFINITY},
      {"f9fc00", -INFINITY},
      {"fa47c35000", 100000.0},
      {"fa7f7fffff", 3.4028234663852886e+38},
      {"fa00000001", 0x1p-149},
      {"fa7f800000", INFINITY},
      {"faff800000", -INFINITY},
      {"fb3ff199999999999a", 1.1},
      {"fb7e37e43c8800759c", 1.0e+300},
      {"fbc010666666666666", -4.1},
      {"fb0000000000000001", 0x1p-1074},
      {"fbfff0000000000000", -INFINITY},
  };
  for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
    ic_codec_head head;
    size_t size;
    CHECK(read_exact(floats[i].hex, &head, &size) == IC_OK);
    CHECK(head.kind == IC_CODEC_DOUBLE);
    CHECK(memcmp(&head.number, &floats[i].number, sizeof(double)) == 0);
  }
}

static void reads_every_nan_as_nan(void) {
  const char *nans[] = {"f97e00",     "f9fe01",     "f97c01",
                        "fa7fc00000", "fa7f800001", "fb7ff8000000000000"};
  for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++) {
    ic_codec_head head;
    size_t size;
    CHECK(read_exact(nans[i], &head, &size) == IC_OK);
    CHECK(head.kind == IC_CODEC_DOUBLE && isnan(head.number));
  }
}

static void reads_indefinite_lengths(void) {
  const char *heads[] = {"5f", "7f", "9f", "bf"};
  for (int i = 0; i < 4; i++) {
    ic_codec_head head;
    size_t size;
    CHECK(read_exact(heads[i], &head, &size) == IC_OK);
    CHECK(head.indefinite && head.argument == 0);
    CHECK(head.kind == (ic_codec_kind)(IC_CODEC_BYTES + i));
  }
}

static void refuses_every_malformed_head(void) {
  for (unsigned first = 0; first < 256; first++) {
    unsigned info = first & 31, major = first >> 5;
    char hex[] = "xx4000000000000000";
    snprintf(hex, 3, "%02x", first);
    hex[2] = '4';
    bool reserved = info >= 28 && info <= 30;
    bool endless = info == 31 && (major <= 1 || major == 6);
    ic_codec_head head;
    size_t size;
    ic_status status = read_exact(hex, &head, &size);
    CHECK(status == (reserved || endless ? IC_MALFORMED : IC_OK));
    CHECK(size > 0 || status != IC_OK);
  }
}

static void refuses_short_simples_in_two_bytes(void) {
  for (unsigned simple = 0; simple < 256; simple++) {
    char hex[8];
    snprintf(hex, sizeof hex, "f8%02x", simple);
    ic_codec_head head;
    size_t size;
    ic_status status = read_exact(hex, &head, &size);
    CHECK(status == (simple < 32 ? IC_MALFORMED : IC_OK));
  }
}

static void refuses_heads_that_are_cut(void) {
  for (unsigned first = 0; first < 256; first++) {
    unsigned info = first & 31;
    if (info < 24 || info > 27) continue;
    size_t whole = 1 + ((size_t)1 << (info - 24));
    for (size_t size = 1; size < whole; size++) {
      char hex[32] = "";
      snprintf(hex, sizeof hex, "%02x", first);
      memset(hex + 2, '4', 2 * (size - 1));
      hex[2 * size] = '\0';
      ic_codec_head head = {.argument = 99};
      size_t moved;
      CHECK(read_exact(hex, &head, &moved) == IC_MALFORMED);
      CHECK(moved == 0 && head.argument == 99);
    }
  }
  ic_codec_head head;
  size_t moved;
  CHECK(read_exact("", &head, &moved) == IC_MALFORMED);
}

static void bounds_integers(void) {
  ic_codec_head head = {.kind = IC_CODEC_NEGATIVE, .argument = INT64_MAX};
  int64_t integer = 7;
  CHECK(ic_codec_integer(&head, &integer) == IC_OK && integer == INT64_MIN);
  head.argument++;
  integer = 7;
  CHECK(ic_codec_integer(&head, &integer) == IC_RANGE && integer == 7);
  head.kind = IC_CODEC_UNSIGNED;
  CHECK(ic_codec_integer(&head, &integer) == IC_RANGE && integer == 7);
  head.argument--;
  CHECK(ic_codec_integer(&head, &integer) == IC_OK && integer == INT64_MAX);
}

static void reads_chunks_of_one_kind(void) {
  sample s = from_hex("416160ff");
  const uint8_t *at = s.bytes, *end = s.bytes + s.size;
  size_t size;
  bool last;
  CHECK(ic_codec_read_chunk(&at, end, IC_CODEC_BYTES, &size, &last) == IC_OK);
  CHECK(!last && size == 1 && at == s.bytes + 1);
  at++;
  CHECK(ic_codec_read_chunk(&at, end, IC_CODEC_BYTES, &size, &last) ==
        IC_MALFORMED);
  CHECK(ic_codec_read_chunk(&at, end, IC_CODEC_TEXT, &size, &last) == IC_OK);
  CHECK(!last && size == 0);
  CHECK(ic_codec_read_chunk(&at, end, IC_CODEC_TEXT, &size, &last) == IC_OK);
  CHECK(last && at == end);
}

// --- Writing ---------------------------------------------------------------

static void writes_shortest_heads(void) {
  static const struct {
    uint64_t argument;
    const char *hex;
  } heads[] = {
      {0, "80"},
      {23, "97"},
      {24, "9818"},
      {255, "98ff"},
      {256, "990100"},
      {65535, "99ffff"},
      {65536, "9a00010000"},
      {UINT32_MAX, "9affffffff"},
      {(uint64_t)UINT32_MAX + 1, "9b0000000100000000"},
      {UINT64_MAX, "9bffffffffffffffff"},
  };
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
    ic_buffer out;
    ic_buffer_init(&out, 0);
    CHECK(ic_codec_write_head(&out, IC_CODEC_ARRAY, heads[i].argument) ==
          IC_OK);
    CHECK(holds(&out, heads[i].hex));
    CHECK(ic_codec_head_size(heads[i].argument) == out.size);
    ic_buffer_fini(&out);
  }
}

static void writes_every_kind(void) {
  ic_buffer out;
  ic_buffer_init(&out, 3);
  ic_codec_write_integer(&out, INT64_MIN);
  ic_codec_write_integer(&out, -1);
  ic_codec_write_double(&out, -4.1);
  ic_codec_write_simple(&out, IC_CODEC_TRUE);
  ic_codec_write_simple(&out, 255);
  ic_codec_write_string(&out, "\xc3\xbc", 2);
  ic_codec_write_string(&out, "\xc3", 1);
  ic_codec_write_string(&out, NULL, 0);
  ic_codec_write_open(&out, IC_CODEC_MAP);
  ic_codec_write_break(&out);
  CHECK(holds(&out,
              "3b7fffffffffffffff20fbc010666666666666f5f8ff62c3bc41c360bfff"));
  ic_buffer_fini(&out);
}

// --- UTF-8 -----------------------------------------------------------------

// Every string of [size] bytes from the bytes at which something changes.
static void knows_utf8_by_its_table(void) {
  static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                  0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                  0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
                                  0xf3, 0xf4, 0xf5, 0xff};
  enum { EDGES = sizeof edges };
  for (unsigned i = 0; i < EDGES * EDGES * EDGES * EDGES; i++) {
    uint8_t b[4] = {edges[i % EDGES], edges[i / EDGES % EDGES],
                    edges[i / EDGES / EDGES % EDGES],
                    edges[i / EDGES / EDGES / EDGES]};
    if (b[0] < 0xc0) continue;
    uint32_t code = 0;
    bool tail = (b[1] & 0xc0) == 0x80;
    size_t size = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    code = b[0] & (0x7fu >> size);
    for (size_t k = 1; k < size; k++) {
      tail = tail && (b[k] & 0xc0) == 0x80;
      code = code << 6 | (b[k] & 63);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool right = tail && b[0] < 0xf8 && code >= least[size] &&
                 code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    CHECK(ic_codec_is_utf8(b, size) == right);
    CHECK(!ic_codec_is_utf8(b, size - 1));
  }
}

static void knows_utf8_at_every_offset(void) {
  for (size_t size = 2; size < 40; size++) {
    for (size_t i = 0; i + 1 < size; i++) {
      uint8_t bytes[40];
      memset(bytes, 'a', size);
      bytes[i] = 0xc3;
      CHECK(!ic_codec_is_utf8(bytes, size));
      bytes[i + 1] = 0xbc;
      CHECK(ic_codec_is_utf8(bytes, size));
      CHECK(!ic_codec_is_utf8(bytes, i + 1));
    }
  }
}

// --- The check -------------------------------------------------------------

// Strings are looked at in pieces while they are copied: one character, or half
// of one, or none, is written at [place].
static void write_string_with(size_t size, size_t place, int kind) {
  static char bytes[20000];
  memset(bytes, 'x', size);
  if (kind > 0) memcpy(bytes + place, kind == 1 ? "\xc3\xbc" : "\xc3y", 2);
  ic_buffer out;
  ic_buffer_init(&out, 0);
  CHECK(ic_codec_write_string(&out, bytes, size) == IC_OK);
  size_t head = ic_codec_head_size(size);
  CHECK(out.size == head + size);
  CHECK(out.bytes[0] >> 5 == (kind < 2 ? IC_CODEC_TEXT : IC_CODEC_BYTES));
  CHECK(memcmp(out.bytes + head, bytes, size) == 0);
  ic_buffer_fini(&out);
}

static void knows_text_while_copying_it(void) {
  for (size_t size = 2; size < 200; size++) {
    for (size_t place = 0; place + 2 <= size; place++) {
      for (int kind = 0; kind < 3; kind++)
        write_string_with(size, place, kind);
    }
  }
  static const size_t places[] = {0, 62, 63, 64, 8191, 19967, 19968, 19998};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    for (int kind = 0; kind < 3; kind++)
      write_string_with(20000, places[i], kind);
  }
}

static void accepts_what_is_well_formed(void) {
  const char *items[] = {"00",
                         "f97e00",
                         "60",
                         "4401020304",
                         "80",
                         "8301820203820405",
                         "a26161016162820203",
                         "c11a514b67b0",
                         "5f42010243030405ff",
                         "7f657374726561646d696e67ff",
                         "9fff",
                         "bfff",
                         "9f018202039f0405ffff",
                         "bf61610161629f0203ffff",
                         "bfbf0000fff681bf8001ff00ff",
                         "9f9f9f9fffffc100ffff",
                         "c1c29f82c3bfff00ff"};
  for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
    size_t size;
    CHECK(check_exact(items[i], &size) == IC_OK);
    CHECK(size == strlen(items[i]) / 2);
  }
}

static void refuses_what_is_not(void) {
  const char *items[] = {"",
                         "18",
                         "1901",
                         "1a0102",
                         "1b01020304050607",
                         "38",
                         "41",
                         "61",
                         "5affffffff00",
                         "5bffffffffffffffff010203",
                         "7b7fffffffffffffff010203",
                         "81",
                         "818181818181818181",
                         "8200",
                         "a1",
                         "a20102",
                         "a100",
                         "a2000000",
                         "c0",
                         "5f4100",
                         "7f6100",
                         "9f",
                         "9f0102",
                         "bf",
                         "bf01020102",
                         "819f",
                         "9f8000",
                         "9f9f9f9f9fffffffff",
                         "9f819f819f9fffffff",
                         "1c",
                         "3d",
                         "5e",
                         "fc",
                         "f800",
                         "f81f",
                         "5f00ff",
                         "5f21ff",
                         "5f6100ff",
                         "5fc000ff",
                         "7f4100ff",
                         "5f5f4100ffff",
                         "7f7f6100ffff",
                         "ff",
                         "81ff",
                         "8200ff",
                         "a1ff",
                         "a100ff",
                         "9f81ff",
                         "9f829f819f9fffffffff",
                         "bf00ff",
                         "bf000000ff",
                         "9fc1ff",
                         "1f",
                         "3f",
                         "df",
                         "9b7fffffffffffffff00",
                         "bb800000000000000000"};
  for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
    size_t size;
    CHECK(check_exact(items[i], &size) == IC_MALFORMED);
  }
}

static void refuses_every_part_of_an_item(void) {
  const char *item =
      "bf61619f01c1f93c00ff627878a2f65f4101ff20825a00000001ff80ff";
  size_t size;
  CHECK(check_exact(item, &size) == IC_OK);
  CHECK(size == strlen(item) / 2);
  for (size_t part = 0; part < size; part++) {
    char cut[128];
    memcpy(cut, item, 2 * part);
    cut[2 * part] = '\0';
    size_t moved;
    CHECK(check_exact(cut, &moved) == IC_MALFORMED);
  }
}

static void stops_behind_one_item(void) {
  size_t size;
  CHECK(check_exact("820102ff", &size) == IC_OK);
  CHECK(size == 3);
}

static void counts_pairs_in_the_order_of_heads(void) {
  sample s = from_hex("83bf01bfff02bf03040506ffffbfff9fbf0708ffff");
  const uint8_t *at = s.bytes;
  ic_codec_sizes sizes = {0};
  CHECK(ic_codec_check(&at, s.bytes + s.size, NULL, &sizes) == IC_OK);
  const size_t expected[] = {2, 0, 2, 0, 1};
  CHECK(sizes.count == 5);
  CHECK(memcmp(sizes.items, expected, sizeof expected) == 0);
  ic_codec_sizes_fini(&sizes);
}

static void checks_any_depth(void) {
  enum { DEEP = 1000000 };
  const uint8_t heads[] = {0x81, 0x9f, 0xc1, 0xbf};
  for (int i = 0; i < 4; i++) {
    uint8_t *bytes = malloc(DEEP);
    memset(bytes, heads[i], DEEP);
    const uint8_t *at = bytes;
    CHECK(ic_codec_check(&at, bytes + DEEP, NULL, NULL) == IC_MALFORMED);
    bool closed = heads[i] == 0x9f;
    if (closed) memset(bytes + DEEP / 2, 0xff, DEEP / 2);
    bytes[DEEP - 1] = closed ? 0xff : 0;
    at = bytes;
    bool good = heads[i] != 0xbf;
    ic_status status = ic_codec_check(&at, bytes + DEEP, NULL, NULL);
    CHECK(status == (good ? IC_OK : IC_MALFORMED));
    free(bytes);
  }
}

static void stops_for_one_that_is_killed(void) {
  enum { MANY = 100000 };
  _Atomic(const char *) killed = NULL;
  const uint8_t heads[] = {0xc1, 0x60};  // tags; the chunks of a string
  for (int i = 0; i < 2; i++) {
    uint8_t *bytes = malloc(MANY);
    memset(bytes, heads[i], MANY);
    if (i == 1) bytes[0] = 0x7f;
    bytes[MANY - 1] = i == 1 ? 0xff : 0;
    const uint8_t *at = bytes;
    atomic_store(&killed, NULL);
    CHECK(ic_codec_check(&at, bytes + MANY, &killed, NULL) == IC_OK);
    at = bytes;
    atomic_store(&killed, "killed");
    CHECK(ic_codec_check(&at, bytes + MANY, &killed, NULL) == IC_GONE);
    free(bytes);
  }
}

int main(void) {
  RUN(reads_arguments_of_every_width);
  RUN(reads_floats_of_every_width);
  RUN(reads_every_nan_as_nan);
  RUN(reads_indefinite_lengths);
  RUN(refuses_every_malformed_head);
  RUN(refuses_short_simples_in_two_bytes);
  RUN(refuses_heads_that_are_cut);
  RUN(bounds_integers);
  RUN(reads_chunks_of_one_kind);
  RUN(writes_shortest_heads);
  RUN(writes_every_kind);
  RUN(knows_utf8_by_its_table);
  RUN(knows_utf8_at_every_offset);
  RUN(knows_text_while_copying_it);
  RUN(accepts_what_is_well_formed);
  RUN(refuses_what_is_not);
  RUN(stops_for_one_that_is_killed);
  RUN(refuses_every_part_of_an_item);
  RUN(stops_behind_one_item);
  RUN(counts_pairs_in_the_order_of_heads);
  RUN(checks_any_depth);
  return check_report("codec");
}
