// escape.h - leaving an isolate's code in the middle, by a jump.
//
// What runs foreign code sets an escape before. The code can then be left, never
// to be gone on with: out of the signal handler of an interrupt, where it does not
// give up by itself; out of that of a fault, where its stack is at the end; and out
// of its allocator, where it has no memory left.
//
// A jump must not leave a lock held, nor anything half done that outlives the
// isolate. So an interrupt jumps only where the instruction at hand is Lua's (not
// ours, not the C library's): what we do is whole whenever we call Lua, and Lua
// holds no lock then. The exceptions are few places that call functions of Lua that
// never raise, with something in their hands: ic_escape_forbid.
//
// Threads: all state is the calling thread's, but where it says otherwise.

#ifndef IC_ESCAPE_H
#define IC_ESCAPE_H

#include <setjmp.h>
#include <stdatomic.h>

#include "core/sync.h"

typedef struct ic_escape {
  sigjmp_buf
      place;  // the owner's: set with sigsetjmp(place, 0) once it entered
  struct ic_escape *outer;
  void *owner;          // whose code it is
  unsigned forbidden;   // how often, outside
  unsigned interrupts;  // so far, of one that is to end
  bool is_guarded;      // code of others may be in between
} ic_escape;

// How often the calling thread's code has forbidden to be left. Written often,
// read by signal handlers.
extern _Thread_local volatile unsigned ic_escape_forbidden
    __attribute__((tls_model("initial-exec")));

// From here on the code may be left for [escape]; until ic_escape_leave, which its
// owner calls at the end and after a jump.
void ic_escape_enter(ic_escape *escape, void *owner);
void ic_escape_leave(ic_escape *escape);

// First of all after a jump: lets the signals through again; the pages of a stack that
// was at its end go back.
void ic_escape_land(void);

// The code in between is not left: it has something in its hands. They pair, so
// there is nothing in between that raises.
static inline void ic_escape_forbid(void) {
  ic_escape_forbidden = ic_escape_forbidden + 1;
  atomic_signal_fence(memory_order_seq_cst);
}
static inline void ic_escape_permit(void) {
  atomic_signal_fence(memory_order_seq_cst);
  ic_escape_forbidden = ic_escape_forbidden - 1;
}

// Whether code of [owner] may be left right here; to be asked by what it calls.
bool ic_escape_is_open(const void *owner);

// From here on code may be called that is neither Lua's nor ours, and that must not
// be left: the escape is left only where none of it is on the stack. There is time
// then for the code to give up by itself, so that what it owns is let go.
void ic_escape_guard(void);

// Leaves the code of [owner], where that is open. Does not return.
_Noreturn void ic_escape_now(void);

// In the handler of an interrupt of [owner], which is to end: leaves its code, if
// it has been interrupted a few times in vain and can be left at this instruction.
void ic_escape_interrupted(void *owner, const ic_moment *moment);

// Code of the object that [function] is in may be left, too, as it calls none that
// may not. Up to IC_ESCAPE_TRUSTED; once for the process, before the first escape.
enum { IC_ESCAPE_TRUSTED = 8 };
void ic_escape_trust(const void *function);
bool ic_escape_trusts(const void *function);

// Interrupts leave only code between these two addresses: all of Lua's. Once for
// the process; none of what is in between may take a lock.
void ic_escape_set_range(const void *begin, const void *end);

// What to do about the end of the stack: called in the handler of the fault, with
// the owner of the code, before that is left.
void ic_escape_handle_faults(void (*on_overflow)(void *owner));

// The calling thread's signal handlers run on [alternate_stack] (alternates.h) from
// here to there, so that the end of its own stack, which was made with [stack_bytes],
// can be noticed.
void ic_escape_begin_thread(void *alternate_stack, size_t stack_bytes);
void ic_escape_end_thread(void);

// How many bytes of the thread's stack are left, at most; SIZE_MAX: unknown.
size_t ic_escape_stack_room(void);

#endif
