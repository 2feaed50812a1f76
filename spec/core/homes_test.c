// homes_test.c - stretches that are there at once, and go back.

#include "core/homes.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "core/sync.h"
#include "failing.h"

// The first word of a home is the store's.
enum { FIRST = sizeof(void *) };

static void fill(uint8_t *home, int with) {
  memset(home + FIRST, with, IC_HOME_BYTES - FIRST);
}

static bool is_filled(const uint8_t *home, int with) {
  for (size_t i = FIRST; i < IC_HOME_BYTES; i++)
    if (home[i] != (uint8_t)with) return false;
  return true;
}

static void never_gives_one_twice(void) {
  enum { HOMES = 150 };
  uint8_t *homes[HOMES];
  for (int i = 0; i < HOMES; i++) {
    homes[i] = ic_home_take();
    CHECK(homes[i] && (uintptr_t)homes[i] % 4096 == 0);
    fill(homes[i], i);
  }
  for (int i = 0; i < HOMES; i++)
    CHECK(is_filled(homes[i], i));
  for (int i = 0; i < HOMES; i++)
    ic_home_give(homes[i]);
}

static void gives_again_what_it_got_back(void) {
  void *home = ic_home_take();
  ic_home_give(home);
  size_t stored_bytes = ic_homes_stored_bytes();
  void *again = ic_home_take();
  CHECK(ic_homes_stored_bytes() == stored_bytes - IC_HOME_BYTES);
  ic_home_give(again);
  CHECK(ic_homes_stored_bytes() == stored_bytes);
}

// Every other home goes back first, then the rest: so slabs become free one by
// one, in no order.
static void keeps_no_more_than_its_limit(void) {
  enum { HOMES = 3 * IC_HOMES_STORE_BYTES / IC_HOME_BYTES };
  static void *homes[HOMES];
  for (int i = 0; i < HOMES; i++)
    CHECK((homes[i] = ic_home_take()) != NULL);
  for (int i = 0; i < HOMES; i += 2)
    ic_home_give(homes[i]);
  for (int i = 1; i < HOMES; i += 2)
    ic_home_give(homes[i]);
  CHECK(ic_homes_stored_bytes() <= IC_HOMES_STORE_BYTES);
}

static void says_when_there_is_no_memory(void) {
  enum { HOMES = 2 * IC_HOMES_STORE_BYTES / IC_HOME_BYTES };
  static void *homes[HOMES];
  int count = 0;
  failing_at(0);
  while (count < HOMES && (homes[count] = ic_home_take()) != NULL)
    count++;
  CHECK(failing_stop() && count < HOMES);
  void *home = ic_home_take();
  CHECK(home);
  ic_home_give(home);
  while (count > 0)
    ic_home_give(homes[--count]);
}

static _Atomic int broken;

static void *take_and_give(void *argument) {
  int with = (int)(intptr_t)argument;
  for (int i = 0; i < 200; i++) {
    uint8_t *first = ic_home_take();
    uint8_t *second = ic_home_take();
    fill(first, with);
    fill(second, with + 1);
    if (!is_filled(first, with) || !is_filled(second, with + 1)) broken = 1;
    ic_home_give(first);
    ic_home_give(second);
  }
  return NULL;
}

static void is_for_all_threads(void) {
  enum { THREADS = 4 };
  ic_thread threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++)
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, take_and_give,
                          (void *)(i * 2 + 1)) == IC_OK);
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);
  CHECK(!broken);
}

int main(void) {
  RUN(never_gives_one_twice);
  RUN(gives_again_what_it_got_back);
  RUN(keeps_no_more_than_its_limit);
  RUN(says_when_there_is_no_memory);
  RUN(is_for_all_threads);
  return check_report("homes");
}
