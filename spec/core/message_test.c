// message_test.c - building a message: nesting, misuse, and no memory.

#include "core/message.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/codec.h"
#include "core/isolate.h"
#include "failing.h"

static ic_message *new_message(void) {
  ic_message *message = NULL;
  return ic_message_new(&message) == IC_OK ? message : NULL;
}

// Whether the value of [message], which is complete, is these bytes.
static bool is_value(const ic_message *message, const char *bytes,
                     size_t size) {
  return message->value_size == size &&
         memcmp(message->bytes, bytes, size) == 0;
}

#define IS_VALUE(message, literal) \
  is_value(message, literal, sizeof(literal) - 1)

// --- Values -----------------------------------------------------------------

static void holds_one_item(void) {
  ic_message *message = new_message();
  CHECK(ic_message_add_integer(message, -500) == IC_OK);
  CHECK(IS_VALUE(message, "\x39\x01\xf3"));
  ic_message_free(message);
}

static void nests_arrays_and_maps(void) {
  ic_message *message = new_message();
  CHECK(ic_message_open_map(message) == IC_OK);
  CHECK(ic_message_add_string(message, "a", 1) == IC_OK);
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_message_add_boolean(message, true) == IC_OK);
  CHECK(ic_message_open_map(message) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_message_add_nil(message) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_message_add_boolean(message, false) == IC_OK);
  CHECK(ic_message_add_number(message, 1.5) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(IS_VALUE(message,
                 "\xbf"
                 "\x61"
                 "a\x9f\xf5\xbf\xff\xf6\xff\xf4"
                 "\xfb\x3f\xf8\0\0\0\0\0\0\xff"));
  ic_message_free(message);
}

static void strings_may_be_any_bytes(void) {
  ic_message *message = new_message();
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_message_add_string(message, NULL, 0) == IC_OK);
  CHECK(ic_message_add_string(message, "\0\xff", 2) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(IS_VALUE(message, "\x9f\x60\x42\0\xff\xff"));
  ic_message_free(message);
}

static void is_well_formed_at_its_deepest(void) {
  ic_message *message = new_message();
  for (int i = 0; i < IC_CODEC_DEPTH; i++) {
    CHECK(ic_message_open_array(message) == IC_OK);
  }
  CHECK(ic_message_open_array(message) == IC_RANGE);
  CHECK(ic_message_open_map(message) == IC_RANGE);
  CHECK(ic_message_add_integer(message, 1) == IC_OK);
  for (int i = 0; i < IC_CODEC_DEPTH; i++) {
    CHECK(ic_message_close(message) == IC_OK);
  }
  const uint8_t *at = message->bytes;
  const uint8_t *end = at + message->value_size;
  CHECK(message->value_size == 2 * IC_CODEC_DEPTH + 1);
  CHECK(ic_codec_check(&at, end, NULL, NULL) == IC_OK && at == end);
  ic_message_free(message);
}

// --- Misuse -----------------------------------------------------------------

static void an_item_too_many_is_refused(void) {
  ic_message *message = new_message();
  CHECK(ic_message_add_integer(message, 1) == IC_OK);
  CHECK(ic_message_add_nil(message) == IC_INVALID);
  CHECK(ic_message_add_string(message, "x", 1) == IC_INVALID);
  CHECK(ic_message_open_array(message) == IC_INVALID);
  CHECK(ic_message_open_map(message) == IC_INVALID);
  CHECK(ic_message_close(message) == IC_INVALID);
  CHECK(IS_VALUE(message, "\x01"));
  ic_message_free(message);
}

static void a_close_without_an_open_is_refused(void) {
  ic_message *message = new_message();
  CHECK(ic_message_close(message) == IC_INVALID);
  CHECK(ic_message_add_integer(message, 1) == IC_OK);
  CHECK(IS_VALUE(message, "\x01"));
  ic_message_free(message);
}

static void a_map_is_not_closed_behind_a_key(void) {
  ic_message *message = new_message();
  CHECK(ic_message_open_map(message) == IC_OK);
  CHECK(ic_message_add_integer(message, 1) == IC_OK);
  CHECK(ic_message_close(message) == IC_INVALID);
  CHECK(ic_message_add_integer(message, 2) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(IS_VALUE(message, "\xbf\x01\x02\xff"));
  ic_message_free(message);
}

static void a_container_may_be_a_key(void) {
  ic_message *message = new_message();
  CHECK(ic_message_open_map(message) == IC_OK);
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_message_close(message) == IC_INVALID);
  CHECK(ic_message_add_nil(message) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(IS_VALUE(message, "\xbf\x9f\xff\xf6\xff"));
  ic_message_free(message);
}

static void what_is_not_complete_is_not_finished(void) {
  ic_message *message = new_message();
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_INVALID);
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_INVALID);
  ic_message *copy = NULL;
  CHECK(ic_message_copy(message, &copy) == IC_INVALID && !copy);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_OK);
  ic_message_free(message);
}

// --- The envelope -----------------------------------------------------------

static void is_finished_with_correlation_and_type(void) {
  ic_message *message = new_message();
  CHECK(ic_message_add_integer(message, 7) == IC_OK);
  CHECK(ic_message_type(message) == NULL);
  CHECK(ic_message_finish(message, (const uint8_t *)"\x61z", 2, "note") ==
        IC_OK);
  CHECK(IS_VALUE(message, "\x07"));
  CHECK(message->correlation_size == 2);
  CHECK(memcmp(message->bytes + 1, "\x61z", 2) == 0);
  CHECK(strcmp(ic_message_type(message), "note") == 0);
  ic_message_free(message);
}

static void is_finished_anew_as_long_as_it_was_not_sent(void) {
  ic_message *message = new_message();
  CHECK(ic_message_add_integer(message, 7) == IC_OK);
  CHECK(ic_message_finish(message, (const uint8_t *)"\x01", 1, "one") == IC_OK);
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_OK);
  CHECK(message->correlation_size == 0 && ic_message_type(message) == NULL);
  CHECK(ic_message_finish(message, NULL, 0, "three") == IC_OK);
  CHECK(strcmp(ic_message_type(message), "three") == 0);
  message->was_sent = true;
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_INVALID);
  ic_message_free(message);
}

static void is_answered_to_the_reply_to_before_the_sender(void) {
  ic_message *message = new_message();
  CHECK(!ic_message_sender(message) && !ic_message_reply_to(message));
  CHECK(ic_isolate_new("/sender", &message->sender) == IC_OK);
  CHECK(ic_message_reply_to(message) == message->sender);
  CHECK(ic_isolate_new("/other", &message->reply_to) == IC_OK);
  CHECK(ic_message_sender(message) == message->sender);
  CHECK(ic_message_reply_to(message) == message->reply_to);
  ic_message_free(message);
}

// --- Copies and blocks ------------------------------------------------------

static void a_copy_has_the_value_and_the_refs_alone(void) {
  ic_isolate *isolate;
  CHECK(ic_isolate_new("/a", &isolate) == IC_OK);
  ic_message *message = new_message();
  CHECK(ic_message_add_integer(message, 7) == IC_OK);
  CHECK(ic_ref_list_add(&message->refs, isolate) == IC_OK);
  CHECK(ic_message_finish(message, NULL, 0, "note") == IC_OK);
  ic_message *copy = NULL;
  CHECK(ic_message_copy(message, &copy) == IC_OK);
  ic_message_free(message);
  CHECK(IS_VALUE(copy, "\x07"));
  CHECK(ic_message_type(copy) == NULL && !copy->sender);
  CHECK(copy->refs.count == 1 && copy->refs.items[0] == isolate);
  ic_message_free(copy);
  CHECK(atomic_load(&isolate->mailbox.users) == 1);
  ic_isolate_release(isolate);
}

static void a_wrapped_buffer_is_the_message(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, sizeof(ic_message));
  CHECK(ic_buffer_append(&buffer, "\x07\x01type", 7) == IC_OK);
  const uint8_t *bytes = buffer.bytes;
  ic_ref_list refs = {0};
  ic_message_parts parts = {.correlation_size = 1, .type_size = 5};
  ic_message *message = ic_message_wrap(&buffer, parts, &refs);
  CHECK(message->bytes == bytes && IS_VALUE(message, "\x07"));
  CHECK(strcmp(ic_message_type(message), "type") == 0);
  CHECK(buffer.bytes == NULL);
  CHECK(ic_message_finish(message, NULL, 0, NULL) == IC_INVALID);
  CHECK(ic_message_add_nil(message) == IC_INVALID);
  ic_message_free(message);
}

static void a_chain_is_freed_whole(void) {
  ic_message *first = ic_message_new_event(IC_MESSAGE_UP);
  first->next = ic_message_new_event(IC_MESSAGE_DOWN);
  first->next->text = strdup("why");
  ic_message_free_chain(first);
  ic_message_free_chain(NULL);
  ic_message_free(NULL);
}

// --- No memory --------------------------------------------------------------

// Tries [step] again where memory failed it, as it must have changed nothing.
#define STEP(step)                            \
  do {                                        \
    ic_status status = (step);                \
    if (status == IC_MEMORY) status = (step); \
    CHECK(status == IC_OK);                   \
  } while (0)

static void build_a_large_one(ic_message *message) {
  static const char text[300] = "x";
  STEP(ic_message_open_array(message));
  for (int i = 0; i < 20; i++)
    STEP(ic_message_open_map(message));
  for (int i = 0; i < 20; i++) {
    STEP(ic_message_add_string(message, text, sizeof text));
    STEP(ic_message_add_number(message, 1));
    if (i < 19) STEP(ic_message_close(message));
    if (i < 19) STEP(ic_message_add_nil(message));
  }
  STEP(ic_message_close(message));
  STEP(ic_message_close(message));
  STEP(ic_message_finish(message, NULL, 0, text));
}

static void without_memory_it_is_as_it_was(void) {
  ic_message *whole = new_message();
  CALL(build_a_large_one(whole));
  for (int n = 0; failing_at(n); n++) {
    ic_message *message = NULL;
    STEP(ic_message_new(&message));
    CALL(build_a_large_one(message));
    ic_message *copy = NULL;
    STEP(ic_message_copy(message, &copy));
    failing_stop();
    CHECK(copy->value_size == whole->value_size);
    CHECK(memcmp(copy->bytes, whole->bytes, whole->value_size) == 0);
    CHECK(memcmp(message->bytes, whole->bytes, whole->value_size) == 0);
    ic_message_free(copy);
    ic_message_free(message);
  }
  ic_message_free(whole);
}

int main(void) {
  RUN(holds_one_item);
  RUN(nests_arrays_and_maps);
  RUN(strings_may_be_any_bytes);
  RUN(is_well_formed_at_its_deepest);
  RUN(an_item_too_many_is_refused);
  RUN(a_close_without_an_open_is_refused);
  RUN(a_map_is_not_closed_behind_a_key);
  RUN(a_container_may_be_a_key);
  RUN(what_is_not_complete_is_not_finished);
  RUN(is_finished_with_correlation_and_type);
  RUN(is_finished_anew_as_long_as_it_was_not_sent);
  RUN(is_answered_to_the_reply_to_before_the_sender);
  RUN(a_copy_has_the_value_and_the_refs_alone);
  RUN(a_wrapped_buffer_is_the_message);
  RUN(a_chain_is_freed_whole);
  RUN(without_memory_it_is_as_it_was);
  return check_report("message");
}
