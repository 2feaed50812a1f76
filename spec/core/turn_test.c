// turn_test.c - what a turn says about the isolate, and whom an interrupt
// reaches.

#include "core/turn.h"

#include "check.h"
#include "test_body.h"

static test_script play;
static ic_isolate *isolate;
static int loads;
static bool loads_well;

static bool life_load(ic_isolate *to, ic_message *request) {
  (void)to;
  loads++;
  ic_message_free(request);
  return loads_well;
}

static const ic_life life = {.load = life_load};

static void set_up(void) {
  script_init(&play);
  loads = 0;
  loads_well = true;
  ic_isolate_new("/a", &isolate);
  isolate->life = &life;
  isolate->body = test_body_new(&play);
  isolate->body->isolate = isolate;
  ic_turn_handle_interrupts();
}

static void tear_down(void) {
  ic_turn_enter(NULL);
  isolate->body->class->free(isolate->body);
  ic_isolate_release(isolate);
  script_fini(&play);
}

static ic_turn_outcome turn_with(ic_message_kind kind, int64_t *deadline_ns) {
  return ic_turn_run(isolate, ic_message_new_event(kind), deadline_ns);
}

static void the_first_message_says_that_it_is_to_be_loaded(void) {
  set_up();
  int64_t deadline_ns;
  CHECK(turn_with(IC_MESSAGE_LOAD, &deadline_ns) == IC_TURN_MORE && loads == 1);
  CHECK(tally_count(&play.turns) == 0);
  CHECK(turn_with(IC_MESSAGE_START, &deadline_ns) == IC_TURN_WAITS);
  CHECK(tally_count(&play.starts) == 1 && loads == 1);
  tear_down();
}

static void it_is_over_if_it_does_not_load(void) {
  set_up();
  int64_t deadline_ns;
  loads_well = false;
  CHECK(turn_with(IC_MESSAGE_CANCEL, &deadline_ns) == IC_TURN_OVER);
  CHECK(loads == 1 && tally_count(&play.turns) == 0);
  tear_down();
}

static void nothing_runs_before_the_first_message(void) {
  set_up();
  int64_t deadline_ns;
  CHECK(ic_turn_run(isolate, NULL, &deadline_ns) == IC_TURN_WAITS);
  CHECK(deadline_ns == IC_NEVER && tally_count(&play.turns) == 0);
  CHECK(turn_with(IC_MESSAGE_START, &deadline_ns) == IC_TURN_WAITS);
  CHECK(tally_count(&play.turns) == 1 && loads == 0);
  tear_down();
}

static void one_that_is_killed_before_it_began_is_over(void) {
  set_up();
  int64_t deadline_ns;
  ic_isolate_condemn(isolate, IC_REASON_KILLED);
  CHECK(ic_turn_run(isolate, NULL, &deadline_ns) == IC_TURN_OVER);
  CHECK(tally_count(&play.turns) == 0);
  tear_down();
}

static void says_when_it_wants_to_run_again(void) {
  set_up();
  int64_t deadline_ns;
  int64_t before_ns = ic_now_ns();
  play.every_ms = 1000;
  CHECK(turn_with(IC_MESSAGE_START, &deadline_ns) == IC_TURN_WAITS);
  CHECK(deadline_ns >= before_ns + 1000 * IC_NS_PER_MS);
  CHECK(deadline_ns <= ic_now_ns() + 1000 * IC_NS_PER_MS);
  play.every_ms = 0;
  CHECK(ic_turn_run(isolate, NULL, &deadline_ns) == IC_TURN_WAITS);
  CHECK(deadline_ns == IC_NEVER);
  tear_down();
}

static bool run_at_once(ic_body *body, ic_message *chain,
                        int64_t *deadline_ns) {
  (void)body;
  ic_message_free_chain(chain);
  *deadline_ns = 0;
  return true;
}

static void has_more_where_it_wants_to_run_at_once(void) {
  set_up();
  int64_t deadline_ns;
  ic_body_class eager = *isolate->body->class;
  eager.run = run_at_once;
  isolate->body->class = &eager;
  CHECK(turn_with(IC_MESSAGE_START, &deadline_ns) == IC_TURN_MORE);
  tear_down();
}

static void is_over_when_the_body_says_so(void) {
  set_up();
  int64_t deadline_ns;
  CHECK(turn_with(IC_MESSAGE_SHUTDOWN, &deadline_ns) == IC_TURN_OVER);
  tear_down();
}

static void is_over_when_its_mailbox_is_closed(void) {
  set_up();
  int64_t deadline_ns;
  CHECK(turn_with(IC_MESSAGE_START, &deadline_ns) == IC_TURN_WAITS);
  ic_mailbox_close(&isolate->mailbox);
  CHECK(turn_with(IC_MESSAGE_VALUE, &deadline_ns) == IC_TURN_WAITS);
  CHECK(ic_turn_run(isolate, NULL, &deadline_ns) == IC_TURN_OVER);
  CHECK(tally_count(&play.turns) == 2);
  tear_down();
}

static void interrupt_myself(void) {
  ic_thread_prepare_signals();
  ic_thread_interrupt(ic_thread_self());
}

static void an_interrupt_reaches_whom_the_thread_is_in_if_it_is_killed(void) {
  set_up();
  interrupt_myself();
  ic_turn_enter(isolate);
  interrupt_myself();
  CHECK(!atomic_load(&play.interrupted));
  ic_isolate_condemn(isolate, IC_REASON_KILLED);
  ic_turn_enter(NULL);
  interrupt_myself();
  CHECK(!atomic_load(&play.interrupted));
  ic_turn_enter(isolate);
  interrupt_myself();
  CHECK(atomic_load(&play.interrupted));
  tear_down();
}

int main(void) {
  RUN(the_first_message_says_that_it_is_to_be_loaded);
  RUN(it_is_over_if_it_does_not_load);
  RUN(nothing_runs_before_the_first_message);
  RUN(one_that_is_killed_before_it_began_is_over);
  RUN(says_when_it_wants_to_run_again);
  RUN(has_more_where_it_wants_to_run_at_once);
  RUN(is_over_when_the_body_says_so);
  RUN(is_over_when_its_mailbox_is_closed);
  RUN(an_interrupt_reaches_whom_the_thread_is_in_if_it_is_killed);
  return check_report("turn");
}
