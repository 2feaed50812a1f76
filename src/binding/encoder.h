// encoder.h - what encode.c knows while it writes: its frames; errors.
//
// Included by encode.c and encoder.c only.

#ifndef IC_ENCODER_H
#define IC_ENCODER_H

#include <stdbool.h>

#include "binding/value.h"

typedef enum { ARRAY, MAP } encode_form;
typedef enum { NEXT_PAIR, AT_KEY, AT_VALUE } encode_stage;

// A table that is being written. On Lua's stack: the table; for a map also the
// key at hand and, at the stages AT_KEY and AT_VALUE, its value.
typedef struct {
  encode_form form;
  encode_stage stage;  // MAP: what comes next
  int table;           // index on the stack
  size_t head;         // offset of its head
  size_t done;         // items or pairs begun
  size_t count;        // of all items or pairs
} encode_frame;

typedef struct {
  lua_State *L;
  ic_value_scratch *scratch;
  const ic_value_hooks *hooks;
  const char *name;
  ic_buffer *out;
  size_t depth;  // frames in use
  bool tracks;   // a table inside the root was met
} ic_encoder;

static inline encode_frame *frame_at(const ic_encoder *e, size_t i) {
  return (encode_frame *)e->scratch->encode_frames.items + i;
}

static inline encode_frame *innermost(const ic_encoder *e) {
  return frame_at(e, e->depth - 1);
}

// All fail: the text, with the place of the value, is in the scratch. Where there is
// no memory, or nobody who wants the bytes any more:
ic_status ic_encoder_fail_memory(const ic_encoder *e);
ic_status ic_encoder_fail_depth(const ic_encoder *e);

// The value at [index] can't be sent.
ic_status ic_encoder_fail_kind(const ic_encoder *e, int index);

#endif
