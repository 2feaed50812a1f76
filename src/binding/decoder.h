// decoder.h - what decode.c knows while it reads: its frames, marks, errors.
//
// Included by decode.c and decoder.c only.

#ifndef IC_DECODER_H
#define IC_DECODER_H

#include <stdbool.h>

#include "binding/known_keys.h"
#include "binding/value.h"

typedef enum { ARRAY, MAP, TAG } decode_form;

// Numbers of the shareables (tag 28) that stand right in front of an item.
typedef struct {
  size_t first;
  size_t count;
} mark_run;

typedef struct {
  uint8_t form;
  bool indefinite;
  bool has_key;   // MAP: the key is on the stack, its value is next
  bool has_nils;  // MAP: a value is ABSENT
  size_t left;    // items or pairs that are still to come, unless indefinite
  union {
    size_t done;     // ARRAY: items that are in place
    size_t pairs;    // MAP: in all
    mark_run marks;  // TAG: of what the content stands for
  };
  size_t spread;  // MAP: counts of its number keys, or 0
} decode_frame;

typedef struct {
  lua_State *L;
  ic_value_scratch *scratch;
  const ic_value_hooks *hooks;
  const uint8_t *start, *at, *end;
  const uint8_t *item;   // head of the item at hand
  size_t owed;           // bytes that must come at least, the item at hand not
  size_t frames;         // in use
  size_t depth;          // arrays and maps that are open
  size_t maps;           // of indefinite length, met so far
  size_t marked;         // shareables met so far
  mark_run pending;      // those of the next value
  bool tagged;           // behind a tag: an item must follow
  int marks;             // stack index of the marked values,
  bool has_marks;        // once there is one
  uint32_t rounds;       // of read_root before the next look
  ic_known_keys *known;  // or NULL
  ic_status status;      // why it failed
} ic_decoder;

// What an item or a value led to.
typedef enum { FAILED, OPEN, COMPLETE } outcome;

// Stands in a table for a nil until the map is complete, so that a second pair
// with this key is noticed; stands among the marked values for nil.
extern const char ic_decoder_absent;
#define ABSENT ((void *)&ic_decoder_absent)

static inline decode_frame *innermost(const ic_decoder *d) {
  return (decode_frame *)d->scratch->decode_frames.items + d->frames - 1;
}

// All fail: the text is in the scratch, the status in [d]. At the item at hand:
outcome ic_decoder_fail_memory(ic_decoder *d);
outcome ic_decoder_fail_malformed(ic_decoder *d, const char *what);

// What is at [at] is malformed.
outcome ic_decoder_fail_at(ic_decoder *d, const uint8_t *at, const char *what);

// COMPLETE, unless nobody wants the value any more.
outcome ic_decoder_look(ic_decoder *d);

// The item at [at] is not well-formed.
outcome ic_decoder_fail_codec(ic_decoder *d, const uint8_t *at);

// The item at hand is too much for us; malformed, if anything behind it is.
outcome ic_decoder_fail_range(ic_decoder *d, const char *what);

// The value at the top is what the run's numbers refer to. Raises for memory.
void ic_decoder_set_marks(ic_decoder *d, mark_run run);

// Takes out the pairs of the map at the top whose value is nil. Raises for memory.
void ic_decoder_remove_absent(lua_State *L);

// FAILED: the number at the top may be no key of the map.
outcome ic_decoder_check_number_key(ic_decoder *d, decode_frame *frame);

// Reads the content of a tag 29, a number, and pushes what it refers to.
outcome ic_decoder_read_reference(ic_decoder *d);

// Reads the content of a string in chunks: they are joined in the scratch, all
// bytes copied twice.
outcome ic_decoder_read_chunks(ic_decoder *d, ic_codec_kind kind);

// The pairs of the next map of indefinite length.
outcome ic_decoder_find_pairs(ic_decoder *d, size_t *pairs);

// Most messages that are no table are read by this, without a decoder: pushes the
// number, boolean or string that [bytes] are. False, and nothing, for all else.
// Stack: [-0, +1]. Raises for memory.
bool ic_decoder_read_scalar(lua_State *L, const uint8_t *bytes, size_t size);

#endif
