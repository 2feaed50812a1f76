// buffer_test.c - bytes that grow, with room kept in front.

#include "core/buffer.h"

#include <stdlib.h>

#include "check.h"
#include "core/block.h"

static void holds_what_is_appended(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 0);
  for (int i = 0; i < 100000; i++) {
    uint8_t byte = (uint8_t)(i * 7);
    CHECK(ic_buffer_append(&buffer, &byte, 1) == IC_OK);
  }
  CHECK(buffer.size == 100000);
  for (int i = 0; i < 100000; i++)
    CHECK(buffer.bytes[i] == (uint8_t)(i * 7));
  ic_buffer_fini(&buffer);
}

static void begins_empty(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 64);
  CHECK(buffer.bytes == NULL && buffer.size == 0 && buffer.capacity == 0);
  CHECK(ic_buffer_append(&buffer, NULL, 0) == IC_OK);
  CHECK(buffer.size == 0);
  size_t size;
  CHECK(ic_buffer_release(&buffer, &size) == NULL && size == 0);
  ic_buffer_fini(&buffer);
}

static void keeps_its_headroom(void) {
  enum { HEADROOM = 100 };
  ic_buffer buffer;
  ic_buffer_init(&buffer, HEADROOM);
  CHECK(ic_buffer_append(&buffer, "first", 5) == IC_OK);
  memset(buffer.bytes - HEADROOM, 0xaa, HEADROOM);
  CHECK(ic_buffer_reserve(&buffer, 10000) == IC_OK);
  CHECK(memcmp(buffer.bytes, "first", 5) == 0);
  for (int i = 1; i <= HEADROOM; i++)
    CHECK(buffer.bytes[-i] == 0xaa);
  ic_buffer_fini(&buffer);
  CHECK(buffer.headroom == HEADROOM && buffer.bytes == NULL);
}

static void reserves_room_to_write_to(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 8);
  for (size_t more = 1; more < 5000; more = more * 3 + 1) {
    CHECK(ic_buffer_reserve(&buffer, more) == IC_OK);
    CHECK(buffer.capacity - buffer.size >= more);
    memset(buffer.bytes + buffer.size, 1, more);
    buffer.size += more;
  }
  ic_buffer_fini(&buffer);
}

static void gives_its_block_away(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 16);
  CHECK(ic_buffer_append(&buffer, "abc", 3) == IC_OK);
  size_t size;
  uint8_t *block = ic_buffer_release(&buffer, &size);
  CHECK(size >= 16 + 3);
  CHECK(buffer.bytes == NULL && buffer.size == 0 && buffer.headroom == 16);
  CHECK(memcmp(block + 16, "abc", 3) == 0);
  ic_block_give(block, size);
  CHECK(ic_buffer_append(&buffer, "def", 3) == IC_OK);
  CHECK(memcmp(buffer.bytes, "def", 3) == 0);
  ic_buffer_fini(&buffer);
}

static void copies_itself_for_free(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 4);
  CHECK(ic_buffer_append(&buffer, "abc", 3) == IC_OK);
  memcpy(buffer.bytes - 4, "head", 4);
  char *copy = ic_buffer_copy(&buffer);
  CHECK(copy && memcmp(copy, "headabc", 7) == 0);
  free(copy);
  ic_buffer_fini(&buffer);
}

static void refuses_more_than_there_is(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 16);
  CHECK(ic_buffer_append(&buffer, "abc", 3) == IC_OK);
  CHECK(ic_buffer_reserve(&buffer, SIZE_MAX) == IC_MEMORY);
  CHECK(ic_buffer_reserve(&buffer, SIZE_MAX / 2 + 1) == IC_MEMORY);
  CHECK(buffer.size == 3 && memcmp(buffer.bytes, "abc", 3) == 0);
  ic_buffer_fini(&buffer);
}

static void grows_no_larger_than_it_may(void) {
  ic_buffer buffer;
  ic_buffer_init(&buffer, 16);
  CHECK(ic_buffer_append(&buffer, "abc", 3) == IC_OK);
  buffer.most = 1000;
  CHECK(ic_buffer_reserve(&buffer, 1000) == IC_MEMORY);
  CHECK(ic_buffer_reserve(&buffer, 900) == IC_OK);
  CHECK(buffer.capacity + 16 <= ic_block_fit(1000));
  CHECK(buffer.size == 3 && memcmp(buffer.bytes, "abc", 3) == 0);
  ic_buffer_fini(&buffer);
}

// Writes [size] bytes one by one; how many went well.
static size_t write_bytes(ic_buffer *buffer, size_t size) {
  size_t written = 0;
  while (written < size && ic_buffer_append(buffer, "x", 1) == IC_OK)
    written++;
  return written;
}

static void takes_a_step_at_most_for_one_that_is_killed(void) {
  enum { MANY = 10 * IC_BUFFER_STEP };
  _Atomic(const char *) killed = NULL;
  ic_buffer buffer;
  ic_buffer_init(&buffer, 16);
  buffer.killed = &killed;
  CHECK(write_bytes(&buffer, MANY) == MANY);
  for (int i = 0; i < 3; i++) {
    atomic_store(&killed, "killed");
    CHECK(write_bytes(&buffer, MANY) < 2 * IC_BUFFER_STEP);
    CHECK(ic_buffer_append(&buffer, "x", 1) == IC_GONE);
    atomic_store(&killed, NULL);
    CHECK(ic_buffer_append(&buffer, "x", 1) == IC_OK);
  }
  size_t size;
  CHECK(ic_buffer_held(&buffer) >= buffer.size);
  CHECK(buffer.bytes[buffer.size - 1] == 'x');
  void *block = ic_buffer_release(&buffer, &size);
  CHECK(size > MANY);
  ic_block_give(block, size);
}

static void opens_what_was_reserved_step_by_step(void) {
  enum { MANY = 10 * IC_BUFFER_STEP };
  _Atomic(const char *) killed = NULL;
  ic_buffer buffer;
  ic_buffer_init(&buffer, 0);
  buffer.killed = &killed;
  CHECK(ic_buffer_append(&buffer, "x", 1) == IC_OK);
  CHECK(ic_buffer_reserve(&buffer, MANY) == IC_OK);
  ic_buffer_close(&buffer);
  CHECK(buffer.capacity - buffer.size == IC_BUFFER_STEP);
  CHECK(ic_buffer_held(&buffer) > MANY);
  const uint8_t *before = buffer.bytes;
  CHECK(write_bytes(&buffer, MANY) == MANY && buffer.bytes == before);
  ic_buffer_fini(&buffer);
}

int main(void) {
  RUN(holds_what_is_appended);
  RUN(begins_empty);
  RUN(keeps_its_headroom);
  RUN(reserves_room_to_write_to);
  RUN(gives_its_block_away);
  RUN(copies_itself_for_free);
  RUN(refuses_more_than_there_is);
  RUN(grows_no_larger_than_it_may);
  RUN(takes_a_step_at_most_for_one_that_is_killed);
  RUN(opens_what_was_reserved_step_by_step);
  return check_report("buffer");
}
