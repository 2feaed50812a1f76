// sync.h - threads, locks, sleeping and the clock: all of POSIX threads here.
//
// Times are nanoseconds of the monotonic clock; IC_NEVER is a deadline that
// does not come.

#ifndef IC_SYNC_H
#define IC_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "isolate_cluster.h"

#define IC_NEVER INT64_MAX
#define IC_NS_PER_MS INT64_C(1000000)

// What different threads write is this far apart.
#define IC_CACHE_LINE 64

int64_t ic_now_ns(void);

// The moment [timeout_ms] milliseconds from now; IC_NEVER where it is negative
// or beyond the clock.
int64_t ic_deadline_ns(int64_t timeout_ms);

typedef struct {
  pthread_mutex_t mutex;
} ic_mutex;

void ic_mutex_init(ic_mutex *mutex);
void ic_mutex_fini(ic_mutex *mutex);
void ic_mutex_lock(ic_mutex *mutex);
void ic_mutex_unlock(ic_mutex *mutex);

// A condition that threads wait for, always with a mutex and a predicate.
typedef struct {
  pthread_cond_t cond;
} ic_condition;

void ic_condition_init(ic_condition *condition);
void ic_condition_fini(ic_condition *condition);
void ic_condition_broadcast(ic_condition *condition);

// Waits at most until [deadline_ns]; false once that has passed. [mutex] is
// held before and after.
bool ic_condition_wait(ic_condition *condition, ic_mutex *mutex,
                       int64_t deadline_ns);

// Where one thread sleeps and any other wakes it. An unpark that comes before
// the park is remembered, so none is lost; several count as one. It holds nothing
// that must be freed. What was written before an unpark is seen behind the park
// that it ends.
typedef struct {
  _Atomic uint32_t state;
} ic_parker;

void ic_parker_init(ic_parker *parker);

// Sleeps until an unpark or [deadline_ns]. Threads: one at a time.
void ic_parker_park(ic_parker *parker, int64_t deadline_ns);

// Threads: any. The parker may be gone as soon as the sleeper has seen it.
void ic_parker_unpark(ic_parker *parker);

typedef struct {
  pthread_t thread;
} ic_thread;

// Stacks: for a thread that runs foreign code, and for one that runs only ours.
// Lua's C recursion (LUAI_MAXCCALLS) needs 423 KiB; the frames of sanitizer
// builds are several times as large.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IC_THREAD_STACK_BYTES ((size_t)8 << 20)
#else
#define IC_THREAD_STACK_BYTES ((size_t)1 << 20)
#endif
#define IC_SMALL_STACK_BYTES ((size_t)256 << 10)

// Behind a stack's end: no frame is larger, so none steps over it.
#define IC_STACK_GUARD_BYTES ((size_t)64 << 10)

// For signal handlers: the state of all registers, with room to spare.
#define IC_ALTERNATE_STACK_BYTES ((size_t)32 << 10)

// Starts a thread with a stack of [stack_bytes] and a guard behind it.
//
// Errors: IC_MEMORY - no memory, or no more threads allowed.
ic_status ic_thread_start(ic_thread *thread, size_t stack_bytes,
                          void *(*run)(void *argument), void *argument);
void ic_thread_join(ic_thread thread);
// Joins a thread that has ended; does not wait. False: it runs.
bool ic_thread_try_join(ic_thread thread);
ic_thread ic_thread_self(void);
bool ic_thread_is_self(ic_thread thread);

// Calls the hook's function when the calling thread ends. The hook is static;
// all have the same. What has no memory for it does without.
typedef struct {
  void (*leave)(void);
} ic_exit_hook;
void ic_thread_at_exit(const ic_exit_hook *hook);

// The calling thread will not be joined.
void ic_thread_detach_self(void);

// The system's number of the calling thread.
int ic_thread_id(void);

// The first bytes of a file of the system's, as a string; false: none.
bool ic_system_read_file(const char *path, char *out, size_t size);

// Likewise of a stat of a process or thread (proc(5)). Gives what is in [out] behind the
// name, which may hold anything: the state, then other fields. NULL: none.
const char *ic_system_read_stat(const char *path, char *out, size_t size);

// Likewise a file that it keeps for the thread [id] of this process.
bool ic_thread_read_file(int id, const char *name, char *out, size_t size);

// Whether that thread sleeps in the system. One that waits for a core does not.
bool ic_thread_is_blocked(int id);

// How many threads can run at once: the cores that this process may use.
size_t ic_thread_cores(void);

// How many threads may be started, so that of the mappings that the system allows a
// process, of which each takes two, a third is left for memory.
size_t ic_thread_most(void);

// The CPU time of one thread, which others may read, too.
typedef struct {
  clockid_t id;
} ic_thread_clock;

// The calling thread's. False: the system has none.
bool ic_thread_get_clock(ic_thread_clock *out);

// Nanoseconds of CPU time. False: the thread has ended.
bool ic_thread_read_clock(ic_thread_clock clock, int64_t *out);

// A moment's rest in a loop that waits for another thread without sleeping.
static inline void ic_thread_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Lets another thread have the core, if one waits for it.
void ic_thread_give_way(void);

// Makes [handler] run on a thread that ic_thread_interrupt names, in the middle
// of what it does: SIGURG, as it is ignored where nobody handles it and as
// debuggers let it pass. Blocking system calls end with EINTR. [handler] may
// call async-signal-safe functions only. It is the process's: once is enough.
// Where a thread is when a signal handler runs on it; 0 where that is unknown.
typedef struct {
  uintptr_t instruction;
  uintptr_t address;  // of a fault
} ic_moment;
void ic_thread_on_interrupt(void (*handler)(const ic_moment *moment));

// Makes [handler] see each access to memory that is not there (SIGSEGV). Where it
// returns, whoever handled that before does it, or the process ends as ever.
void ic_thread_on_fault(void (*handler)(const ic_moment *moment));

// Lets these signals through again, after a handler was left by a jump.
void ic_thread_unblock_signals(void);

// Makes the calling thread's signal handlers run on a stack of their own; NULL: no
// more.
void ic_thread_use_alternate_stack(void *bytes, size_t size);

// The calling thread's stack, if that was made with [stack_bytes]; in the thread's
// function.
typedef struct {
  uintptr_t low;  // its end; 0: unknown
  size_t guard_bytes;
} ic_stack_bounds;
void ic_stack_get_bounds(size_t stack_bytes, ic_stack_bounds *out);

// Whether [address] is in the guard behind the stack's end.
bool ic_stack_has_guard(const ic_stack_bounds *bounds, uintptr_t address);

// The pages of the calling thread's stack that it does not use now are not resident any
// more.
void ic_stack_give_back(const ic_stack_bounds *bounds);

// Whether the calling thread is in the middle of reading the process's stdin, whose
// lock it holds then. Async-signal-safe.
bool ic_stdin_is_mine(void);

// For threads that run isolates: lets interrupts through, whatever signals the one
// that started it has blocked, and keeps SIGPIPE away, which would end the process
// where an isolate writes to a program that has ended. Such a write fails.
void ic_thread_prepare_signals(void);

// Lets SIGPIPE have its way, after a write to the process's own output has failed:
// it is for the process, and as a rule ends it.
void ic_thread_admit_broken_pipe(void);

// [thread] must not have been joined.
void ic_thread_interrupt(ic_thread thread);

// The calling thread interrupts itself in [after_ns], by a timer of its own: while
// it does not run, signals of others count as one, and on a busy machine it runs
// for a few ms now and then. Where the system gives no timer nothing comes.
// Async-signal-safe.
void ic_thread_interrupt_self(int64_t after_ns);

// It does so no more, and its timer goes back.
void ic_thread_leave_self_alone(void);

#endif
