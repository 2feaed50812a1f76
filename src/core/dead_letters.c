// dead_letters.c - a message that reached nobody becomes the event itself, so
// telling needs no memory.

#include "core/dead_letters.h"

#include "core/ref.h"

static bool is_letter(const ic_message *message) {
  return message->kind == IC_MESSAGE_VALUE ||
         (message->kind == IC_MESSAGE_REPLY && message->status == IC_OK);
}

// The first that listens, or NULL.
static ic_isolate *find_listener_locked(const ic_registry *registry) {
  for (size_t i = 0; i < registry->watcher_count; i++) {
    const ic_watcher *watcher = &registry->watchers[i];
    if (watcher->watches & IC_WATCH_DEAD) return watcher->isolate;
  }
  return NULL;
}

static bool has_room_locked(const ic_registry *registry, size_t size) {
  return registry->letters < IC_LETTERS_MAX &&
         registry->letter_bytes + size <= IC_LETTERS_BYTES_MAX;
}

// Makes [letter] the event that tells of it.
static void address_locked(ic_registry *registry, ic_isolate *to,
                           ic_message *letter, const char *reason) {
  ic_isolate_release(letter->reply_to);
  letter->reply_to = ic_isolate_hold(to);
  letter->kind = IC_MESSAGE_DEAD;
  letter->reason = reason;
  letter->cluster_key = registry->cluster_key;
  letter->request = registry->letters_missed;
  registry->letters_missed = 0;
  registry->letters++;
  registry->letter_bytes += letter->value_size;
}

// Tells [listener]; false if that is not to be, and [letter] is still the caller's.
static bool tell_locked(ic_registry *registry, ic_isolate *listener,
                        ic_isolate *to, ic_message *letter, const char *reason,
                        bool *wake) {
  if (!has_room_locked(registry, letter->value_size)) {
    registry->letters_missed++;
    return false;
  }
  address_locked(registry, to, letter, reason);
  if (ic_isolate_put(listener, letter, wake) == IC_OK) return true;
  registry->letters--;
  registry->letter_bytes -= letter->value_size;
  return false;
}

void ic_dead_letters_add(ic_registry *registry, ic_isolate *to,
                         ic_message *chain, const char *reason) {
  ic_message *rest = NULL;
  bool wake = false;
  ic_mutex_lock(&registry->mutex);
  ic_isolate *listener = find_listener_locked(registry);
  if (listener) ic_isolate_hold(listener);
  while (chain) {
    ic_message *message = chain;
    chain = chain->next;
    if (is_letter(message)) {
      registry->totals.dead_letters++;
      if (listener &&
          tell_locked(registry, listener, to, message, reason, &wake)) {
        continue;
      }
    }
    message->next = rest;
    rest = message;
  }
  ic_mutex_unlock(&registry->mutex);
  if (wake) ic_isolate_wake(listener);
  ic_isolate_release(listener);
  ic_message_free_chain(rest);
}

void ic_dead_letters_drop(ic_registry *registry, ic_isolate *to,
                          ic_message *chain) {
  if (!chain) return;
  for (ic_message *message = chain; message; message = message->next) {
    if (message->kind == IC_MESSAGE_VALUE ||
        message->kind == IC_MESSAGE_COMMAND) {
      ic_ref_refuse(message);
    }
  }
  ic_dead_letters_add(registry, to, chain, IC_LETTER_UNREAD);
}

void ic_dead_letters_read(ic_registry *registry, const ic_message *event) {
  ic_mutex_lock(&registry->mutex);
  registry->letters--;
  registry->letter_bytes -= event->value_size;
  ic_mutex_unlock(&registry->mutex);
}
