// escape.c - what the signal handlers ask before they jump.

#include "core/escape.h"

enum {
  // An interrupt asks the code to give up by itself; only what does not is left.
  INTERRUPTS_IN_VAIN = 2,
  // Between two, which the thread sees to itself: so it is left within the few ms
  // that a busy machine lets it run, also where Lua's instructions are rare.
  INSIST_NS = 200000,
  INSIST_TIMES = 2000  // then it is in C for long: others' interrupts will do
};

_Thread_local volatile unsigned ic_escape_forbidden;

static _Thread_local ic_escape *volatile innermost;
static _Thread_local ic_stack_bounds bounds;

static _Atomic uintptr_t range_begin, range_end;
static void (*_Atomic overflow_function)(void *owner);

void ic_escape_enter(ic_escape *escape, void *owner) {
  escape->outer = innermost;
  escape->owner = owner;
  escape->forbidden = ic_escape_forbidden;
  escape->interrupts = 0;
  ic_escape_forbidden = 0;
  atomic_signal_fence(memory_order_seq_cst);
  innermost = escape;
}

void ic_escape_leave(ic_escape *escape) {
  innermost = escape->outer;
  atomic_signal_fence(memory_order_seq_cst);
  ic_escape_forbidden = escape->forbidden;
  if (escape->interrupts > 0) ic_thread_leave_self_alone();
}

void ic_escape_land(void) {
  ic_thread_unblock_signals();
}

bool ic_escape_is_open(const void *owner) {
  const ic_escape *escape = innermost;
  return escape && escape->owner == owner && ic_escape_forbidden == 0;
}

void ic_escape_now(void) {
  siglongjmp(innermost->place, 1);
}

void ic_escape_set_range(const void *begin, const void *end) {
  atomic_store(&range_begin, (uintptr_t)begin);
  atomic_store(&range_end, (uintptr_t)end);
}

static bool is_in_range(uintptr_t instruction) {
  return instruction >= atomic_load(&range_begin) &&
         instruction < atomic_load(&range_end);
}

static bool may_be_left(const ic_escape *escape, const ic_moment *moment) {
  return escape->interrupts > INTERRUPTS_IN_VAIN && ic_escape_forbidden == 0 &&
         is_in_range(moment->instruction) && !ic_stdin_is_mine();
}

void ic_escape_interrupted(void *owner, const ic_moment *moment) {
  ic_escape *escape = innermost;
  if (!escape || escape->owner != owner) return;
  escape->interrupts++;
  if (may_be_left(escape, moment)) siglongjmp(escape->place, 1);
  if (escape->interrupts < INSIST_TIMES) ic_thread_interrupt_self(INSIST_NS);
}

// --- The end of the stack ---------------------------------------------------

static void on_fault(const ic_moment *moment) {
  ic_escape *escape = innermost;
  if (!escape || !ic_stack_has_guard(&bounds, moment->address)) return;
  atomic_load (&overflow_function)(escape->owner);
  siglongjmp(escape->place, 1);
}

void ic_escape_handle_faults(void (*on_overflow)(void *owner)) {
  atomic_store(&overflow_function, on_overflow);
  ic_thread_on_fault(on_fault);
}

void ic_escape_begin_thread(ic_alternate_stack *stack) {
  ic_thread_use_alternate_stack(stack->bytes, sizeof stack->bytes);
  ic_stack_get_bounds(&bounds);
}

void ic_escape_end_thread(void) {
  ic_thread_use_alternate_stack(NULL, 0);
  bounds = (ic_stack_bounds){0};
}

size_t ic_escape_stack_room(void) {
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  if (bounds.low == 0) return SIZE_MAX;
  return here > bounds.low ? here - bounds.low : 0;
}
