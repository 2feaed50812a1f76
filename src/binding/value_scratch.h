// value_scratch.h - what encoding and decoding share: lists that grow.

#ifndef IC_VALUE_SCRATCH_H
#define IC_VALUE_SCRATCH_H

#include "binding/value.h"

// Makes room for [count] items in all. Errors: IC_MEMORY; as it was.
ic_status ic_value_scratch_grow(ic_value_list *list, size_t count,
                                size_t item_size);

static inline ic_status ic_value_scratch_reserve(ic_value_list *list,
                                                 size_t count,
                                                 size_t item_size) {
  if (count <= list->capacity) return IC_OK;
  return ic_value_scratch_grow(list, count, item_size);
}

// A list that is larger after a call is freed: one huge value must not cost an
// isolate that memory for the rest of its life.
#define IC_VALUE_KEPT_BYTES ((size_t)1 << 20)

void ic_value_scratch_free_list(ic_value_list *list);

// Frees what one big value made huge, and keeps what most values need.
static inline void ic_value_scratch_trim_list(ic_value_list *list,
                                              size_t item_size) {
  if (list->capacity > IC_VALUE_KEPT_BYTES / item_size) {
    ic_value_scratch_free_list(list);
  }
}

#endif
