// queue.c - two chains: what came, and values that nobody listens for.

#include "binding/queue.h"

static void append(ic_message ***end, ic_message *chain) {
  while (chain) {
    **end = chain;
    *end = &chain->next;
    chain = chain->next;
  }
}

static ic_message *shift(ic_message **first, ic_message ***end) {
  ic_message *message = *first;
  if (!message) return NULL;
  *first = message->next;
  if (!*first) *end = first;
  // The next one's bytes come from another core: fetched while this is handled.
  __builtin_prefetch(message->next);
  __builtin_prefetch((const char *)message->next + IC_CACHE_LINE);
  message->next = NULL;
  return message;
}

// The mailbox knows the chain's end: in a flood it would be long to walk.
void ic_queue_put(ic_lua_body *body, ic_message *chain) {
  if (!chain) return;
  *body->queue_end = chain;
  body->queue_end = &body->base.isolate->mailbox.last->next;
}

// Whether it was sent before the change that [event] tells of. What came once the
// isolate hears of changes by messages has no moment.
static bool is_before(const ic_message *message, const ic_message *event) {
  if (message->kind == IC_MESSAGE_UP || message->kind == IC_MESSAGE_DOWN) {
    return false;
  }
  return message->moment > 0 && message->moment < event->request;
}

// So each is behind what led to it, as what its isolate had sent before it ended, and
// in front of what it led to, as what its isolate sent once it was up.
void ic_queue_put_missed(ic_lua_body *body, ic_message *events) {
  ic_queue_put(body, ic_isolate_take_now(body->base.isolate));
  ic_message **at = &body->queue;
  uint64_t count = 0;
  while (events) {
    ic_message *event = events;
    events = event->next;
    while (*at && is_before(*at, event))
      at = &(*at)->next;
    event->next = *at;
    *at = event;
    at = &event->next;
    count++;
  }
  if (!*at) body->queue_end = at;
  ic_mailbox_count(&body->base.isolate->mailbox, count);
}

static bool is_value(const ic_message *message) {
  return message->kind == IC_MESSAGE_VALUE || message->kind == IC_MESSAGE_TOKEN;
}

// The next message that can be handled now. Values that nobody listens for are
// held back, and come first once somebody does.
static ic_message *next_queued(ic_lua_body *body) {
  if (body->held && ic_queue_has_handler(body)) {
    return shift(&body->held, &body->held_end);
  }
  ic_message *message;
  while ((message = shift(&body->queue, &body->queue_end)) != NULL) {
    if (!is_value(message) || ic_queue_has_handler(body)) break;
    append(&body->held_end, message);
  }
  return message;
}

ic_message *ic_queue_next(ic_lua_body *body) {
  ic_message *message;
  do {
    message = next_queued(body);
    if (!message) return NULL;
    ic_count(&body->base.isolate->handled);
    message = ic_isolate_admit(body->base.isolate, message);
  } while (!message);
  return message;
}

const ic_message *ic_queue_peek(const ic_lua_body *body) {
  if (body->held && ic_queue_has_handler(body)) return body->held;
  const ic_message *message = body->queue;
  while (message && is_value(message) && !ic_queue_has_handler(body)) {
    message = message->next;
  }
  return message;
}
