// message.c - making, building and freeing messages.

#include "core/message.h"

#include <stdlib.h>

#include "core/block.h"
#include "core/codec.h"

// What a message that a C program builds has open: one byte for each array or
// map, and how many items stand in the innermost one.
struct ic_builder {
  ic_buffer bytes;
  uint8_t *open;
  size_t depth;
  size_t capacity;
  bool complete;
};

enum { OPEN_ARRAY, OPEN_MAP_KEY, OPEN_MAP_VALUE };

ic_status ic_ref_list_add(ic_ref_list *list, ic_isolate *isolate) {
  if (list->count == list->capacity) {
    if (list->capacity > UINT32_MAX / 4) return IC_MEMORY;
    uint32_t capacity = list->capacity * 2 + 4;
    ic_isolate **items = realloc(list->items, capacity * sizeof *items);
    if (!items) return IC_MEMORY;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = ic_ref_hold(isolate);
  return IC_OK;
}

void ic_ref_list_fini(ic_ref_list *list) {
  for (size_t i = 0; i < list->count; i++)
    ic_ref_release(list->items[i]);
  free(list->items);
  *list = (ic_ref_list){0};
}

static uint32_t units_of(size_t block_size) {
  return (uint32_t)((block_size + IC_BLOCK_UNIT - 1) / IC_BLOCK_UNIT);
}

ic_message *ic_message_new_event(ic_message_kind kind) {
  ic_message *message = ic_block_take(sizeof *message);
  if (!message) return NULL;
  *message =
      (ic_message){.kind = kind, .block_units = units_of(sizeof *message)};
  return message;
}

ic_message *ic_message_wrap(ic_buffer *buffer, ic_message_parts parts,
                            ic_ref_list *refs) {
  const uint8_t *bytes = buffer->bytes;
  size_t size = buffer->size;
  size_t block_size;
  ic_message *message = ic_buffer_release(buffer, &block_size);
  *message = (ic_message){
      .block_units = units_of(block_size),
      .kind = IC_MESSAGE_VALUE,
      .bytes = bytes,
      .value_size = size - parts.correlation_size - parts.type_size,
      .correlation_size = parts.correlation_size,
      .type_size = parts.type_size,
      .refs = *refs,
  };
  *refs = (ic_ref_list){0};
  return message;
}

ic_status ic_message_copy(const ic_message *message, ic_message **out) {
  const ic_builder *builder = message->builder;
  if (builder && !builder->complete) return IC_INVALID;
  ic_ref_list refs = {0};
  ic_buffer buffer;
  ic_buffer_init(&buffer, sizeof(ic_message));
  ic_status status =
      ic_buffer_append(&buffer, message->bytes, message->value_size);
  for (size_t i = 0; status == IC_OK && i < message->refs.count; i++) {
    status = ic_ref_list_add(&refs, message->refs.items[i]);
  }
  if (status != IC_OK) {
    ic_buffer_fini(&buffer);
    ic_ref_list_fini(&refs);
    return status;
  }
  *out = ic_message_wrap(&buffer, (ic_message_parts){0}, &refs);
  return IC_OK;
}

void ic_message_free(ic_message *message) {
  if (!message) return;
  ic_ref_release(message->sender);
  ic_ref_release(message->reply_to);
  ic_ref_list_fini(&message->refs);
  free(message->text);
  if (message->builder) {
    ic_buffer_fini(&message->builder->bytes);
    free(message->builder->open);
    free(message->builder);
  }
  ic_block_give(message, (size_t)message->block_units * IC_BLOCK_UNIT);
}

size_t ic_message_bytes_apart(const ic_message *message) {
  size_t built =
      message->builder ? ic_buffer_held(&message->builder->bytes) : 0;
  return built + message->refs.capacity * sizeof *message->refs.items;
}

void ic_message_free_chain(ic_message *chain) {
  while (chain) {
    ic_message *next = chain->next;
    ic_message_free(chain);
    chain = next;
  }
}

ic_ref *ic_message_sender(const ic_message *message) {
  return message->sender;
}

ic_ref *ic_message_reply_to(const ic_message *message) {
  return message->reply_to ? message->reply_to : message->sender;
}

const char *ic_message_type(const ic_message *message) {
  return message->type_size > 0 ? ic_message_type_bytes(message) : NULL;
}

ic_reader ic_message_correlation(const ic_message *message) {
  const uint8_t *at = message->bytes + message->value_size;
  return (ic_reader){message, at, at + message->correlation_size};
}

// --- Building ---------------------------------------------------------------

ic_status ic_message_new(ic_message **out) {
  ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
  ic_builder *builder = calloc(1, sizeof *builder);
  if (!message || !builder) {
    ic_message_free(message);
    free(builder);
    return IC_MEMORY;
  }
  ic_buffer_init(&builder->bytes, 0);
  message->builder = builder;
  *out = message;
  return IC_OK;
}

ic_status ic_message_place(ic_message *message, ic_buffer **out) {
  ic_builder *builder = message->builder;
  if (!builder || builder->complete) return IC_INVALID;
  *out = &builder->bytes;
  return IC_OK;
}

void ic_message_placed(ic_message *message) {
  ic_builder *builder = message->builder;
  if (builder->depth == 0) {
    builder->complete = true;
    message->bytes = builder->bytes.bytes;
    message->value_size = builder->bytes.size;
    return;
  }
  uint8_t *open = &builder->open[builder->depth - 1];
  if (*open != OPEN_ARRAY) {
    *open = *open == OPEN_MAP_KEY ? OPEN_MAP_VALUE : OPEN_MAP_KEY;
  }
}

// Writes one item with [write], where one may stand.
#define ADD(message, write)                           \
  ic_buffer *out;                                     \
  ic_status status = ic_message_place(message, &out); \
  if (status == IC_OK) status = (write);              \
  if (status == IC_OK) ic_message_placed(message);    \
  return status

ic_status ic_message_add_nil(ic_message *message) {
  ADD(message, ic_codec_write_simple(out, IC_CODEC_NULL));
}

ic_status ic_message_add_boolean(ic_message *message, bool boolean) {
  ADD(message,
      ic_codec_write_simple(out, boolean ? IC_CODEC_TRUE : IC_CODEC_FALSE));
}

ic_status ic_message_add_integer(ic_message *message, int64_t integer) {
  ADD(message, ic_codec_write_integer(out, integer));
}

ic_status ic_message_add_number(ic_message *message, double number) {
  ADD(message, ic_codec_write_double(out, number));
}

ic_status ic_message_add_string(ic_message *message, const void *bytes,
                                size_t size) {
  ADD(message, ic_codec_write_string(out, bytes, size));
}

static ic_status push_open(ic_builder *builder, uint8_t what) {
  if (builder->depth == IC_CODEC_DEPTH) return IC_RANGE;
  if (builder->depth == builder->capacity) {
    size_t capacity = builder->capacity * 2 + 8;
    uint8_t *open = realloc(builder->open, capacity);
    if (!open) return IC_MEMORY;
    builder->open = open;
    builder->capacity = capacity;
  }
  builder->open[builder->depth++] = what;
  return IC_OK;
}

static ic_status open_container(ic_message *message, ic_codec_kind kind,
                                uint8_t what) {
  ic_buffer *out;
  ic_status status = ic_message_place(message, &out);
  if (status == IC_OK) status = ic_buffer_reserve(out, 1);
  if (status == IC_OK) status = push_open(message->builder, what);
  return status == IC_OK ? ic_codec_write_open(out, kind) : status;
}

ic_status ic_message_open_array(ic_message *message) {
  return open_container(message, IC_CODEC_ARRAY, OPEN_ARRAY);
}

ic_status ic_message_open_map(ic_message *message) {
  return open_container(message, IC_CODEC_MAP, OPEN_MAP_KEY);
}

ic_status ic_message_close(ic_message *message) {
  ic_builder *builder = message->builder;
  if (!builder || builder->depth == 0) return IC_INVALID;
  if (builder->open[builder->depth - 1] == OPEN_MAP_VALUE) return IC_INVALID;
  ic_status status = ic_codec_write_break(&builder->bytes);
  if (status != IC_OK) return status;
  builder->depth--;
  ic_message_placed(message);
  return IC_OK;
}

ic_status ic_message_finish(ic_message *message, const uint8_t *correlation,
                            size_t correlation_size, const char *type) {
  ic_builder *builder = message->builder;
  if (!builder || !builder->complete || message->was_sent) return IC_INVALID;
  size_t type_size = type ? strlen(type) + 1 : 0;
  if (type_size > UINT32_MAX || correlation_size > UINT32_MAX) {
    return IC_INVALID;
  }
  ic_buffer *bytes = &builder->bytes;
  bytes->size = message->value_size;  // without what an earlier try appended
  ic_status status = ic_buffer_reserve(bytes, correlation_size + type_size);
  if (status != IC_OK) return status;
  ic_buffer_append(bytes, correlation, correlation_size);
  ic_buffer_append(bytes, type, type_size);
  message->bytes = bytes->bytes;
  message->correlation_size = (uint32_t)correlation_size;
  message->type_size = (uint32_t)type_size;
  return IC_OK;
}
