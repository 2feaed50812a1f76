// handed.c - a list of refs, and beside it one of numbers.

#include "binding/handed.h"

#include <stdlib.h>

ic_status ic_handed_add(ic_handed *handed, ic_isolate *asker,
                        uint64_t request) {
  size_t count = handed->askers.count;
  if (count == handed->capacity) {
    size_t capacity = count * 2 + 4;
    uint64_t *requests = realloc(handed->requests, capacity * sizeof *requests);
    if (!requests) return IC_MEMORY;
    handed->requests = requests;
    handed->capacity = capacity;
  }
  handed->requests[count] = request;
  return ic_ref_list_add(&handed->askers, asker);
}

static void tell(ic_isolate *asker, uint64_t request, ic_isolate *self,
                 ic_isolate *to) {
  ic_message *news = ic_message_new_event(IC_MESSAGE_HANDED);
  if (!news) return;
  news->request = request;
  news->sender = ic_isolate_hold(self);
  news->reply_to = to ? ic_isolate_hold(to) : NULL;
  if (ic_isolate_push(asker, news) != IC_OK) ic_message_free(news);
}

void ic_handed_tell(ic_handed *handed, ic_isolate *self, ic_isolate *to) {
  for (size_t i = 0; i < handed->askers.count; i++) {
    tell(handed->askers.items[i], handed->requests[i], self, to);
  }
  ic_handed_forget(handed);
}

void ic_handed_forget(ic_handed *handed) {
  if (handed->askers.count > 0) ic_ref_list_fini(&handed->askers);
}

void ic_handed_fini(ic_handed *handed) {
  ic_ref_list_fini(&handed->askers);
  free(handed->requests);
}
