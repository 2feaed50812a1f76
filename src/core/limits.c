// limits.c - where an error comes, and where the end.

#include "core/limits.h"

enum { ROOM_BYTES = 256 << 10 };  // between the two

size_t ic_limits_hard_bytes(const ic_limits *limits) {
  size_t bytes = limits->memory_bytes;
  return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes + bytes / 20;
}

size_t ic_limits_soft_bytes(const ic_limits *limits) {
  size_t hard = ic_limits_hard_bytes(limits);
  size_t room = hard > 4 * (size_t)ROOM_BYTES ? ROOM_BYTES : hard / 4;
  size_t soft = hard - room;
  return soft < limits->memory_bytes ? soft : limits->memory_bytes;
}
