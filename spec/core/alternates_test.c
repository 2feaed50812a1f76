// alternates_test.c - stacks that are apart from each other, and go back.

#include "core/alternates.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "core/sync.h"
#include "failing.h"

enum { STACKS = 300 };

static bool is_filled(const uint8_t *stack, int with) {
  for (size_t i = 0; i < IC_ALTERNATE_STACK_BYTES; i++)
    if (stack[i] != (uint8_t)with) return false;
  return true;
}

static void never_gives_one_twice(void) {
  uint8_t *stacks[STACKS];
  for (int i = 0; i < STACKS; i++) {
    stacks[i] = ic_alternate_take();
    CHECK(stacks[i] && (uintptr_t)stacks[i] % 4096 == 0);
    memset(stacks[i], i, IC_ALTERNATE_STACK_BYTES);
  }
  for (int i = 0; i < STACKS; i++)
    CHECK(is_filled(stacks[i], i));
  for (int i = 0; i < STACKS; i++)
    ic_alternate_give(stacks[i]);
}

static void gives_again_what_it_got_back(void) {
  void *first = ic_alternate_take();
  void *second = ic_alternate_take();
  ic_alternate_give(first);
  void *again = ic_alternate_take();
  CHECK(again == first);
  ic_alternate_give(again);
  ic_alternate_give(second);
}

static bool is_mapped(void *page) {
  unsigned char is_resident;
  return mincore(page, 1, &is_resident) == 0;
}

// Every other one goes back first, then the rest: so slabs become free one by one,
// in no order.
static void keeps_few_that_nobody_has(void) {
  void *stacks[STACKS];
  int mapped = 0;
  for (int i = 0; i < STACKS; i++)
    CHECK((stacks[i] = ic_alternate_take()) != NULL);
  for (int i = 0; i < STACKS; i += 2)
    ic_alternate_give(stacks[i]);
  for (int i = 1; i < STACKS; i += 2)
    ic_alternate_give(stacks[i]);
  for (int i = 0; i < STACKS; i++)
    mapped += is_mapped(stacks[i]);
  CHECK(mapped < 64);
}

static void says_when_there_is_no_memory(void) {
  void *stacks[STACKS];
  int count = 0;
  failing_everywhere(0, false);
  while (count < STACKS && (stacks[count] = ic_alternate_take()) != NULL)
    count++;
  CHECK(failing_everywhere_stop() && count < STACKS);
  while (count > 0)
    ic_alternate_give(stacks[--count]);
}

int main(void) {
  RUN(never_gives_one_twice);
  RUN(gives_again_what_it_got_back);
  RUN(keeps_few_that_nobody_has);
  RUN(says_when_there_is_no_memory);
  return check_report("alternates");
}
