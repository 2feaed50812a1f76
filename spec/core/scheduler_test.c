// scheduler_test.c - threads that run isolates: start, kill, abandon, join.

#include "core/scheduler.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>

#include "check.h"
#include "failing.h"
#include "test_body.h"

// One test's isolates, without a cluster.
static ic_scheduler scheduler;
static test_script play;
static test_tally left;

static void send_event(ic_isolate *to, ic_message_kind kind) {
  ic_message *event = ic_message_new_event(kind);
  if (ic_isolate_push(to, event) != IC_OK) ic_message_free(event);
}

static bool life_load(ic_isolate *isolate, ic_message *request) {
  bool loads = request->kind == IC_MESSAGE_LOAD;
  ic_message_free(request);
  char *text = NULL;
  if (loads) loads = isolate->body->class->load(isolate->body, &text) == IC_OK;
  free(text);
  if (loads) send_event(isolate, IC_MESSAGE_START);
  return loads;
}

// Takes a while behind the free, as where there are many to tell of the end.
static void life_end(ic_isolate *isolate) {
  ic_turn_enter(NULL);
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  isolate->body->class->free(isolate->body);
  for (int i = 0; i < 200; i++)
    ic_now_ns();
}

static void life_left(ic_cluster *cluster) {
  (void)cluster;
  tally_add(&left);
}

static const ic_life life = {
    .load = life_load, .end = life_end, .left = life_left};

static void set_up(void) {
  ic_scheduler_init(&scheduler, 2);
  script_init(&play);
  tally_init(&left);
}

static void tear_down(void) {
  ic_scheduler_join(&scheduler, IC_NEVER);
  ic_scheduler_fini(&scheduler);
  script_fini(&play);
  tally_fini(&left);
}

// An isolate whose body is ready; the caller's user is one of two.
static ic_isolate *new_isolate(void) {
  ic_isolate *isolate = NULL;
  if (ic_isolate_new("/a", &isolate) != IC_OK) return NULL;
  isolate->life = &life;
  isolate->body = test_body_new(&play);
  isolate->body->isolate = isolate;
  return ic_isolate_hold(isolate);
}

// A running isolate, which has got [kind]; released by the caller.
static ic_isolate *start_with(ic_message_kind kind) {
  ic_isolate *isolate = new_isolate();
  send_event(isolate, kind);
  ic_status status = ic_scheduler_start(&scheduler, isolate, false);
  return status == IC_OK ? isolate : NULL;
}

// --- To the end -------------------------------------------------------------

static void runs_an_isolate_to_its_end(void) {
  set_up();
  ic_isolate *isolate = start_with(IC_MESSAGE_START);
  CHECK(tally_reaches(&play.starts, 1));
  CHECK(tally_count(&play.loads) == 0);  // it was loaded by who started it
  send_event(isolate, IC_MESSAGE_VALUE);
  CHECK(tally_reaches(&play.values, 1));
  send_event(isolate, IC_MESSAGE_SHUTDOWN);
  ic_scheduler_join(&scheduler, IC_NEVER);
  CHECK(tally_count(&play.frees) == 1 && !ic_ref_is_alive(isolate));
  ic_isolate_release(isolate);
  tear_down();
}

static void loads_it_where_the_first_message_says_so(void) {
  set_up();
  ic_isolate *isolate = start_with(IC_MESSAGE_LOAD);
  CHECK(tally_reaches(&play.starts, 1) && tally_count(&play.loads) == 1);
  send_event(isolate, IC_MESSAGE_SHUTDOWN);
  CHECK(tally_reaches(&left, 1));
  ic_isolate_release(isolate);
  tear_down();
}

static void never_runs_what_is_cancelled_or_does_not_load(void) {
  set_up();
  play.load_status = IC_LOAD;
  ic_isolate_release(start_with(IC_MESSAGE_CANCEL));
  CHECK(tally_reaches(&left, 1) && tally_count(&play.loads) == 0);
  ic_isolate_release(start_with(IC_MESSAGE_LOAD));
  CHECK(tally_reaches(&left, 2) && tally_count(&play.loads) == 1);
  CHECK(tally_count(&play.turns) == 0 && tally_count(&play.frees) == 2);
  tear_down();
}

static void runs_it_again_when_its_time_has_come(void) {
  set_up();
  play.every_ms = 1;
  ic_isolate *isolate = start_with(IC_MESSAGE_START);
  CHECK(tally_reaches(&play.turns, 5));
  send_event(isolate, IC_MESSAGE_SHUTDOWN);
  ic_isolate_release(isolate);
  tear_down();
}

static int count_threads(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/task");
  while (folder && readdir(folder))
    count++;
  if (folder) closedir(folder);
  return count;
}

// A joined thread may be listed a moment longer.
static bool threads_fall_to(int count) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (count_threads() > count) {
    if (ic_now_ns() > deadline_ns) return false;
    sched_yield();
  }
  return true;
}

static void leaves_no_thread_behind(void) {
  enum { ISOLATES = 1000 };
  set_up();
  int before = count_threads();
  for (int i = 0; i < ISOLATES; i++) {
    ic_isolate_release(start_with(IC_MESSAGE_SHUTDOWN));
  }
  CHECK(tally_reaches(&left, ISOLATES));
  CHECK(threads_fall_to(before + 1));  // each joins the one before it
  tear_down();
  CHECK(threads_fall_to(before));
}

// --- Kills ------------------------------------------------------------------

static void a_kill_ends_one_that_sleeps(void) {
  set_up();
  ic_isolate *isolate = start_with(IC_MESSAGE_START);
  CHECK(tally_reaches(&play.starts, 1));
  ic_scheduler_kill_all(&scheduler);
  CHECK(tally_reaches(&left, 1));
  CHECK(atomic_load(&isolate->killed));
  ic_isolate_release(isolate);
  tear_down();
}

// A signal can come before the code that it is to interrupt.
static bool kill_until_left(int count) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (tally_count(&left) < count) {
    if (ic_now_ns() > deadline_ns) return false;
    ic_scheduler_kill_all(&scheduler);
    sched_yield();  // to those that want the lock, too
  }
  return true;
}

static void a_kill_interrupts_one_that_spins(void) {
  set_up();
  play.on_message = body_spins;
  ic_isolate_release(start_with(IC_MESSAGE_START));
  CHECK(kill_until_left(1));
  tear_down();
}

static void a_kill_interrupts_one_that_loads(void) {
  set_up();
  play.on_load = spin_until_interrupted;
  ic_isolate_release(start_with(IC_MESSAGE_LOAD));
  CHECK(tally_reaches(&play.loads, 1));
  CHECK(kill_until_left(1));
  tear_down();
}

static void a_kill_reaches_a_thread_started_with_signals_blocked(void) {
  set_up();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  play.on_message = body_spins;
  ic_isolate_release(start_with(IC_MESSAGE_START));
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  CHECK(kill_until_left(1));
  tear_down();
}

// The body is freed while signals rain.
static void no_kill_reaches_a_body_that_is_freed(void) {
  enum { ROUNDS = 300 };
  set_up();
  for (int i = 1; i <= ROUNDS; i++) {
    ic_isolate_release(start_with(IC_MESSAGE_SHUTDOWN));
    CHECK(kill_until_left(i));
  }
  CHECK(tally_count(&play.frees) == ROUNDS);
  tear_down();
}

// --- Abandoned --------------------------------------------------------------

// As a shutdown does where a kill has had no effect.
static void abandon_all(void) {
  ic_isolate *isolate;
  while ((isolate = ic_scheduler_abandon(&scheduler)) != NULL) {
    ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
    ic_isolate_wake(isolate);
    ic_isolate_release(isolate);
  }
}

static void one_that_sits_in_c_is_left_behind(void) {
  set_up();
  play.on_message = body_waits_at_gate;
  ic_isolate_release(start_with(IC_MESSAGE_START));
  CHECK(tally_reaches(&play.starts, 1));
  ic_scheduler_kill_all(&scheduler);
  abandon_all();
  ic_scheduler_join(&scheduler, IC_NEVER);  // does not wait for it
  CHECK(tally_count(&play.frees) == 0);
  tally_add(&play.gate);
  CHECK(tally_reaches(&left, 1) && tally_count(&play.frees) == 1);
  tear_down();
}

static void one_that_comes_back_is_not_run_again(void) {
  set_up();
  play.on_message = body_waits_at_gate;
  ic_isolate_release(start_with(IC_MESSAGE_START));
  CHECK(tally_reaches(&play.starts, 1));
  abandon_all();  // not killed: it would go on
  tally_add(&play.gate);
  CHECK(tally_reaches(&left, 1) && tally_count(&play.turns) == 1);
  tear_down();
}

static void one_that_still_waits_for_its_first_message_ends(void) {
  set_up();
  ic_isolate *isolate = new_isolate();
  CHECK(ic_scheduler_start(&scheduler, isolate, false) == IC_OK);
  abandon_all();
  CHECK(tally_reaches(&left, 1));
  CHECK(tally_count(&play.turns) == 0 && tally_count(&play.frees) == 1);
  ic_isolate_release(isolate);
  tear_down();
}

static void joining_abandons_whom_it_has_waited_for_too_long(void) {
  set_up();
  play.on_message = body_waits_at_gate;
  ic_isolate *isolate = start_with(IC_MESSAGE_START);
  CHECK(tally_reaches(&play.starts, 1));
  ic_scheduler_join(&scheduler, ic_deadline_ns(1));
  CHECK(ic_scheduler_abandon(&scheduler) == NULL);
  CHECK(tally_count(&left) == 0);
  tally_add(&play.gate);
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_isolate_wake(isolate);
  CHECK(tally_reaches(&left, 1));
  ic_isolate_release(isolate);
  tear_down();
}

// --- No thread --------------------------------------------------------------

static void no_more_threads_is_no_memory(void) {
  set_up();
  ic_isolate *isolate = new_isolate();
  failing_at(0);
  ic_status status = ic_scheduler_start(&scheduler, isolate, false);
  CHECK(failing_stop() && status == IC_MEMORY);
  CHECK(ic_scheduler_abandon(&scheduler) == NULL);
  isolate->body->class->free(isolate->body);
  ic_isolate_release(isolate);
  ic_isolate_release(isolate);
  tear_down();
}

static void no_more_threads_than_may_be_is_no_memory(void) {
  set_up();
  scheduler.most_threads = 1;
  ic_isolate *first = start_with(IC_MESSAGE_START);
  ic_isolate *second = new_isolate();
  CHECK(first && ic_scheduler_start(&scheduler, second, false) == IC_MEMORY);
  send_event(first, IC_MESSAGE_SHUTDOWN);
  CHECK(tally_reaches(&left, 1));
  CHECK(ic_scheduler_start(&scheduler, second, false) == IC_OK);
  send_event(second, IC_MESSAGE_START);
  send_event(second, IC_MESSAGE_SHUTDOWN);
  ic_isolate_release(first);
  ic_isolate_release(second);
  tear_down();
}

int main(void) {
  RUN(runs_an_isolate_to_its_end);
  RUN(loads_it_where_the_first_message_says_so);
  RUN(never_runs_what_is_cancelled_or_does_not_load);
  RUN(runs_it_again_when_its_time_has_come);
  RUN(leaves_no_thread_behind);
  RUN(a_kill_ends_one_that_sleeps);
  RUN(a_kill_interrupts_one_that_spins);
  RUN(a_kill_interrupts_one_that_loads);
  RUN(a_kill_reaches_a_thread_started_with_signals_blocked);
  RUN(no_kill_reaches_a_body_that_is_freed);
  RUN(one_that_sits_in_c_is_left_behind);
  RUN(one_that_comes_back_is_not_run_again);
  RUN(one_that_still_waits_for_its_first_message_ends);
  RUN(joining_abandons_whom_it_has_waited_for_too_long);
  RUN(no_more_threads_is_no_memory);
  RUN(no_more_threads_than_may_be_is_no_memory);
  return check_report("scheduler");
}
