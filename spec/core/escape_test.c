// escape_test.c - what is left by a jump, and what is not.

#define _DEFAULT_SOURCE
#include "core/escape.h"

#include <limits.h>
#include <sys/mman.h>

#include "check.h"
#include "core/alternates.h"
#include "test_body.h"

static int owner, depth_owner;
static void *volatile overflowed;
static volatile bool landed;

static void note_overflow(void *who) {
  overflowed = who;
}

// Runs [function] so that it can be left.
static void run_escapable(void (*function)(void)) {
  ic_escape escape;
  landed = false;
  ic_escape_enter(&escape, &owner);
  if (sigsetjmp(escape.place, 0) == 0) {
    function();
  } else {
    landed = true;
    ic_escape_land();
  }
  ic_escape_leave(&escape);
}

static void escape(void) {
  if (ic_escape_is_open(&owner)) ic_escape_now();
}

static void is_left_where_it_is_open(void) {
  run_escapable(escape);
  CHECK(landed);
  CHECK(!ic_escape_is_open(&owner));
}

static void escape_in_a_forbidden_place(void) {
  ic_escape_forbid();
  escape();
  ic_escape_permit();
}

static void is_not_left_where_that_is_forbidden(void) {
  run_escapable(escape_in_a_forbidden_place);
  CHECK(!landed);
  run_escapable(escape);
  CHECK(landed);
}

static void escape_guarded(void) {
  ic_escape_guard();
  escape();
}

// The test is code of others, until it is trusted.
static void code_of_others_is_not_left(void) {
  run_escapable(escape_guarded);
  CHECK(!landed);
  ic_escape_trust((const void *)(uintptr_t)escape_guarded);
  CHECK(ic_escape_trusts((const void *)(uintptr_t)run_escapable));
  run_escapable(escape_guarded);
  CHECK(landed);
}

static void run_an_inner_one(void) {
  ic_escape_forbid();
  run_escapable(escape);
  if (!landed || ic_escape_is_open(&owner)) return;
  ic_escape_permit();
  escape();
}

static void an_inner_one_is_left_alone(void) {
  run_escapable(run_an_inner_one);
  CHECK(landed);
}

// Interrupts, as a signal handler would.
static void interrupt_often(const ic_moment *moment) {
  for (int i = 0; i < 10; i++)
    ic_escape_interrupted(&owner, moment);
}

static char code[100];

static void interrupt_inside(void) {
  interrupt_often(&(ic_moment){.instruction = (uintptr_t)code + 50});
}

static void interrupt_outside(void) {
  interrupt_often(&(ic_moment){.instruction = (uintptr_t)code + 100});
}

static void interrupt_once(void) {
  ic_escape_interrupted(&owner,
                        &(ic_moment){.instruction = (uintptr_t)code + 50});
}

static void interrupt_another(void) {
  for (int i = 0; i < 10; i++) {
    ic_escape_interrupted(&depth_owner,
                          &(ic_moment){.instruction = (uintptr_t)code + 50});
  }
}

static void interrupts_leave_only_code_in_the_range(void) {
  ic_escape_set_range(code, code + 100);
  run_escapable(interrupt_outside);
  CHECK(!landed);
  run_escapable(interrupt_once);
  CHECK(!landed);
  run_escapable(interrupt_another);
  CHECK(!landed);
  run_escapable(interrupt_inside);
  CHECK(landed);
}

static void interrupt_here(const ic_moment *moment) {
  (void)moment;
  ic_escape_interrupted(&owner,
                        &(ic_moment){.instruction = (uintptr_t)code + 50});
}

// Nobody else interrupts it after the first time.
static void wait_after_one_interrupt(void) {
  ic_parker nobody;
  ic_parker_init(&nobody);
  ic_thread_interrupt(ic_thread_self());
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (ic_now_ns() < deadline_ns)
    ic_parker_park(&nobody, ic_deadline_ns(1));
}

static void one_interrupt_is_enough(void) {
  ic_escape_set_range(code, code + 100);
  ic_thread_on_interrupt(interrupt_here);
  for (int i = 0; i < 3; i++) {
    run_escapable(wait_after_one_interrupt);
    CHECK(landed);
  }
}

static volatile int depth;

__attribute__((noinline)) static int dive(int n) {
  volatile char frame[256];
  frame[n % 256] = (char)n;
  depth = n;
  if (n == INT_MAX) return 0;
  return dive(n + 1) + frame[(n + 1) % 256];
}

static void overflow(void) {
  dive(0);
}

// How many pages of the calling thread's stack are resident, but for those at both ends.
static int count_resident(void) {
  enum { PAGE = 4096, ENDS = 32 << 10, MAX = IC_SMALL_STACK_BYTES / PAGE };
  unsigned char pages[MAX];
  uintptr_t here =
      (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1);
  size_t size = (ic_escape_stack_room() - 2 * ENDS) & ~(size_t)(PAGE - 1);
  if (mincore((void *)(here - ENDS - size), size, pages) != 0) return MAX;
  int resident = 0;
  for (size_t i = 0; i < size / PAGE; i++)
    resident += pages[i] & 1;
  return resident;
}

static int resident_after;

static void *overflow_on_a_thread(void *argument) {
  ic_escape_begin_thread(argument, IC_SMALL_STACK_BYTES);
  for (int i = 0; i < 3; i++)
    run_escapable(overflow);
  resident_after = count_resident();
  ic_escape_end_thread();
  return NULL;
}

static void the_end_of_the_stack_is_left(void) {
  ic_thread thread;
  overflowed = NULL;
  ic_escape_handle_faults(note_overflow);
  void *alternate_stack = ic_alternate_take();
  CHECK(alternate_stack);
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, overflow_on_a_thread,
                        alternate_stack) == IC_OK);
  ic_thread_join(thread);
  ic_alternate_give(alternate_stack);
  CHECK(landed);
  CHECK(overflowed == &owner);
  CHECK(depth > 100);
  CHECK(resident_after == 0);
}

static void *measure_room(void *argument) {
  static _Alignas(16) char alternate_stack[IC_ALTERNATE_STACK_BYTES];
  ic_escape_begin_thread(alternate_stack, IC_THREAD_STACK_BYTES);
  *(size_t *)argument = ic_escape_stack_room();
  ic_escape_end_thread();
  return NULL;
}

static void the_room_of_a_stack_is_known(void) {
  ic_thread thread;
  size_t room = 0;
  CHECK(ic_escape_stack_room() == SIZE_MAX);
  CHECK(ic_thread_start(&thread, IC_THREAD_STACK_BYTES, measure_room, &room) ==
        IC_OK);
  ic_thread_join(thread);
  CHECK(room > IC_THREAD_STACK_BYTES / 2);
  CHECK(room < IC_THREAD_STACK_BYTES + IC_STACK_GUARD_BYTES);
}

int main(void) {
  RUN(is_left_where_it_is_open);
  RUN(is_not_left_where_that_is_forbidden);
  RUN(code_of_others_is_not_left);
  RUN(an_inner_one_is_left_alone);
  RUN(interrupts_leave_only_code_in_the_range);
  RUN(one_interrupt_is_enough);
  RUN(the_end_of_the_stack_is_left);
  RUN(the_room_of_a_stack_is_known);
  return check_report("escape");
}
