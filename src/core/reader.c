// reader.c - turns the heads of codec.h into the items that C programs read.
//
// The bytes were written by this library, so a string is in one piece and tags
// are those of shared tables and refs; what else there is, is malformed.

#include "core/codec.h"
#include "core/ref.h"

ic_reader ic_message_reader(const ic_message *message) {
  return (ic_reader){
      .message = message,
      .at = message->bytes,
      .end = message->bytes + message->value_size,
  };
}

// Reads a string or integer that must stand at [*at].
static bool read_simple(ic_reader *reader, ic_item_type type, ic_item *out) {
  return ic_reader_next(reader, out) == IC_OK && out->type == type;
}

// Behind tag 27: ["isolate", cluster key, id, path, request].
static ic_status read_ref(ic_reader *reader, ic_item *out) {
  ic_item name, key, id, path, request, array;
  if (!read_simple(reader, IC_ARRAY, &array) || array.size != 5 ||
      !read_simple(reader, IC_STRING, &name) ||
      !read_simple(reader, IC_INTEGER, &key) ||
      !read_simple(reader, IC_INTEGER, &id) ||
      !read_simple(reader, IC_STRING, &path) ||
      !read_simple(reader, IC_INTEGER, &request)) {
    return IC_MALFORMED;
  }
  out->type = IC_REF;
  out->ref = ic_ref_in_message(reader->message, (uint64_t)id.integer);
  return IC_OK;
}

static ic_status read_tagged(ic_reader *reader, uint64_t tag, ic_item *out) {
  if (tag == IC_CODEC_TAG_OBJECT) return read_ref(reader, out);
  ic_status status = ic_reader_next(reader, out);
  if (status != IC_OK) return status == IC_NOT_FOUND ? IC_MALFORMED : status;
  if (tag == IC_CODEC_TAG_SHARED) {
    if (out->type != IC_INTEGER) return IC_MALFORMED;
    out->type = IC_SHARED;
  }
  out->marked = tag == IC_CODEC_TAG_SHAREABLE;
  return IC_OK;
}

static ic_status read_string(ic_reader *reader, const ic_codec_head *head,
                             ic_item *out) {
  size_t left = (size_t)(reader->end - reader->at);
  if (head->indefinite || head->argument > left) return IC_MALFORMED;
  out->type = IC_STRING;
  out->bytes = (const char *)reader->at;
  out->size = (size_t)head->argument;
  reader->at += head->argument;
  return IC_OK;
}

static ic_status read_constant(uint64_t simple, ic_item *out) {
  bool is_boolean = simple == IC_CODEC_TRUE || simple == IC_CODEC_FALSE;
  if (!is_boolean && simple != IC_CODEC_NULL) return IC_MALFORMED;
  out->type = is_boolean ? IC_BOOLEAN : IC_NIL;
  out->boolean = simple == IC_CODEC_TRUE;
  return IC_OK;
}

static ic_status read_item(ic_reader *reader, ic_item *out) {
  ic_codec_head head;
  ic_status status = ic_codec_read_head(&reader->at, reader->end, &head);
  if (status != IC_OK) return status;
  switch (head.kind) {
    case IC_CODEC_UNSIGNED:
    case IC_CODEC_NEGATIVE:
      out->type = IC_INTEGER;
      return ic_codec_integer(&head, &out->integer);
    case IC_CODEC_BYTES:
    case IC_CODEC_TEXT:
      return read_string(reader, &head, out);
    case IC_CODEC_ARRAY:
    case IC_CODEC_MAP:
      out->type = head.kind == IC_CODEC_ARRAY ? IC_ARRAY : IC_MAP;
      out->size = head.indefinite ? IC_OPEN : (size_t)head.argument;
      return IC_OK;
    case IC_CODEC_TAG:
      return read_tagged(reader, head.argument, out);
    case IC_CODEC_SIMPLE:
      return read_constant(head.argument, out);
    case IC_CODEC_DOUBLE:
      out->type = IC_NUMBER;
      out->number = head.number;
      return IC_OK;
    case IC_CODEC_BREAK:
      out->type = IC_END;
      return IC_OK;
  }
  return IC_MALFORMED;
}

ic_status ic_reader_next(ic_reader *reader, ic_item *out) {
  if (reader->at >= reader->end) return IC_NOT_FOUND;
  const uint8_t *at = reader->at;
  ic_item item = {0};
  ic_status status = read_item(reader, &item);
  if (status == IC_OK) {
    *out = item;
  } else {
    reader->at = at;
  }
  return status;
}
