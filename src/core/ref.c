// ref.c - the public face of isolates, and their form in bytes.

#include "core/ref.h"

#include "core/codec.h"

ic_ref *ic_ref_hold(ic_ref *ref) {
  return ic_isolate_hold(ref);
}

void ic_ref_release(ic_ref *ref) {
  ic_isolate_release(ref);
}

const char *ic_ref_path(const ic_ref *ref) {
  return ref->path;
}

bool ic_ref_is_alive(const ic_ref *ref) {
  return !ic_mailbox_is_closed(&ref->mailbox);
}

bool ic_ref_equals(const ic_ref *ref, const ic_ref *other) {
  return ref->id == other->id && ref->cluster_key == other->cluster_key;
}

ic_reader ic_ref_properties(const ic_ref *ref) {
  static const ic_message nothing = {.kind = IC_MESSAGE_VALUE};
  return ic_message_reader(ref->properties ? ref->properties : &nothing);
}

// --- In bytes ---------------------------------------------------------------

ic_status ic_ref_encode(const ic_isolate *isolate, uint64_t request,
                        ic_buffer *out) {
  size_t path_size = strlen(isolate->path);
  size_t name_size = sizeof IC_REF_TYPE_NAME - 1;
  // Heads of the tag, the array, two strings and three integers.
  ic_status status =
      ic_buffer_reserve(out, 7 * IC_CODEC_HEAD_MAX + name_size + path_size);
  if (status != IC_OK) return status;
  ic_codec_write_head(out, IC_CODEC_TAG, IC_CODEC_TAG_OBJECT);
  ic_codec_write_head(out, IC_CODEC_ARRAY, 5);
  ic_codec_write_string(out, IC_REF_TYPE_NAME, name_size);
  ic_codec_write_integer(out, (int64_t)isolate->cluster_key);
  ic_codec_write_integer(out, (int64_t)isolate->id);
  ic_codec_write_string(out, isolate->path, path_size);
  return ic_codec_write_integer(out, (int64_t)request);
}

ic_isolate *ic_ref_in_message(const ic_message *message, uint64_t id) {
  for (size_t i = 0; i < message->refs.count; i++) {
    if (message->refs.items[i]->id == id) return message->refs.items[i];
  }
  return NULL;
}

ic_status ic_message_add_ref(ic_message *message, ic_ref *ref) {
  ic_buffer *out;
  ic_status status = ic_message_place(message, &out);
  if (status != IC_OK) return status;
  size_t size = out->size;
  status = ic_ref_encode(ref, 0, out);
  if (status == IC_OK) status = ic_ref_list_add(&message->refs, ref);
  if (status != IC_OK) {
    out->size = size;
    return status;
  }
  ic_message_placed(message);
  return IC_OK;
}

void ic_ref_refuse(const ic_message *message) {
  ic_isolate_refuse(message, IC_GONE);
}
