// buffer.c - growing: doubles, so that appending n bytes one by one copies
// fewer than 2n; shrinks never, the block is short-lived or reused.

#include "core/buffer.h"

#include <stdlib.h>

#include "core/block.h"

enum { FIRST_BLOCK_BYTES = 192 };  // header and a small value in one block

void ic_buffer_init(ic_buffer *buffer, size_t headroom) {
  *buffer = (ic_buffer){.headroom = headroom, .most = SIZE_MAX};
}

static void *block_of(const ic_buffer *buffer) {
  return buffer->bytes ? buffer->bytes - buffer->headroom : NULL;
}

static size_t block_bytes(const ic_buffer *buffer) {
  return buffer->bytes ? buffer->headroom + ic_buffer_held(buffer) : 0;
}

void ic_buffer_fini(ic_buffer *buffer) {
  ic_block_give(block_of(buffer), block_bytes(buffer));
  ic_buffer_init(buffer, buffer->headroom);
}

void *ic_buffer_release(ic_buffer *buffer, size_t *size) {
  void *block = block_of(buffer);
  *size = block_bytes(buffer);
  ic_buffer_init(buffer, buffer->headroom);
  return block;
}

void *ic_buffer_copy(const ic_buffer *buffer) {
  size_t size = buffer->headroom + buffer->size;
  void *copy = malloc(size > 0 ? size : 1);
  if (copy && buffer->bytes) memcpy(copy, block_of(buffer), size);
  return copy;
}

// Opens [more] bytes behind those in use, if the block has as many.
static void open_bytes(ic_buffer *buffer, size_t more) {
  size_t held = ic_buffer_held(buffer);
  size_t open = buffer->size + more;
  buffer->capacity = open < held ? open : held;
  buffer->behind = held - buffer->capacity;
}

void ic_buffer_close(ic_buffer *buffer) {
  if (buffer->killed) open_bytes(buffer, IC_BUFFER_STEP);
}

// The first block is as large as what it is for; later ones double.
static ic_status grow_block(ic_buffer *buffer, size_t more) {
  size_t in_use = buffer->headroom + buffer->size;
  if (more > SIZE_MAX / 2 - in_use) return IC_MEMORY;
  size_t old_bytes = block_bytes(buffer);
  size_t wanted = old_bytes > 0 ? old_bytes * 2 : FIRST_BLOCK_BYTES;
  if (wanted < in_use + more || wanted > buffer->most) wanted = in_use + more;
  if (wanted > buffer->most) return IC_MEMORY;
  wanted = ic_block_fit(wanted);
  uint8_t *block = buffer->bytes
                       ? ic_block_resize(block_of(buffer), old_bytes, wanted)
                       : ic_block_take(wanted);
  if (!block) return IC_MEMORY;
  buffer->bytes = block + buffer->headroom;
  buffer->capacity = wanted - buffer->headroom;
  buffer->behind = 0;
  return IC_OK;
}

static bool is_killed(const ic_buffer *buffer) {
  return atomic_load_explicit(buffer->killed, memory_order_relaxed) != NULL;
}

ic_status ic_buffer_grow(ic_buffer *buffer, size_t more) {
  if (!buffer->bytes || !buffer->killed) return grow_block(buffer, more);
  if (is_killed(buffer)) return IC_GONE;
  if (ic_buffer_held(buffer) - buffer->size < more) {
    ic_status status = grow_block(buffer, more);
    if (status != IC_OK) return status;
  }
  open_bytes(buffer, more > IC_BUFFER_STEP ? more : IC_BUFFER_STEP);
  return IC_OK;
}
