// ref_test.c - what programs do with refs: look at them, compare them, write them
// into values.

#include "core/ref.h"

#include <string.h>

#include "check.h"
#include "core/codec.h"
#include "failing.h"
#include "samples.h"

// --- What a ref is ----------------------------------------------------------

static void tells_its_path_and_whether_it_lives(void) {
  ic_ref *ref = new_isolate("/a");
  CHECK(ic_ref_hold(ref) == ref);
  ic_ref_release(ref);
  CHECK(strcmp(ic_ref_path(ref), "/a") == 0);
  CHECK(ic_ref_is_alive(ref));
  ic_mailbox_close(&ref->mailbox);
  CHECK(!ic_ref_is_alive(ref));
  CHECK(strcmp(ic_ref_path(ref), "/a") == 0);
  ic_ref_release(ref);
  ic_ref_release(NULL);
}

static void equals_what_stands_for_the_same_life(void) {
  ic_ref *ref = new_isolate("/a");
  ic_ref *other = new_isolate("/a");
  CHECK(ic_ref_equals(ref, ref) && !ic_ref_equals(ref, other));
  other->id = ref->id;  // known from bytes
  CHECK(ic_ref_equals(ref, other));
  other->cluster_key = ref->cluster_key + 1;
  CHECK(!ic_ref_equals(ref, other));
  ic_ref_release(ref);
  ic_ref_release(other);
}

static void shows_its_properties(void) {
  ic_ref *ref = new_isolate("/a");
  ic_reader none = ic_ref_properties(ref);
  ic_item item;
  CHECK(ic_reader_next(&none, &item) == IC_NOT_FOUND);
  CHECK(ic_message_new(&ref->properties) == IC_OK);
  CHECK(ic_message_add_integer(ref->properties, 7) == IC_OK);
  ic_reader reader = ic_ref_properties(ref);
  CHECK(ic_reader_next(&reader, &item) == IC_OK && item.integer == 7);
  ic_ref_release(ref);
}

// --- In values --------------------------------------------------------------

static void is_written_as_a_generic_object(void) {
  ic_ref *ref = new_isolate("/a");
  ref->cluster_key = 5;
  ref->id = 6;
  ic_buffer buffer;
  ic_buffer_init(&buffer, 0);
  CHECK(ic_ref_encode(ref, 7, &buffer) == IC_OK);
  static const char expected[] = "\xd8\x1b\x85\x67isolate\x05\x06\x62/a\x07";
  CHECK(buffer.size == sizeof expected - 1);
  CHECK(memcmp(buffer.bytes, expected, buffer.size) == 0);
  ic_buffer_fini(&buffer);
  ic_ref_release(ref);
}

static void is_counted_by_the_message_that_names_it(void) {
  ic_ref *ref = new_isolate("/a");
  ic_message *message = NULL;
  CHECK(ic_message_new(&message) == IC_OK);
  CHECK(ic_message_open_array(message) == IC_OK);
  CHECK(ic_message_add_ref(message, ref) == IC_OK);
  CHECK(ic_message_add_ref(message, ref) == IC_OK);
  CHECK(ic_message_close(message) == IC_OK);
  CHECK(ic_message_add_ref(message, ref) == IC_INVALID);
  CHECK(ic_ref_in_message(message, ref->id) == ref);
  CHECK(ic_ref_in_message(message, ref->id + 1) == NULL);
  ic_message_free(message);
  CHECK(atomic_load(&ref->mailbox.users) == 1);
  ic_ref_release(ref);
}

static void is_not_written_by_halves(void) {
  ic_ref *ref = new_isolate("/a");
  for (int n = 0; failing_at(n); n++) {
    ic_message *message = NULL;
    ic_status status = ic_message_new(&message);
    if (status == IC_OK) status = ic_message_add_ref(message, ref);
    if (failing_stop()) {
      CHECK(status == IC_MEMORY && atomic_load(&ref->mailbox.users) == 1);
      status = message ? ic_message_add_integer(message, 3) : IC_OK;
      CHECK(status == IC_OK && (!message || has_integer(message, 3)));
    }
    ic_message_free(message);
  }
  ic_ref_release(ref);
}

int main(void) {
  RUN(tells_its_path_and_whether_it_lives);
  RUN(equals_what_stands_for_the_same_life);
  RUN(shows_its_properties);
  RUN(is_written_as_a_generic_object);
  RUN(is_counted_by_the_message_that_names_it);
  RUN(is_not_written_by_halves);
  return check_report("ref");
}
