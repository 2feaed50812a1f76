// buffer.c - growing: doubles, so that appending n bytes one by one copies
// fewer than 2n; shrinks never, the block is short-lived or reused.

#include "core/buffer.h"

#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 192 };  // header and a small value in one block

void ic_buffer_init(ic_buffer *buffer, size_t headroom) {
  *buffer = (ic_buffer){.headroom = headroom};
}

static void *block_of(const ic_buffer *buffer) {
  return buffer->bytes ? buffer->bytes - buffer->headroom : NULL;
}

void ic_buffer_fini(ic_buffer *buffer) {
  free(block_of(buffer));
  ic_buffer_init(buffer, buffer->headroom);
}

void *ic_buffer_release(ic_buffer *buffer) {
  void *block = block_of(buffer);
  ic_buffer_init(buffer, buffer->headroom);
  return block;
}

ic_status ic_buffer_grow(ic_buffer *buffer, size_t more) {
  size_t in_use = buffer->headroom + buffer->size;
  if (more > SIZE_MAX / 2 - in_use) return IC_MEMORY;
  size_t block_bytes = FIRST_BLOCK_BYTES;
  while (block_bytes < in_use + more)
    block_bytes *= 2;
  uint8_t *block = realloc(block_of(buffer), block_bytes);
  if (!block) return IC_MEMORY;
  buffer->bytes = block + buffer->headroom;
  buffer->capacity = block_bytes - buffer->headroom;
  return IC_OK;
}
