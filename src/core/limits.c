// limits.c - where an error comes, and where the end.

#include "core/limits.h"

enum { ROOM_BYTES = 256 << 10 };  // between the two

size_t ic_limits_hard_bytes(const ic_limits *limits) {
  size_t bytes = limits->memory_bytes;
  return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes + bytes / 32;
}

size_t ic_limits_soft_bytes(const ic_limits *limits) {
  size_t hard = ic_limits_hard_bytes(limits);
  size_t room = hard > 4 * (size_t)ROOM_BYTES ? ROOM_BYTES : hard / 4;
  size_t soft = hard - room;
  return soft < limits->memory_bytes ? soft : limits->memory_bytes;
}

// 0 is no limit.
static size_t smaller_size(size_t a, size_t b) {
  if (a == 0 || b == 0) return a + b;
  return a < b ? a : b;
}

static int64_t smaller_time(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return a + b;
  return a < b ? a : b;
}

void ic_limits_meet(ic_limits *limits, const ic_limits *most) {
  limits->memory_bytes = smaller_size(limits->memory_bytes, most->memory_bytes);
  limits->cpu_ns = smaller_time(limits->cpu_ns, most->cpu_ns);
  limits->cpu_total_ns = smaller_time(limits->cpu_total_ns, most->cpu_total_ns);
  limits->mailbox_messages =
      smaller_size(limits->mailbox_messages, most->mailbox_messages);
  limits->mailbox_bytes =
      smaller_size(limits->mailbox_bytes, most->mailbox_bytes);
}
