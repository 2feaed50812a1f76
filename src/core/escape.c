// escape.c - what the signal handlers ask before they jump.

#define _GNU_SOURCE
#include "core/escape.h"

#include <dlfcn.h>
#include <unwind.h>

enum {
  // An interrupt asks the code to give up by itself; only what does not is left.
  INTERRUPTS_IN_VAIN = 2,
  // Likewise, where it may have finalizers of others to run: for 100 ms.
  GUARDED_IN_VAIN = 500,
  // Between two, which the thread sees to itself: so it is left within the few ms
  // that a busy machine lets it run, also where Lua's instructions are rare.
  INSIST_NS = 200000,
  INSIST_TIMES = 2000  // then it is in C for long: others' interrupts will do
};

_Thread_local volatile unsigned ic_escape_forbidden;

static _Thread_local ic_escape *volatile innermost;
static _Thread_local ic_stack_bounds bounds;
static _Thread_local volatile bool has_overflowed;  // since it was landed

static _Atomic uintptr_t range_begin, range_end;
static void (*_Atomic overflow_function)(void *owner);

void ic_escape_enter(ic_escape *escape, void *owner) {
  escape->outer = innermost;
  escape->owner = owner;
  escape->forbidden = ic_escape_forbidden;
  escape->interrupts = 0;
  escape->is_guarded = false;
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
  if (has_overflowed) ic_stack_give_back(&bounds);
  has_overflowed = false;
}

// --- Code of others ---------------------------------------------------------
//
// Whether it is on the stack is seen by unwinding that, which libgcc does without a
// lock and without memory where the C library has _dl_find_object. Where that is not
// there, or the stack can't be followed up to the escape, there may be anything.

static uintptr_t trusted_begin[IC_ESCAPE_TRUSTED];
static uintptr_t trusted_end[IC_ESCAPE_TRUSTED];
static _Atomic size_t trusted_count;

void ic_escape_guard(void) {
  if (innermost) innermost->is_guarded = true;
}

// _dl_find_object is async-signal-safe; a C library without it leaves nothing.
#ifdef DLFO_STRUCT_HAS_EH_DBASE
static bool find_object(uintptr_t address, uintptr_t *begin, uintptr_t *end) {
  struct dl_find_object object;
  // It takes a pointer, which it does not follow.
  if (_dl_find_object((void *)address, &object) != 0) return false;
  *begin = (uintptr_t)object.dlfo_map_start;
  *end = (uintptr_t)object.dlfo_map_end;
  return true;
}

static bool is_trusted(uintptr_t address) {
  size_t count = atomic_load(&trusted_count);
  for (size_t i = 0; i < count; i++) {
    if (address >= trusted_begin[i] && address < trusted_end[i]) return true;
  }
  return false;
}

void ic_escape_trust(const void *function) {
  uintptr_t begin, end, address = (uintptr_t)function;
  size_t count = atomic_load(&trusted_count);
  if (is_trusted(address) || count == IC_ESCAPE_TRUSTED) return;
  if (!find_object(address, &begin, &end)) return;
  trusted_begin[count] = begin;
  trusted_end[count] = end;
  atomic_store(&trusted_count, count + 1);
}

bool ic_escape_trusts(const void *function) {
  return is_trusted((uintptr_t)function);
}

typedef struct {
  uintptr_t from, to;  // the instruction at hand (0: here), and the escape
  bool has_begun, has_others, has_arrived;
} walk;

static _Unwind_Reason_Code look_at_frame(struct _Unwind_Context *frame,
                                         void *argument) {
  walk *self = argument;
  uintptr_t instruction = _Unwind_GetIP(frame);
  self->has_begun |= self->from == 0 || instruction == self->from;
  if (!self->has_begun) return _URC_NO_REASON;
  if (_Unwind_GetCFA(frame) > self->to) {
    self->has_arrived = true;
    return _URC_END_OF_STACK;
  }
  self->has_others = !is_trusted(instruction);
  return self->has_others ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static bool has_others_between(uintptr_t from, const ic_escape *escape) {
  walk self = {.from = from, .to = (uintptr_t)escape};
  _Unwind_Backtrace(look_at_frame, &self);
  return self.has_others || !self.has_arrived;
}
#else
bool ic_escape_trusts(const void *function) {
  (void)function;
  return true;
}

void ic_escape_trust(const void *function) {
  (void)function;
}

static bool has_others_between(uintptr_t from, const ic_escape *escape) {
  (void)from;
  (void)escape;
  return true;
}
#endif

static bool is_free_from(const ic_escape *escape, uintptr_t from) {
  return !escape->is_guarded || !has_others_between(from, escape);
}

bool ic_escape_is_open(const void *owner) {
  const ic_escape *escape = innermost;
  return escape && escape->owner == owner && ic_escape_forbidden == 0 &&
         is_free_from(escape, 0);
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
  unsigned in_vain = escape->is_guarded ? GUARDED_IN_VAIN : INTERRUPTS_IN_VAIN;
  return escape->interrupts > in_vain && ic_escape_forbidden == 0 &&
         is_in_range(moment->instruction) && !ic_stdin_is_mine() &&
         is_free_from(escape, moment->instruction);
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
  has_overflowed = true;
  siglongjmp(escape->place, 1);
}

void ic_escape_handle_faults(void (*on_overflow)(void *owner)) {
  atomic_store(&overflow_function, on_overflow);
  ic_thread_on_fault(on_fault);
}

void ic_escape_begin_thread(void *alternate_stack, size_t stack_bytes) {
  ic_thread_use_alternate_stack(alternate_stack, IC_ALTERNATE_STACK_BYTES);
  ic_stack_get_bounds(stack_bytes, &bounds);
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
