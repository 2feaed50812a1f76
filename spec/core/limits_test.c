// limits_test.c - between the error and the end there is room.

#include "core/limits.h"

#include "core/check.h"

static void check_room_of(size_t bytes) {
  ic_limits limits = {.memory_bytes = bytes};
  size_t soft = ic_limits_soft_bytes(&limits);
  size_t hard = ic_limits_hard_bytes(&limits);
  CHECK(soft <= bytes);
  CHECK(hard >= bytes);
  CHECK(hard - bytes <= bytes / 20);
  CHECK(hard - soft >= (hard < (1 << 20) ? hard / 4 : (size_t)256 << 10));
}

static void has_room_for_an_error(void) {
  for (size_t bytes = 1000; bytes < (size_t)1 << 40; bytes += bytes / 3) {
    CALL(check_room_of(bytes));
  }
}

static void has_the_error_where_a_large_limit_says(void) {
  ic_limits limits = {.memory_bytes = (size_t)64 << 20};
  CHECK(ic_limits_soft_bytes(&limits) == (size_t)64 << 20);
}

static void meet_at_the_smaller_one(void) {
  ic_limits limits = {.memory_bytes = 5, .cpu_ns = 9, .mailbox_bytes = 7};
  ic_limits most = {.memory_bytes = 9, .cpu_ns = 5, .cpu_total_ns = 3};
  ic_limits_meet(&limits, &most);
  CHECK(limits.memory_bytes == 5);
  CHECK(limits.cpu_ns == 5);
  CHECK(limits.cpu_total_ns == 3);
  CHECK(limits.mailbox_bytes == 7);
  CHECK(limits.mailbox_messages == 0);
}

int main(void) {
  RUN(has_room_for_an_error);
  RUN(has_the_error_where_a_large_limit_says);
  RUN(meet_at_the_smaller_one);
  return check_report("limits");
}
