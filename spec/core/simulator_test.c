// simulator_test.c - the order of turns, the clock, and who drives.

#include "core/simulator.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/turn.h"
#include "failing.h"
#include "test_body.h"

enum { ACTORS = 4, MS = 1000000 };

typedef struct {
  ic_body base;
  ic_isolate *isolate;
  uint64_t last_number;
  int turns;
  int64_t every_ns;  // wants to run again after so long
  int64_t ran_ns;    // last
  bool throws_on;    // each number to the next actor, one less
} actor;

static ic_simulator *simulator;
static actor actors[ACTORS];
static int ended;
static ic_isolate *driver;

static void push(ic_isolate *to, uint64_t number) {
  ic_message *event = ic_message_new_event(IC_MESSAGE_UP);
  event->request = number;
  if (ic_isolate_push(to, event) != IC_OK) ic_message_free(event);
}

static void handle(actor *self, const ic_message *message) {
  ic_simulator_note(simulator, self->isolate, IC_NOTE_MESSAGE, message);
  self->last_number = message->request;
  if (!self->throws_on || message->request == 0) return;
  push(actors[(self - actors + 1) % ACTORS].isolate, message->request - 1);
}

static bool run(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  actor *self = (actor *)base;
  bool goes_on = !atomic_load(&self->isolate->killed);
  base->reason = goes_on ? "done" : "killed";
  self->turns++;
  self->ran_ns = ic_simulator_now_ns(simulator);
  for (ic_message *at = chain; at; at = at->next) {
    handle(self, at);
    if (at->kind == IC_MESSAGE_SHUTDOWN) goes_on = false;
  }
  ic_message_free_chain(chain);
  if (self->every_ns > 0) *deadline_ns = self->ran_ns + self->every_ns;
  return goes_on;
}

static void finish(ic_isolate *isolate) {
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ended++;
  ic_isolate_release(isolate);
}

static void add(actor *self) {
  static const ic_body_class class = {.run = run};
  char path[] = "/a";
  path[1] = (char)('a' + (self - actors));
  *self = (actor){.base.class = &class};
  ic_isolate_new(path, &self->isolate);
  self->base.isolate = ic_isolate_hold(self->isolate);
  self->isolate->body = &self->base;
  self->isolate->finish = finish;
  if (ic_simulator_add(simulator, self->isolate) != IC_OK) abort();
}

static void set_up(uint64_t seed, bool is_virtual) {
  ended = 0;
  if (ic_simulator_new(seed, is_virtual, &simulator) != IC_OK) abort();
  ic_isolate_new("(driver)", &driver);
  for (int i = 0; i < ACTORS; i++)
    add(&actors[i]);
}

// Runs all that there is to run.
static bool run_all(void) {
  return ic_simulator_run(simulator, driver, false, IC_NEVER);
}

static void tear_down(void) {
  for (int i = 0; i < ACTORS; i++) {
    ic_message *end = ic_message_new_event(IC_MESSAGE_SHUTDOWN);
    if (ic_isolate_push(actors[i].isolate, end) != IC_OK) ic_message_free(end);
    actors[i].every_ns = 0;
  }
  ic_simulator_run(simulator, NULL, false, IC_NEVER);
  for (int i = 0; i < ACTORS; i++)
    ic_isolate_release(actors[i].isolate);
  ic_simulator_free(simulator);
  ic_isolate_release(driver);
}

// --- Order ------------------------------------------------------------------

static void runs_whoever_has_something_to_do(void) {
  set_up(1, true);
  push(actors[0].isolate, 5);
  push(actors[2].isolate, 6);
  CHECK(actors[0].turns == 0);
  CHECK(!run_all());
  CHECK(actors[0].last_number == 5 && actors[2].last_number == 6);
  CHECK(actors[0].turns == 1 && actors[1].turns == 0);
  tear_down();
  CHECK(ended == ACTORS);
}

// What a run with [seed] was like.
static char *trace_of(uint64_t seed) {
  set_up(seed, true);
  for (int i = 0; i < ACTORS; i++) {
    actors[i].throws_on = true;
    push(actors[i].isolate, 10);
  }
  run_all();
  const ic_buffer *trace = ic_simulator_trace(simulator);
  char *text = strndup((const char *)trace->bytes, trace->size);
  tear_down();
  return text;
}

static void a_seed_gives_one_order_and_another_seed_another(void) {
  char *first = trace_of(42);
  char *again = trace_of(42);
  CHECK(strcmp(first, again) == 0);
  int different = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    char *other = trace_of(seed);
    different += strcmp(first, other) != 0;
    free(other);
  }
  free(first);
  free(again);
  CHECK(different == 20);
}

// The numbers are the same on every machine, so a seed is worth telling.
static void a_seed_means_the_same_everywhere(void) {
  set_up(42, true);
  for (int i = 0; i < ACTORS; i++)
    push(actors[i].isolate, 0);
  run_all();
  const ic_buffer *trace = ic_simulator_trace(simulator);
  static const char wanted[] =
      "/c handles up\n/a handles up\n/d handles up\n/b handles up\n";
  CHECK(trace->size == strlen(wanted) &&
        memcmp(trace->bytes, wanted, trace->size) == 0);
  tear_down();
}

static void every_order_is_tried(void) {
  bool was_last[ACTORS] = {false};
  for (uint64_t seed = 0; seed < 100; seed++) {
    set_up(seed, true);
    for (int i = 0; i < ACTORS; i++)
      push(actors[i].isolate, 0);
    run_all();
    const ic_buffer *trace = ic_simulator_trace(simulator);
    char path = ((const char *)trace->bytes)[trace->size / ACTORS * 3 + 1];
    was_last[path - 'a'] = true;
    tear_down();
  }
  CHECK(was_last[0] && was_last[1] && was_last[2] && was_last[3]);
}

// --- The driver -------------------------------------------------------------

static void the_driver_has_its_turn_when_it_has_messages(void) {
  set_up(1, true);
  push(driver, 1);
  CHECK(ic_simulator_run(simulator, driver, false, IC_NEVER));
  ic_message_free_chain(ic_mailbox_take(&driver->mailbox));
  CHECK(ic_simulator_run(simulator, driver, true, IC_NEVER));
  CHECK(!ic_simulator_run(simulator, driver, false, IC_NEVER));
  tear_down();
}

static void the_driver_and_the_isolates_overtake_each_other(void) {
  int driver_first = 0;
  for (uint64_t seed = 0; seed < 100; seed++) {
    set_up(seed, true);
    push(actors[0].isolate, 0);
    push(driver, 1);
    ic_simulator_run(simulator, driver, false, IC_NEVER);
    driver_first += actors[0].turns == 0;
    tear_down();
  }
  CHECK(driver_first > 20 && driver_first < 80);
}

static void a_breath_runs_a_few(void) {
  int ran = 0;
  for (uint64_t seed = 0; seed < 100; seed++) {
    set_up(seed, true);
    for (int i = 0; i < ACTORS; i++)
      push(actors[i].isolate, 0);
    ic_simulator_breathe(simulator);
    for (int i = 0; i < ACTORS; i++)
      ran += actors[i].turns;
    tear_down();
  }
  CHECK(ran > 50 && ran < 200);
}

// --- Time -------------------------------------------------------------------

static void virtual_time_jumps_when_nobody_can_run(void) {
  set_up(1, true);
  int64_t begin_ns = ic_simulator_now_ns(simulator);
  int64_t real_ns = ic_now_ns();
  actors[0].every_ns = INT64_C(1000) * MS;
  push(actors[0].isolate, 0);
  int64_t hour_ns = begin_ns + INT64_C(3600) * 1000 * MS;
  CHECK(ic_simulator_run(simulator, driver, false, hour_ns));
  CHECK(actors[0].turns >= 3600 && actors[0].turns <= 3601);
  CHECK(ic_simulator_now_ns(simulator) == hour_ns);
  CHECK(ic_now_ns() - real_ns < hour_ns - begin_ns);
  tear_down();
}

static void deadlines_are_of_the_clock_that_the_isolates_see(void) {
  set_up(1, true);
  int64_t now_ns = ic_simulator_now_ns(simulator);
  CHECK(ic_simulator_deadline_ns(simulator, 5) == now_ns + 5 * MS);
  CHECK(ic_simulator_deadline_ns(simulator, -1) == IC_NEVER);
  CHECK(ic_simulator_deadline_ns(simulator, INT64_MAX / 1000) == IC_NEVER);
  int64_t before_ns = ic_now_ns();
  CHECK(ic_simulator_now_ns(NULL) >= before_ns);
  CHECK(ic_simulator_deadline_ns(NULL, 5) >= before_ns + 5 * MS);
  tear_down();
}

// Two that never rest, and a driver that waits a second at most.
static void time_passes_though_nobody_rests(void) {
  set_up(1, true);
  for (int i = 0; i < ACTORS; i++)
    actors[i].throws_on = true;
  push(actors[0].isolate, UINT64_MAX);
  int64_t deadline_ns = ic_simulator_deadline_ns(simulator, 1000);
  CHECK(ic_simulator_run(simulator, driver, false, deadline_ns));
  CHECK(ic_simulator_now_ns(simulator) >= deadline_ns);
  actors[1].throws_on = false;
  tear_down();
}

static void real_time_is_waited_for(void) {
  set_up(1, false);
  int64_t begin_ns = ic_now_ns();
  actors[0].every_ns = 2 * MS;
  push(actors[0].isolate, 0);
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  do {
    CHECK(ic_simulator_run(simulator, driver, false, ic_now_ns() + 20 * MS));
  } while (actors[0].turns < 2 && ic_now_ns() < deadline_ns);
  CHECK(ic_now_ns() - begin_ns >= 20 * MS && actors[0].turns > 1);
  tear_down();
}

static void *send_from_elsewhere(void *to) {
  push(to, 7);
  return NULL;
}

static void another_thread_wakes_the_driver_that_rests(void) {
  set_up(1, false);
  ic_thread thread;
  ic_thread_start(&thread, IC_SMALL_STACK_BYTES, send_from_elsewhere, driver);
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  CHECK(ic_simulator_run(simulator, driver, false, deadline_ns));
  CHECK(ic_now_ns() < deadline_ns);
  ic_thread_join(thread);
  tear_down();
}

static void another_thread_may_send_to_isolates(void) {
  set_up(1, false);
  ic_thread threads[ACTORS];
  for (int i = 0; i < ACTORS; i++) {
    ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, send_from_elsewhere,
                    actors[i].isolate);
  }
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  int seen = 0;
  while (seen < ACTORS && ic_now_ns() < deadline_ns) {
    ic_simulator_run(simulator, driver, false, ic_deadline_ns(1));
    seen = 0;
    for (int i = 0; i < ACTORS; i++)
      seen += actors[i].last_number == 7;
  }
  for (int i = 0; i < ACTORS; i++)
    ic_thread_join(threads[i]);
  CHECK(seen == ACTORS);
  tear_down();
}

// --- Ends -------------------------------------------------------------------

static void one_that_is_killed_sees_it(void) {
  set_up(1, true);
  ic_isolate_condemn(actors[0].isolate, IC_REASON_KILLED);
  ic_isolate_rouse(actors[0].isolate);
  CHECK(!run_all() && ended == 1);
  tear_down();
  CHECK(ended == ACTORS);
}

static void the_trace_tells_of_kinds_senders_and_ends(void) {
  set_up(1, true);
  ic_message *down = ic_message_new_event(IC_MESSAGE_DOWN);
  down->sender = ic_isolate_hold(actors[1].isolate);
  ic_isolate_push(actors[0].isolate, down);
  run_all();
  ic_isolate_push(actors[0].isolate, ic_message_new_event(IC_MESSAGE_SHUTDOWN));
  run_all();
  static const char wanted[] =
      "/a handles down from /b\n/a handles shutdown\n/a ends: done\n";
  const ic_buffer *trace = ic_simulator_trace(simulator);
  CHECK(trace->size == strlen(wanted) &&
        memcmp(trace->bytes, wanted, trace->size) == 0);
  tear_down();
}

static void a_trace_that_grows_too_long_loses_its_beginning(void) {
  set_up(1, true);
  actors[0].every_ns = MS;
  for (int i = 0; i < 800000; i++)
    ic_simulator_note(simulator, actors[0].isolate, IC_NOTE_TIMER, NULL);
  const ic_buffer *trace = ic_simulator_trace(simulator);
  CHECK(trace->size < (9 << 20) && trace->bytes[0] == '/');
  tear_down();
}

static void no_memory_is_told(void) {
  set_up(1, true);
  ic_simulator *none = NULL;
  failing_at(0);
  CHECK(ic_simulator_new(1, true, &none) == IC_MEMORY);
  failing_stop();
  ic_isolate *many[64] = {NULL};
  ic_status status = IC_OK;
  int count = 0;
  while (status == IC_OK && count < 64) {
    ic_isolate_new("/many", &many[count]);
    failing_at(0);
    status = ic_simulator_add(simulator, many[count++]);
    failing_stop();
  }
  CHECK(status == IC_MEMORY && count > 1);
  for (int i = 0; i < count; i++)
    ic_isolate_release(many[i]);
  tear_down();
}

int main(void) {
  RUN(runs_whoever_has_something_to_do);
  RUN(a_seed_gives_one_order_and_another_seed_another);
  RUN(a_seed_means_the_same_everywhere);
  RUN(every_order_is_tried);
  RUN(the_driver_has_its_turn_when_it_has_messages);
  RUN(the_driver_and_the_isolates_overtake_each_other);
  RUN(a_breath_runs_a_few);
  RUN(virtual_time_jumps_when_nobody_can_run);
  RUN(deadlines_are_of_the_clock_that_the_isolates_see);
  RUN(time_passes_though_nobody_rests);
  RUN(real_time_is_waited_for);
  RUN(another_thread_wakes_the_driver_that_rests);
  RUN(another_thread_may_send_to_isolates);
  RUN(one_that_is_killed_sees_it);
  RUN(the_trace_tells_of_kinds_senders_and_ends);
  RUN(a_trace_that_grows_too_long_loses_its_beginning);
  RUN(no_memory_is_told);
  return check_report("simulator");
}
