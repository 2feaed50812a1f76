// samples.h - isolates and messages that several tests make or look at.

#ifndef SAMPLES_H
#define SAMPLES_H

#include "core/isolate.h"

// An isolate that no cluster knows. NULL: no memory.
static inline ic_isolate *new_isolate(const char *path) {
  ic_isolate *isolate = NULL;
  return ic_isolate_new(path, &isolate) == IC_OK ? isolate : NULL;
}

// Whether the message's value is the integer, and no more.
static inline bool has_integer(const ic_message *message, int64_t integer) {
  ic_reader reader = ic_message_reader(message);
  ic_item item;
  return ic_reader_next(&reader, &item) == IC_OK && item.type == IC_INTEGER &&
         item.integer == integer &&
         ic_reader_next(&reader, &item) == IC_NOT_FOUND;
}

#endif
