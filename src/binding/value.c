// value.c - the memory that encode.c and decode.c use again and again. It is of
// block.h: so the thread of an isolate that only talks needs nothing of malloc, which
// costs each thread's first user more than what is asked for.

#include "binding/value.h"

#include "binding/value_scratch.h"
#include "core/block.h"

enum { FIRST_ITEMS = 4 };  // few values are deeper

void ic_value_scratch_init(ic_value_scratch *scratch) {
  *scratch = (ic_value_scratch){0};
  ic_buffer_init(&scratch->joined, 0);
  ic_buffer_init(&scratch->encoded, 0);
}

void ic_value_scratch_free_list(ic_value_list *list) {
  ic_block_give(list->items, list->bytes);
  *list = (ic_value_list){0};
}

void ic_value_scratch_fini(ic_value_scratch *scratch) {
  ic_value_scratch_free_list(&scratch->encode_frames);
  ic_value_scratch_free_list(&scratch->tables);
  ic_value_scratch_free_list(&scratch->slots);
  ic_value_scratch_free_list(&scratch->references);
  ic_value_scratch_free_list(&scratch->decode_frames);
  ic_value_scratch_free_list(&scratch->buckets);
  ic_codec_sizes_fini(&scratch->sizes);
  ic_buffer_fini(&scratch->joined);
  ic_buffer_fini(&scratch->encoded);
}

size_t ic_value_scratch_bytes(const ic_value_scratch *scratch) {
  return scratch->encode_frames.bytes + scratch->tables.bytes +
         scratch->slots.bytes + scratch->references.bytes +
         scratch->decode_frames.bytes + scratch->buckets.bytes +
         ic_buffer_held(&scratch->joined) + ic_buffer_held(&scratch->encoded);
}

void ic_value_scratch_reset(ic_value_scratch *scratch) {
  scratch->decoding = false;
}

ic_status ic_value_scratch_grow(ic_value_list *list, size_t count,
                                size_t item_size) {
  size_t capacity = list->capacity ? list->capacity : FIRST_ITEMS;
  while (capacity < count) {
    if (capacity > SIZE_MAX / 2) return IC_MEMORY;
    capacity *= 2;
  }
  if (capacity > SIZE_MAX / item_size) return IC_MEMORY;
  void *items = list->items ? ic_block_resize(list->items, list->bytes,
                                              capacity * item_size)
                            : ic_block_take(capacity * item_size);
  if (!items) return IC_MEMORY;
  list->items = items;
  list->capacity = capacity;
  list->bytes = capacity * item_size;
  return IC_OK;
}
