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
// An isolate may be ended in the middle of writing a huge value. So where [killed] is
// set, the free bytes are opened step by step, and before each step that is looked at:
// what writes to the buffer needs no look of its own.
//
// Threads: one at a time. Memory: ic_buffer_fini frees the block; or
// ic_buffer_release gives it away.

#ifndef IC_BUFFER_H
#define IC_BUFFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isolate_cluster.h"

typedef struct {
  uint8_t *bytes;   // NULL until the first reserve
  size_t size;      // bytes in use
  size_t capacity;  // bytes that fit before ic_buffer_grow is needed
  size_t behind;    // bytes of the block that are not open yet
  size_t headroom;  // bytes kept free in front of [bytes]
  size_t most;      // bytes that the block may grow to; SIZE_MAX at first
  // Of the isolate that the bytes are for, or NULL: see isolate.h.
  const _Atomic(const char *) *killed;
} ic_buffer;

// So many bytes are written between two looks, and what is reserved at once.
enum { IC_BUFFER_STEP = 64 << 10 };

void ic_buffer_init(ic_buffer *buffer, size_t headroom);
void ic_buffer_fini(ic_buffer *buffer);

// Gives the block (its first byte is the headroom's) to the caller, who frees
// it by ic_block_give with [size]; NULL where nothing was ever reserved. [buffer]
// is empty then.
void *ic_buffer_release(ic_buffer *buffer, size_t *size);

// A copy of headroom and bytes, to be freed by free(); NULL: no memory.
void *ic_buffer_copy(const ic_buffer *buffer);

// Makes room for [more] bytes behind the ones in use; grows geometrically.
// Errors: IC_MEMORY, also where that is too much; IC_GONE - [killed]; the buffer is
//         as it was.
ic_status ic_buffer_grow(ic_buffer *buffer, size_t more);

// No more is open than one step: what was reserved is written bit by bit.
void ic_buffer_close(ic_buffer *buffer);

// What it has taken, but for the headroom.
static inline size_t ic_buffer_held(const ic_buffer *buffer) {
  return buffer->capacity + buffer->behind;
}

static inline ic_status ic_buffer_reserve(ic_buffer *buffer, size_t more) {
  if (buffer->capacity - buffer->size >= more) return IC_OK;
  return ic_buffer_grow(buffer, more);
}

// Appends a copy of [size] bytes. Errors: as above; nothing is appended.
static inline ic_status ic_buffer_append(ic_buffer *buffer, const void *bytes,
                                         size_t size) {
  ic_status status = ic_buffer_reserve(buffer, size);
  if (status != IC_OK) return status;
  if (size > 0) memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
  return IC_OK;
}

#endif
