// send.c - sending what C programs have built.

#include "core/codec.h"
#include "core/death.h"

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
  if (status == IC_GONE) ic_death_count(to);
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
