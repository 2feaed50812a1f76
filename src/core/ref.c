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

// --- Sending ----------------------------------------------------------------

static ic_isolate *hold_if_any(ic_isolate *isolate) {
  return isolate ? ic_isolate_hold(isolate) : NULL;
}

// Pushes a message that a C program built; on an error it is as before. Once
// pushed it is the receiver's, so all is written before.
static ic_status push_built(ic_isolate *to, ic_message *message,
                            ic_isolate *sender, ic_isolate *reply_to) {
  message->sender = hold_if_any(sender);
  message->reply_to = hold_if_any(reply_to);
  message->was_sent = true;
  ic_status status = ic_isolate_push(to, message);
  if (status == IC_OK) return IC_OK;
  ic_isolate_release(message->sender);
  ic_isolate_release(message->reply_to);
  message->sender = message->reply_to = NULL;
  message->was_sent = false;
  return status;
}

ic_status ic_ref_send(ic_ref *to, ic_message *message,
                      const ic_send_options *options) {
  static const ic_send_options none = {0};
  if (!options) options = &none;
  const char *id = options->correlation_id;
  ic_buffer correlation;
  ic_buffer_init(&correlation, 0);
  ic_status status =
      id ? ic_codec_write_string(&correlation, id, strlen(id)) : IC_OK;
  if (status == IC_OK) {
    status = ic_message_finish(message, correlation.bytes, correlation.size,
                               options->type);
  }
  ic_buffer_fini(&correlation);
  if (status != IC_OK) return status;
  return push_built(to, message, options->sender, options->reply_to);
}

ic_status ic_message_reply(const ic_message *message, ic_ref *sender,
                           ic_message *reply) {
  ic_isolate *to = ic_message_reply_to(message);
  if (!to) return IC_NOT_FOUND;
  ic_status status =
      ic_message_finish(reply, message->bytes + message->value_size,
                        message->correlation_size, NULL);
  if (status != IC_OK) return status;
  bool is_answer = message->request != 0;
  reply->kind = is_answer ? IC_MESSAGE_REPLY : IC_MESSAGE_VALUE;
  reply->request = message->request;
  status = push_built(to, reply, sender, NULL);
  if (status != IC_OK) {
    reply->kind = IC_MESSAGE_VALUE;
    reply->request = 0;
  }
  return status;
}

void ic_ref_refuse(const ic_message *message) {
  ic_isolate_refuse(message, IC_GONE);
}
