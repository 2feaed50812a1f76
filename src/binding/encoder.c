// encoder.c - refusals, which tell where in the value they are.

#include "binding/encoder.h"

#include <string.h>

#include "binding/place.h"

enum { FIRST_STEPS = 6, LAST_STEPS = 6, PLACE_SIZE = 512 };

// Adds the step from the table of [frame] to what is written of it now.
static void add_step(const ic_encoder *e, const encode_frame *frame,
                     ic_place *place) {
  if (frame->form == ARRAY) {
    ic_place_add_index(place, (lua_Integer)frame->done);
  } else if (frame->stage == AT_VALUE) {  // its key is being written
    ic_place_add(place, "[a key]");
  } else {
    ic_place_add_key(place, e->L, frame->table + 1);
  }
}

static void add_steps(const ic_encoder *e, size_t from, size_t to,
                      ic_place *place) {
  for (size_t i = from; i < to; i++)
    add_step(e, frame_at(e, i), place);
}

// Begins the text: the place of what [depth] frames lead to.
static void begin_text(const ic_encoder *e, size_t depth, ic_place *text) {
  ic_place_init(text, e->scratch->text, PLACE_SIZE);
  ic_place_add(text, e->name);
  if (depth <= FIRST_STEPS + LAST_STEPS) {
    add_steps(e, 0, depth, text);
  } else {
    add_steps(e, 0, FIRST_STEPS, text);
    ic_place_add(text, " ... ");
    add_steps(e, depth - LAST_STEPS, depth, text);
  }
  text->size = sizeof e->scratch->text;
  ic_place_add(text, ": ");
}

ic_status ic_encoder_fail_memory(const ic_encoder *e) {
  ic_status status = ic_value_is_for_none(e->hooks) ? IC_GONE : IC_MEMORY;
  strcpy(e->scratch->text, ic_status_text(status));
  return status;
}

ic_status ic_encoder_fail_depth(const ic_encoder *e) {
  ic_place text;
  begin_text(e, e->depth, &text);
  ic_place_add(&text, "tables nested deeper than 10000 can't be sent");
  return IC_UNSENDABLE;
}

ic_status ic_encoder_fail_kind(const ic_encoder *e, int index) {
  const encode_frame *frame = e->depth > 0 ? innermost(e) : NULL;
  bool is_key = frame && frame->form == MAP && frame->stage == AT_VALUE;
  ic_place text;
  begin_text(e, is_key ? e->depth - 1 : e->depth, &text);
  if (is_key) ic_place_add(&text, "a key that is ");
  ic_place_add_kind(&text, e->L, index);
  ic_place_add(&text, " can't be sent");
  return IC_UNSENDABLE;
}
