// reader_test.c - a message's value, item by item.

#include <math.h>
#include <string.h>

#include "check.h"
#include "core/codec.h"
#include "core/isolate.h"
#include "core/ref.h"

// A message whose value is these bytes, as if it had come from somewhere.
static ic_message *new_bytes(const void *bytes, size_t size) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, sizeof(ic_message));
  if (ic_buffer_append(&buffer, bytes, size) != IC_OK) return NULL;
  ic_ref_list refs = {0};
  return ic_message_wrap(&buffer, (ic_message_parts){0}, &refs);
}

#define NEW(literal) new_bytes(literal, sizeof(literal) - 1)

// Reads the next item; one of type IC_END where there is none.
static ic_item next(ic_reader *reader) {
  ic_item item = {.type = IC_END, .size = 1};
  ic_reader_next(reader, &item);
  return item;
}

static bool is_at_end(ic_reader *reader) {
  ic_item item;
  return ic_reader_next(reader, &item) == IC_NOT_FOUND;
}

static bool is_string(ic_item item, const char *text) {
  return item.type == IC_STRING && item.size == strlen(text) &&
         memcmp(item.bytes, text, item.size) == 0;
}

// --- Items ------------------------------------------------------------------

static void reads_what_a_c_program_builds(void) {
  ic_message *message = NULL;
  CHECK(ic_message_new(&message) == IC_OK);
  ic_message_open_array(message);
  ic_message_add_nil(message);
  ic_message_add_boolean(message, true);
  ic_message_add_boolean(message, false);
  ic_message_add_integer(message, INT64_MIN);
  ic_message_add_integer(message, INT64_MAX);
  ic_message_add_number(message, -0.0);
  ic_message_add_string(message, "text", 4);
  ic_message_add_string(message, "\xff", 1);
  ic_message_open_map(message);
  ic_message_close(message);
  CHECK(ic_message_close(message) == IC_OK);

  ic_reader reader = ic_message_reader(message);
  ic_item item = next(&reader);
  CHECK(item.type == IC_ARRAY && item.size == IC_OPEN && !item.marked);
  CHECK(next(&reader).type == IC_NIL);
  item = next(&reader);
  CHECK(item.type == IC_BOOLEAN && item.boolean);
  item = next(&reader);
  CHECK(item.type == IC_BOOLEAN && !item.boolean);
  item = next(&reader);
  CHECK(item.type == IC_INTEGER && item.integer == INT64_MIN);
  item = next(&reader);
  CHECK(item.type == IC_INTEGER && item.integer == INT64_MAX);
  item = next(&reader);
  CHECK(item.type == IC_NUMBER && item.number == 0 && signbit(item.number));
  CHECK(is_string(next(&reader), "text"));
  CHECK(is_string(next(&reader), "\xff"));
  item = next(&reader);
  CHECK(item.type == IC_MAP && item.size == IC_OPEN);
  item = next(&reader);
  CHECK(item.type == IC_END && item.size == 0);
  item = next(&reader);
  CHECK(item.type == IC_END && item.size == 0);
  CHECK(is_at_end(&reader));
  ic_message_free(message);
}

// As Lua's tables are written: sizes in front.
static void reads_arrays_and_maps_that_say_their_size(void) {
  ic_message *message = NEW("\x82\xa1\x61k\x01\x80");
  ic_reader reader = ic_message_reader(message);
  ic_item item = next(&reader);
  CHECK(item.type == IC_ARRAY && item.size == 2);
  item = next(&reader);
  CHECK(item.type == IC_MAP && item.size == 1);
  CHECK(is_string(next(&reader), "k"));
  CHECK(next(&reader).integer == 1);
  item = next(&reader);
  CHECK(item.type == IC_ARRAY && item.size == 0);
  CHECK(is_at_end(&reader));
  ic_message_free(message);
}

// local t = {}; t[1] = t; send { t, t }
static void marks_what_is_shared(void) {
  ic_message *message = NEW("\x82\xd8\x1c\x81\xd8\x1d\x00\xd8\x1d\x00");
  ic_reader reader = ic_message_reader(message);
  CHECK(!next(&reader).marked);
  ic_item item = next(&reader);
  CHECK(item.type == IC_ARRAY && item.size == 1 && item.marked);
  item = next(&reader);
  CHECK(item.type == IC_SHARED && item.integer == 0 && !item.marked);
  CHECK(next(&reader).type == IC_SHARED);
  CHECK(is_at_end(&reader));
  ic_message_free(message);
}

static void a_place_can_be_remembered(void) {
  ic_message *message = NEW("\x82\x01\x02");
  ic_reader reader = ic_message_reader(message);
  next(&reader);
  ic_reader place = reader;
  CHECK(next(&reader).integer == 1 && next(&reader).integer == 2);
  CHECK(next(&place).integer == 1 && next(&place).integer == 2);
  ic_message_free(message);
}

static void a_message_without_a_value_is_at_its_end(void) {
  ic_message *message = NULL;
  CHECK(ic_message_new(&message) == IC_OK);
  ic_reader reader = ic_message_reader(message);
  CHECK(is_at_end(&reader) && is_at_end(&reader));
  ic_message_free(message);
}

// --- Refs -------------------------------------------------------------------

static void reads_refs_that_the_message_holds(void) {
  ic_isolate *isolate;
  CHECK(ic_isolate_new("/a", &isolate) == IC_OK);
  ic_message *message = NULL;
  CHECK(ic_message_new(&message) == IC_OK);
  ic_message_open_array(message);
  ic_message_add_ref(message, isolate);
  ic_message_add_integer(message, 1);
  CHECK(ic_message_close(message) == IC_OK);
  ic_reader reader = ic_message_reader(message);
  next(&reader);
  ic_item item = next(&reader);
  CHECK(item.type == IC_REF && item.ref == isolate);
  CHECK(next(&reader).integer == 1);
  ic_message_free(message);
  ic_isolate_release(isolate);
}

static void a_ref_that_nobody_knows_is_null(void) {
  ic_message *message = NEW("\xd8\x1b\x85\x67isolate\x05\x06\x62/a\x00");
  ic_reader reader = ic_message_reader(message);
  ic_item item = next(&reader);
  CHECK(item.type == IC_REF && item.ref == NULL);
  CHECK(is_at_end(&reader));
  ic_message_free(message);
}

// --- Damaged bytes ----------------------------------------------------------

// What a reader says of these bytes; it and the item must be as they were.
static ic_status first_error(const void *bytes, size_t size) {
  ic_message *message = new_bytes(bytes, size);
  ic_reader reader = ic_message_reader(message);
  ic_item item = {.type = IC_SHARED, .integer = 77};
  ic_status status;
  do {
    status = ic_reader_next(&reader, &item);
    if (status == IC_OK) item = (ic_item){.type = IC_SHARED, .integer = 77};
  } while (status == IC_OK);
  bool is_kept = item.type == IC_SHARED && item.integer == 77;
  const uint8_t *at = reader.at;
  if (ic_reader_next(&reader, &item) != status) is_kept = false;
  if (reader.at != at) is_kept = false;
  ic_message_free(message);
  return is_kept ? status : IC_ERROR;
}

#define FIRST_ERROR(literal) first_error(literal, sizeof(literal) - 1)

static void bytes_that_end_too_early_are_malformed(void) {
  static const char whole[] = "\xd8\x1b\x85\x67isolate\x05\x06\x62/a\x00";
  for (size_t size = 1; size < sizeof whole - 1; size++) {
    CHECK(first_error(whole, size) == IC_MALFORMED);
  }
  CHECK(FIRST_ERROR("\x63"
                    "ab") == IC_MALFORMED);
  CHECK(FIRST_ERROR("\x1b\0\0") == IC_MALFORMED);
  CHECK(FIRST_ERROR("\xd8\x1c") == IC_MALFORMED);
  CHECK(FIRST_ERROR("\x7b\xff\xff\xff\xff\xff\xff\xff\xff"
                    "abc") == IC_MALFORMED);
}

static void what_is_never_written_is_malformed(void) {
  CHECK(FIRST_ERROR("\x1c") == IC_MALFORMED);  // a reserved head
  CHECK(FIRST_ERROR("\x7f\x61"
                    "a\xff") == IC_MALFORMED);  // a string in pieces
  CHECK(FIRST_ERROR("\xd8\x1d\x61"
                    "a") == IC_MALFORMED);  // shared by a name
  CHECK(FIRST_ERROR("\xd8\x1b\x82\x61"
                    "a\x01") == IC_MALFORMED);  // no ref
  CHECK(FIRST_ERROR("\xf0") == IC_MALFORMED);   // a simple value
}

static void integers_beyond_64_signed_bits_are_out_of_range(void) {
  CHECK(FIRST_ERROR("\x1b\xff\xff\xff\xff\xff\xff\xff\xff") == IC_RANGE);
  CHECK(FIRST_ERROR("\x3b\x80\0\0\0\0\0\0\0") == IC_RANGE);
}

int main(void) {
  RUN(reads_what_a_c_program_builds);
  RUN(reads_arrays_and_maps_that_say_their_size);
  RUN(marks_what_is_shared);
  RUN(a_place_can_be_remembered);
  RUN(a_message_without_a_value_is_at_its_end);
  RUN(reads_refs_that_the_message_holds);
  RUN(a_ref_that_nobody_knows_is_null);
  RUN(bytes_that_end_too_early_are_malformed);
  RUN(what_is_never_written_is_malformed);
  RUN(integers_beyond_64_signed_bits_are_out_of_range);
  return check_report("reader");
}
