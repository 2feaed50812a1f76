// family.c - two counts.

#include "core/family.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct ic_family {
  _Atomic uint32_t users;
  _Atomic size_t members;
  size_t most;
};

ic_family *ic_family_new(size_t most) {
  ic_family *family = malloc(sizeof *family);
  if (!family) return NULL;
  family->most = most;
  atomic_init(&family->users, 1);
  atomic_init(&family->members, 0);
  return family;
}

ic_family *ic_family_hold(ic_family *family) {
  atomic_fetch_add_explicit(&family->users, 1, memory_order_relaxed);
  return family;
}

void ic_family_release(ic_family *family) {
  if (!family) return;
  if (atomic_fetch_sub_explicit(&family->users, 1, memory_order_acq_rel) == 1) {
    free(family);
  }
}

bool ic_family_enter(ic_family *family) {
  size_t members = atomic_load(&family->members);
  do {
    if (members >= family->most) return false;
  } while (
      !atomic_compare_exchange_weak(&family->members, &members, members + 1));
  return true;
}

void ic_family_leave(ic_family *family) {
  atomic_fetch_sub(&family->members, 1);
}
