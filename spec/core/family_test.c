// family_test.c - never more members than there may be, whoever asks at once.

#include "core/family.h"

#include "check.h"
#include "core/sync.h"

enum { THREADS = 4, ROUNDS = 20000, MOST = 2 };

static void one_that_is_full_takes_the_next_when_one_leaves(void) {
  ic_family *family = ic_family_new(MOST);
  CHECK(ic_family_enter(family));
  CHECK(ic_family_enter(family));
  CHECK(!ic_family_enter(family));
  ic_family_leave(family);
  CHECK(ic_family_enter(family));
  ic_family_release(family);
}

static void it_lives_as_long_as_its_last_user(void) {
  ic_family *family = ic_family_new(1);
  ic_family *held = ic_family_hold(family);
  ic_family_release(family);
  CHECK(ic_family_enter(held));
  ic_family_release(held);
  ic_family_release(NULL);
}

static _Atomic int inside, most_inside;

static void *come_and_go(void *family) {
  for (int i = 0; i < ROUNDS; i++) {
    if (!ic_family_enter(family)) continue;
    int now = atomic_fetch_add(&inside, 1) + 1;
    int most = atomic_load(&most_inside);
    while (now > most &&
           !atomic_compare_exchange_weak(&most_inside, &most, now)) {
    }
    atomic_fetch_sub(&inside, 1);
    ic_family_leave(family);
  }
  ic_family_release(family);
  return NULL;
}

static void threads_that_enter_at_once_are_never_too_many(void) {
  ic_family *family = ic_family_new(MOST);
  ic_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    CHECK(ic_thread_start(&threads[i], 1 << 16, come_and_go,
                          ic_family_hold(family)) == IC_OK);
  }
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);
  int most = atomic_load(&most_inside);
  CHECK(most >= 1 && most <= MOST);
  for (int i = 0; i < MOST; i++)
    CHECK(ic_family_enter(family));
  CHECK(!ic_family_enter(family));
  ic_family_release(family);
}

int main(void) {
  RUN(one_that_is_full_takes_the_next_when_one_leaves);
  RUN(it_lives_as_long_as_its_last_user);
  RUN(threads_that_enter_at_once_are_never_too_many);
  return check_report("family");
}
