// buffer.h - bytes that grow: one contiguous block, with room kept in front.
//
// A message is encoded straight into the block that travels: the block begins
// with [headroom] bytes for the message's header (message.h), the encoded bytes
// follow, and neither is copied again.
//
//   block  +----------------+--------------------+- - - - - - +
//          | headroom bytes | size bytes in use  |    free    |
//          +----------------+--------------------+- - - - - - +
//                           ^ bytes              ^ bytes + size
//
// Threads: one at a time. Memory: ic_buffer_fini frees the block; or
// ic_buffer_release gives it away.

#ifndef IC_BUFFER_H
#define IC_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isolate_cluster.h"

typedef struct {
  uint8_t *bytes;   // NULL until the first reserve
  size_t size;      // bytes in use
  size_t capacity;  // bytes that fit before the block must grow
  size_t headroom;  // bytes kept free in front of [bytes]
  size_t most;      // bytes that the block may grow to; SIZE_MAX at first
} ic_buffer;

void ic_buffer_init(ic_buffer *buffer, size_t headroom);
void ic_buffer_fini(ic_buffer *buffer);

// Gives the block (its first byte is the headroom's) to the caller, who frees
// it by ic_block_give with [size]; NULL where nothing was ever reserved. [buffer]
// is empty then.
void *ic_buffer_release(ic_buffer *buffer, size_t *size);

// A copy of headroom and bytes, to be freed by free(); NULL: no memory.
void *ic_buffer_copy(const ic_buffer *buffer);

// Makes room for [more] bytes behind the ones in use; grows geometrically.
// Errors: IC_MEMORY, also where that is too much; the buffer is as it was.
ic_status ic_buffer_grow(ic_buffer *buffer, size_t more);

static inline ic_status ic_buffer_reserve(ic_buffer *buffer, size_t more) {
  if (buffer->capacity - buffer->size >= more) return IC_OK;
  return ic_buffer_grow(buffer, more);
}

// Appends a copy of [size] bytes. Errors: IC_MEMORY; nothing is appended.
static inline ic_status ic_buffer_append(ic_buffer *buffer, const void *bytes,
                                         size_t size) {
  ic_status status = ic_buffer_reserve(buffer, size);
  if (status != IC_OK) return status;
  if (size > 0) memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
  return IC_OK;
}

#endif
