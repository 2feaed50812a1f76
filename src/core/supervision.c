// supervision.c - the children of a supervisor are looked for among all isolates:
// that is only done when it ends by force.

#include "core/supervision.h"

void ic_supervision_begin(ic_registry *registry, ic_isolate *isolate,
                          ic_isolate *supervisor) {
  ic_mutex_lock(&registry->mutex);
  isolate->supervisor = ic_isolate_hold(supervisor);
  supervisor->supervised++;
  ic_mutex_unlock(&registry->mutex);
}

static ic_isolate *next_locked(ic_registry *registry,
                               const ic_isolate *supervisor) {
  if (supervisor->supervised == 0) return NULL;
  for (size_t i = 0; i < registry->paths.bucket_count; i++) {
    for (ic_isolate *isolate = registry->paths.buckets[i]; isolate;
         isolate = isolate->next_in_bucket) {
      if (isolate->supervisor == supervisor && !atomic_load(&isolate->killed)) {
        return ic_isolate_hold(isolate);
      }
    }
  }
  return NULL;
}

ic_isolate *ic_supervision_next(ic_registry *registry,
                                const ic_isolate *supervisor) {
  ic_mutex_lock(&registry->mutex);
  ic_isolate *isolate = next_locked(registry, supervisor);
  ic_mutex_unlock(&registry->mutex);
  return isolate;
}
