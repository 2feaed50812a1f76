// value.c - the memory that encode.c and decode.c use again and again.

#include "binding/value.h"

#include <stdlib.h>

#include "binding/value_scratch.h"

void ic_value_scratch_init(ic_value_scratch *scratch) {
  *scratch = (ic_value_scratch){0};
  ic_buffer_init(&scratch->joined, 0);
  ic_buffer_init(&scratch->encoded, 0);
}

void ic_value_scratch_free_list(ic_value_list *list) {
  free(list->items);
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
         scratch->joined.capacity + scratch->encoded.capacity;
}

void ic_value_scratch_reset(ic_value_scratch *scratch) {
  scratch->decoding = false;
}

ic_status ic_value_scratch_grow(ic_value_list *list, size_t count,
                                size_t item_size) {
  size_t capacity = list->capacity ? list->capacity : 16;
  while (capacity < count) {
    if (capacity > SIZE_MAX / 2) return IC_MEMORY;
    capacity *= 2;
  }
  if (capacity > SIZE_MAX / item_size) return IC_MEMORY;
  void *items = realloc(list->items, capacity * item_size);
  if (!items) return IC_MEMORY;
  list->items = items;
  list->capacity = capacity;
  list->bytes = capacity * item_size;
  return IC_OK;
}
