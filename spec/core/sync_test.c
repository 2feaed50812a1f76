// sync_test.c - clocks, parking and threads, and that no wake-up is lost.

#include "core/sync.h"

#include <signal.h>
#include <stdatomic.h>

#include "check.h"
#include "failing.h"

enum { ROUNDS = 3000 };

#define SECOND_NS INT64_C(1000000000)

// --- The clock --------------------------------------------------------------

static void the_clock_goes_forward(void) {
  int64_t before = ic_now_ns();
  CHECK(before > 0);
  for (int i = 0; i < 1000; i++) {
    int64_t now = ic_now_ns();
    CHECK(now >= before);
    before = now;
  }
}

static void a_deadline_is_the_timeout_from_now(void) {
  int64_t before = ic_now_ns();
  int64_t deadline = ic_deadline_ns(2000);
  CHECK(deadline >= before + 2 * SECOND_NS);
  CHECK(deadline <= ic_now_ns() + 2 * SECOND_NS);
}

static void a_timeout_below_0_or_beyond_the_clock_is_never(void) {
  CHECK(ic_deadline_ns(-1) == IC_NEVER);
  CHECK(ic_deadline_ns(INT64_MIN) == IC_NEVER);
  CHECK(ic_deadline_ns(INT64_MAX) == IC_NEVER);
  CHECK(ic_deadline_ns(INT64_MAX / IC_NS_PER_MS) == IC_NEVER);
}

// --- Parking ----------------------------------------------------------------

static void parking_ends_at_the_deadline(void) {
  ic_parker parker;
  ic_parker_init(&parker);
  int64_t deadline = ic_deadline_ns(5);
  ic_parker_park(&parker, deadline);
  CHECK(ic_now_ns() >= deadline);
  ic_parker_park(&parker, 1);  // long ago
}

static void an_unpark_before_the_park_is_remembered_once(void) {
  ic_parker parker;
  ic_parker_init(&parker);
  ic_parker_unpark(&parker);
  ic_parker_unpark(&parker);
  ic_parker_park(&parker, IC_NEVER);
  int64_t deadline = ic_deadline_ns(5);
  ic_parker_park(&parker, deadline);
  CHECK(ic_now_ns() >= deadline);
}

typedef struct {
  ic_parker here, there;
} pair_of_parkers;

static void *answer_each_ball(void *argument) {
  pair_of_parkers *table = argument;
  for (int i = 0; i < ROUNDS; i++) {
    ic_parker_park(&table->there, IC_NEVER);
    ic_parker_unpark(&table->here);
  }
  return NULL;
}

// Ends only if not one wake-up is lost.
static void each_unpark_wakes(void) {
  pair_of_parkers table;
  ic_parker_init(&table.here);
  ic_parker_init(&table.there);
  ic_thread player;
  CHECK(ic_thread_start(&player, IC_SMALL_STACK_BYTES, answer_each_ball,
                        &table) == IC_OK);
  for (int i = 0; i < ROUNDS; i++) {
    ic_parker_unpark(&table.there);
    ic_parker_park(&table.here, IC_NEVER);
  }
  ic_thread_join(player);
}

// --- Conditions -------------------------------------------------------------

static void a_condition_is_waited_for_until_the_deadline(void) {
  ic_mutex mutex;
  ic_condition condition;
  ic_mutex_init(&mutex);
  ic_condition_init(&condition);
  ic_mutex_lock(&mutex);
  int64_t deadline = ic_deadline_ns(5);
  while (ic_condition_wait(&condition, &mutex, deadline)) {
  }
  CHECK(ic_now_ns() >= deadline);
  ic_mutex_unlock(&mutex);
  ic_condition_fini(&condition);
  ic_mutex_fini(&mutex);
}

// --- Threads ----------------------------------------------------------------

static void *note_self(void *argument) {
  *(ic_thread *)argument = ic_thread_self();
  return NULL;
}

static void a_thread_runs_with_its_argument(void) {
  ic_thread thread, noted = ic_thread_self();
  CHECK(ic_thread_is_self(noted));
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, note_self, &noted) ==
        IC_OK);
  ic_thread_join(thread);
  CHECK(!ic_thread_is_self(noted));
}

typedef struct {
  _Atomic int id;
  _Atomic bool is_to_park;
  ic_parker parker;
} watched;

static void *spin_then_park(void *argument) {
  watched *self = argument;
  atomic_store(&self->id, ic_thread_id());
  while (!atomic_load(&self->is_to_park))
    ic_thread_relax();
  ic_parker_park(&self->parker, IC_NEVER);
  return NULL;
}

static bool comes_to_be_blocked(int id) {
  int64_t deadline_ns = ic_deadline_ns(20000);
  while (!ic_thread_is_blocked(id) && ic_now_ns() < deadline_ns)
    ic_thread_give_way();
  return ic_thread_is_blocked(id);
}

static void a_thread_is_blocked_only_where_it_sleeps(void) {
  watched self = {0};
  ic_thread thread;
  ic_parker_init(&self.parker);
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, spin_then_park, &self) ==
        IC_OK);
  while (atomic_load(&self.id) == 0)
    ic_thread_give_way();
  bool spinner_is = ic_thread_is_blocked(atomic_load(&self.id));
  atomic_store(&self.is_to_park, true);
  bool sleeper_is = comes_to_be_blocked(atomic_load(&self.id));
  ic_parker_unpark(&self.parker);
  ic_thread_join(thread);
  CHECK(!spinner_is && sleeper_is);
  CHECK(!ic_thread_is_blocked(ic_thread_id()));
  CHECK(!ic_thread_is_blocked(0));
}

static void no_more_threads_is_no_memory(void) {
  ic_thread thread, noted;
  failing_at(0);
  ic_status status =
      ic_thread_start(&thread, IC_SMALL_STACK_BYTES, note_self, &noted);
  CHECK(failing_stop());
  CHECK(status == IC_MEMORY);
}

// --- Interrupts -------------------------------------------------------------

static _Atomic bool was_here;
static _Thread_local volatile sig_atomic_t is_target;

static void note_interrupt(const ic_moment *moment) {
  (void)moment;
  if (is_target) atomic_store(&was_here, true);
}

static void *spin_until_interrupted(void *ready) {
  is_target = 1;
  ic_thread_prepare_signals();
  ic_parker_unpark(ready);
  while (!atomic_load(&was_here)) {
  }
  return NULL;
}

// Starts it with all signals blocked, as many programs have them.
static void an_interrupt_reaches_a_thread_that_spins(void) {
  ic_parker ready;
  ic_parker_init(&ready);
  ic_thread_on_interrupt(note_interrupt);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  ic_thread thread;
  ic_status status = ic_thread_start(&thread, IC_SMALL_STACK_BYTES,
                                     spin_until_interrupted, &ready);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  CHECK(status == IC_OK);
  ic_parker_park(&ready, IC_NEVER);
  ic_thread_interrupt(thread);
  ic_thread_join(thread);
  CHECK(atomic_load(&was_here));
}

static void wait_for_interrupt(void) {
  int64_t deadline_ns = ic_deadline_ns(20000);
  ic_parker nobody;
  ic_parker_init(&nobody);
  while (!atomic_load(&was_here) && ic_now_ns() < deadline_ns)
    ic_parker_park(&nobody, ic_deadline_ns(1));
}

static void a_thread_interrupts_itself(void) {
  ic_thread_on_interrupt(note_interrupt);
  is_target = 1;
  for (int i = 0; i < 3; i++) {
    atomic_store(&was_here, 0);
    ic_thread_interrupt_self(IC_NS_PER_MS);
    wait_for_interrupt();
    CHECK(atomic_load(&was_here));
    if (i == 1) ic_thread_leave_self_alone();
  }
  ic_thread_leave_self_alone();
  is_target = 0;
}

int main(void) {
  RUN(the_clock_goes_forward);
  RUN(a_deadline_is_the_timeout_from_now);
  RUN(a_timeout_below_0_or_beyond_the_clock_is_never);
  RUN(parking_ends_at_the_deadline);
  RUN(an_unpark_before_the_park_is_remembered_once);
  RUN(each_unpark_wakes);
  RUN(a_condition_is_waited_for_until_the_deadline);
  RUN(a_thread_runs_with_its_argument);
  RUN(a_thread_is_blocked_only_where_it_sleeps);
  RUN(no_more_threads_is_no_memory);
  RUN(an_interrupt_reaches_a_thread_that_spins);
  RUN(a_thread_interrupts_itself);
  return check_report("sync");
}
