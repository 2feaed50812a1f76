// alarms_test.c - the nearest first, one an isolate, never later than asked for.

#include "core/alarms.h"

#include <stdlib.h>

#include "check.h"

enum { MANY = 300, THREADS = 3, ROUNDS = 3000 };

static ic_alarms alarms;
static ic_isolate *isolates[MANY];

static void set_up(void) {
  ic_alarms_init(&alarms);
  for (int i = 0; i < MANY; i++)
    ic_isolate_new("/a", &isolates[i]);
}

static void tear_down(void) {
  ic_alarms_fini(&alarms);
  for (int i = 0; i < MANY; i++)
    ic_isolate_release(isolates[i]);
}

static unsigned users_of(ic_isolate *isolate) {
  return atomic_load(&isolate->mailbox.users);
}

static unsigned random_below(unsigned *seed, unsigned limit) {
  return (unsigned)rand_r(seed) % limit;
}

static void rings_the_nearest_first(void) {
  set_up();
  int64_t next;
  CHECK(ic_alarms_set(&alarms, isolates[0], 30));
  CHECK(ic_alarms_set(&alarms, isolates[1], 10));
  CHECK(!ic_alarms_set(&alarms, isolates[2], 20));

  CHECK(!ic_alarms_take_due(&alarms, 9, &next) && next == 10);
  CHECK(ic_alarms_take_due(&alarms, 25, &next) == isolates[1]);
  CHECK(ic_alarms_take_due(&alarms, 25, &next) == isolates[2]);
  CHECK(!ic_alarms_take_due(&alarms, 25, &next) && next == 30);
  CHECK(ic_alarms_take_due(&alarms, 30, &next) == isolates[0]);
  CHECK(!ic_alarms_take_due(&alarms, 30, &next) && next == IC_NEVER);

  for (int i = 0; i < 3; i++)
    ic_isolate_release(isolates[i]);
  tear_down();
}

static void an_alarm_is_moved_forward_only(void) {
  set_up();
  int64_t next;
  ic_alarms_set(&alarms, isolates[0], 20);
  CHECK(!ic_alarms_set(&alarms, isolates[0], 30));
  CHECK(!ic_alarms_take_due(&alarms, 19, &next) && next == 20);
  CHECK(ic_alarms_set(&alarms, isolates[0], 10));
  CHECK(!ic_alarms_take_due(&alarms, 9, &next) && next == 10);
  CHECK(!ic_alarms_set(&alarms, isolates[1], IC_NEVER));
  CHECK(users_of(isolates[1]) == 1);
  tear_down();
}

static void an_isolate_is_counted_while_it_has_one(void) {
  set_up();
  int64_t next;
  ic_alarms_set(&alarms, isolates[0], 20);
  ic_alarms_set(&alarms, isolates[0], 10);
  CHECK(users_of(isolates[0]) == 2);
  ic_alarms_remove(&alarms, isolates[0]);
  ic_alarms_remove(&alarms, isolates[0]);
  CHECK(users_of(isolates[0]) == 1);
  CHECK(!ic_alarms_take_due(&alarms, 100, &next) && next == IC_NEVER);
  ic_alarms_set(&alarms, isolates[1], 5);
  CHECK(ic_alarms_take_due(&alarms, 5, &next) == isolates[1]);
  CHECK(users_of(isolates[1]) == 2);  // the taker's now
  ic_isolate_release(isolates[1]);
  tear_down();
}

// Against an array that is searched.
static int64_t wanted[MANY];

static int64_t nearest_wanted(void) {
  int64_t nearest = IC_NEVER;
  for (int i = 0; i < MANY; i++) {
    if (wanted[i] < nearest) nearest = wanted[i];
  }
  return nearest;
}

static int index_of(const ic_isolate *isolate) {
  int i = 0;
  while (isolates[i] != isolate)
    i++;
  return i;
}

static void change_one(unsigned *seed) {
  int i = (int)random_below(seed, MANY);
  if (random_below(seed, 4) == 0) {
    ic_alarms_remove(&alarms, isolates[i]);
    wanted[i] = IC_NEVER;
    return;
  }
  int64_t time = 1 + random_below(seed, 1000);
  bool is_nearer = time < wanted[i];
  if (is_nearer) wanted[i] = time;
  bool said = ic_alarms_set(&alarms, isolates[i], time);
  CHECK(!said || nearest_wanted() == time);
  CHECK(said || !is_nearer || nearest_wanted() <= time);
}

static void take_one(void) {
  int64_t next;
  int64_t nearest = nearest_wanted();
  CHECK(!ic_alarms_take_due(&alarms, nearest - 1, &next) && next == nearest);
  if (nearest == IC_NEVER) return;
  ic_isolate *due = ic_alarms_take_due(&alarms, nearest, &next);
  CHECK(due && wanted[index_of(due)] == nearest);
  wanted[index_of(due)] = IC_NEVER;
  ic_isolate_release(due);
}

static void keeps_its_order_in_any_use(void) {
  set_up();
  unsigned seed = 7;
  for (int i = 0; i < MANY; i++)
    wanted[i] = IC_NEVER;
  for (int round = 0; round < ROUNDS; round++) {
    CALL(change_one(&seed));
    if (round % 5 == 0) CALL(take_one());
  }
  while (nearest_wanted() != IC_NEVER)
    CALL(take_one());
  for (int i = 0; i < MANY; i++)
    CHECK(users_of(isolates[i]) == 1);
  tear_down();
}

static _Atomic unsigned started;
static _Atomic bool setters_are_done;

static void *set_and_remove(void *unused) {
  (void)unused;
  unsigned number = atomic_fetch_add(&started, 1);
  unsigned seed = number;
  for (int round = 0; round < ROUNDS; round++) {
    // Each its own isolates, as only who runs one sets or removes its alarm.
    unsigned i = random_below(&seed, MANY / THREADS) * THREADS + number;
    if (random_below(&seed, 4) == 0) {
      ic_alarms_remove(&alarms, isolates[i]);
    } else {
      ic_alarms_set(&alarms, isolates[i], 1 + random_below(&seed, 1000));
    }
  }
  return NULL;
}

static void *ring(void *unused) {
  (void)unused;
  unsigned seed = 99;
  while (!atomic_load(&setters_are_done)) {
    int64_t next;
    ic_isolate *due =
        ic_alarms_take_due(&alarms, random_below(&seed, 1000), &next);
    // As the monitor does where the isolate does not sleep.
    if (due && random_below(&seed, 2) == 0) ic_alarms_set(&alarms, due, 1000);
    ic_isolate_release(due);
  }
  return NULL;
}

static void counts_stay_right_with_many_threads(void) {
  set_up();
  atomic_store(&started, 0);
  atomic_store(&setters_are_done, false);
  ic_thread threads[THREADS], ringer;
  ic_thread_start(&ringer, IC_SMALL_STACK_BYTES, ring, NULL);
  for (int i = 0; i < THREADS; i++) {
    ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, set_and_remove, NULL);
  }
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);
  atomic_store(&setters_are_done, true);
  ic_thread_join(ringer);

  int64_t next;
  int64_t before = 0;
  for (ic_isolate *due;
       (due = ic_alarms_take_due(&alarms, before, &next)) != NULL ||
       next != IC_NEVER;) {
    if (!due) {
      CHECK(next > before);
      before = next;
      continue;
    }
    CHECK(users_of(due) == 2);
    ic_isolate_release(due);
  }
  for (int i = 0; i < MANY; i++)
    CHECK(users_of(isolates[i]) == 1);
  tear_down();
}

int main(void) {
  RUN(rings_the_nearest_first);
  RUN(an_alarm_is_moved_forward_only);
  RUN(an_isolate_is_counted_while_it_has_one);
  RUN(keeps_its_order_in_any_use);
  RUN(counts_stay_right_with_many_threads);
  return check_report("alarms");
}
