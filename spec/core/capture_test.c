// capture_test.c - what is kept comes back, in order, and whole.

#include "core/capture.h"

#include <string.h>

#include "check.h"
#include "failing.h"

enum { WRITERS = 4, LINES = 500 };

static bool says(const ic_captured *record, ic_captured_kind kind,
                 const char *path, const char *text) {
  return record->kind == kind && strcmp(record->path, path) == 0 &&
         record->size == strlen(text) &&
         memcmp(record->text, text, record->size) == 0;
}

static void gives_records_in_order(void) {
  ic_capture *capture = ic_capture_new();
  ic_capture_add(capture, IC_CAPTURED_OUTPUT, "/a", "one\n", 4);
  ic_capture_add(capture, IC_CAPTURED_REPORT, "/b/c", "", 0);
  char copy[256];
  size_t size = ic_capture_copy(capture, copy, sizeof copy);
  CHECK(size == ic_capture_size(capture));
  size_t at = 0;
  ic_captured record;
  CHECK(ic_capture_read(copy, size, &at, &record));
  CHECK(says(&record, IC_CAPTURED_OUTPUT, "/a", "one\n"));
  CHECK(ic_capture_read(copy, size, &at, &record));
  CHECK(says(&record, IC_CAPTURED_REPORT, "/b/c", ""));
  CHECK(!ic_capture_read(copy, size, &at, &record));
  ic_capture_free(capture);
}

static void an_empty_one_gives_nothing(void) {
  ic_capture *capture = ic_capture_new();
  char copy[1];
  size_t at = 0;
  ic_captured record;
  CHECK(ic_capture_copy(capture, copy, sizeof copy) == 0);
  CHECK(!ic_capture_read(copy, 0, &at, &record));
  ic_capture_free(capture);
  ic_capture_free(NULL);
}

static void half_a_record_is_none(void) {
  ic_capture *capture = ic_capture_new();
  ic_capture_add(capture, IC_CAPTURED_ERRORS, "/a", "text", 4);
  char copy[256];
  size_t size = ic_capture_copy(capture, copy, sizeof copy);
  for (size_t less = 0; less < size; less++) {
    size_t at = 0;
    ic_captured record;
    CHECK(!ic_capture_read(copy, less, &at, &record));
  }
  ic_capture_free(capture);
}

static void *write_lines(void *capture) {
  for (int i = 0; i < LINES; i++)
    ic_capture_add(capture, IC_CAPTURED_OUTPUT, "/a", "line\n", 5);
  return NULL;
}

static void many_may_write(void) {
  ic_capture *capture = ic_capture_new();
  ic_thread threads[WRITERS];
  for (int i = 0; i < WRITERS; i++) {
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, write_lines,
                          capture) == IC_OK);
  }
  for (int i = 0; i < WRITERS; i++)
    ic_thread_join(threads[i]);
  static char copy[WRITERS * LINES * 64];
  size_t size = ic_capture_copy(capture, copy, sizeof copy);
  size_t at = 0;
  int count = 0;
  ic_captured record;
  while (ic_capture_read(copy, size, &at, &record)) {
    CHECK(says(&record, IC_CAPTURED_OUTPUT, "/a", "line\n"));
    count++;
  }
  CHECK(count == WRITERS * LINES);
  ic_capture_free(capture);
}

static void what_there_is_no_memory_for_is_left_out(void) {
  failing_at(0);
  CHECK(ic_capture_new() == NULL);
  failing_stop();
  ic_capture *capture = ic_capture_new();
  failing_at(0);
  ic_capture_add(capture, IC_CAPTURED_OUTPUT, "/a", "lost", 4);
  failing_stop();
  CHECK(ic_capture_size(capture) == 0);
  ic_capture_add(capture, IC_CAPTURED_OUTPUT, "/a", "kept", 4);
  CHECK(ic_capture_size(capture) > 0);
  ic_capture_free(capture);
}

int main(void) {
  RUN(gives_records_in_order);
  RUN(an_empty_one_gives_nothing);
  RUN(half_a_record_is_none);
  RUN(many_may_write);
  RUN(what_there_is_no_memory_for_is_left_out);
  return check_report("capture");
}
