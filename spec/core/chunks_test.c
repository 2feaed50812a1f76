// chunks_test.c - a chunk is somebody's, or in the store, with pages or without.

#include "core/chunks.h"

#include <stdint.h>
#include <string.h>

#include "check.h"

enum { MANY = 700 };  // more than the store keeps resident

static void take_and_give_many(void) {
  ic_chunk *chunks = NULL;
  for (int i = 0; i < MANY; i++) {
    ic_chunk *some = ic_chunk_take();
    CHECK(some && (uintptr_t)some % IC_CHUNK_BYTES == 0);
    memset(some + 1, i, IC_CHUNK_BYTES - sizeof *some);
    some->touched = IC_CHUNK_BYTES;
    some->next = chunks;
    chunks = some;
  }
  ic_chunk_give_all(chunks);
}

static void what_was_given_last_is_taken_first(void) {
  ic_chunk *first = ic_chunk_take(), *second = ic_chunk_take();
  CHECK(first && second && first != second);
  first->next = second;
  second->next = NULL;
  ic_chunk_give_all(first);
  CHECK(ic_chunk_take() == second);
  CHECK(ic_chunk_take() == first);
  first->next = NULL;
  second->next = first;
  ic_chunk_give_all(second);
}

static void keeps_no_more_resident_than_it_says(void) {
  for (int round = 0; round < 3; round++) {
    CALL(take_and_give_many());
    CHECK(ic_chunk_stored_bytes() <= IC_CHUNK_STORE_BYTES);
    CHECK(ic_chunk_stored_bytes() > IC_CHUNK_STORE_BYTES - IC_CHUNK_BYTES);
  }
}

// Those without pages read as zeros, behind their header.
static void the_rest_has_no_pages(void) {
  CALL(take_and_give_many());
  ic_chunk *chunks = NULL;
  int cold = 0;
  for (int i = 0; i < MANY; i++) {
    ic_chunk *some = ic_chunk_take();
    const char *bytes = (const char *)some;
    if (some->touched == sizeof *some) {
      cold++;
      CHECK(bytes[sizeof *some] == 0 && bytes[IC_CHUNK_BYTES - 1] == 0);
    }
    some->next = chunks;
    chunks = some;
  }
  CHECK(cold >= MANY - (int)(IC_CHUNK_STORE_BYTES / IC_CHUNK_BYTES));
  ic_chunk_give_all(chunks);
}

// With the address sanitizer arenas have no chunks.
int main(void) {
  if (ADDRESS_SANITIZED) return check_report("chunks");
  RUN(what_was_given_last_is_taken_first);
  RUN(keeps_no_more_resident_than_it_says);
  RUN(the_rest_has_no_pages);
  return check_report("chunks");
}
