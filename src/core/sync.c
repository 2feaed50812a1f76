// sync.c - the clock of every wait is CLOCK_MONOTONIC, so that setting the
// wall clock neither shortens nor stretches a timeout.

#include "core/sync.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { INTERRUPT_SIGNAL = SIGURG };

#define NS_PER_SECOND INT64_C(1000000000)

int64_t ic_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t ic_deadline_ns(int64_t timeout_ms) {
  int64_t now = ic_now_ns();
  if (timeout_ms < 0 || timeout_ms > (IC_NEVER - now) / IC_NS_PER_MS) {
    return IC_NEVER;
  }
  return now + timeout_ms * IC_NS_PER_MS;
}

// What these functions return is only ever an error of the caller's.
static void must(int error) {
  assert(error == 0);
  (void)error;
}

void ic_mutex_init(ic_mutex *mutex) {
  must(pthread_mutex_init(&mutex->mutex, NULL));
}

void ic_mutex_fini(ic_mutex *mutex) {
  must(pthread_mutex_destroy(&mutex->mutex));
}

void ic_mutex_lock(ic_mutex *mutex) {
  must(pthread_mutex_lock(&mutex->mutex));
}

void ic_mutex_unlock(ic_mutex *mutex) {
  must(pthread_mutex_unlock(&mutex->mutex));
}

void ic_condition_init(ic_condition *condition) {
  pthread_condattr_t attributes;
  must(pthread_condattr_init(&attributes));
  must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
  must(pthread_cond_init(&condition->cond, &attributes));
  pthread_condattr_destroy(&attributes);
}

void ic_condition_fini(ic_condition *condition) {
  must(pthread_cond_destroy(&condition->cond));
}

void ic_condition_broadcast(ic_condition *condition) {
  must(pthread_cond_broadcast(&condition->cond));
}

bool ic_condition_wait(ic_condition *condition, ic_mutex *mutex,
                       int64_t deadline_ns) {
  if (deadline_ns == IC_NEVER) {
    must(pthread_cond_wait(&condition->cond, &mutex->mutex));
    return true;
  }
  struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_SECOND,
                              .tv_nsec = deadline_ns % NS_PER_SECOND};
  int error =
      pthread_cond_timedwait(&condition->cond, &mutex->mutex, &deadline);
  assert(error == 0 || error == ETIMEDOUT);
  return error == 0;
}

// A parker's state. A futex (futex(2)) instead of a mutex and a condition: one
// word, one system call on either side, and none where nobody sleeps.
enum { NEUTRAL, UNPARKED, PARKED };

void ic_parker_init(ic_parker *parker) {
  atomic_init(&parker->state, NEUTRAL);
}

// Sleeps while the state is PARKED, or for no reason; false once the deadline
// has passed. The kernel's deadlines of this call are those of CLOCK_MONOTONIC.
static bool wait_while_parked(ic_parker *parker, int64_t deadline_ns) {
  struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_SECOND,
                              .tv_nsec = deadline_ns % NS_PER_SECOND};
  long failed = syscall(SYS_futex, &parker->state, FUTEX_WAIT_BITSET_PRIVATE,
                        PARKED, deadline_ns == IC_NEVER ? NULL : &deadline,
                        NULL, FUTEX_BITSET_MATCH_ANY);
  return !failed || errno != ETIMEDOUT;
}

// Takes an unpark away, if there is one. The acquire pairs with the unpark's
// release.
static bool take_unpark(ic_parker *parker) {
  uint32_t unparked = UNPARKED;
  return atomic_compare_exchange_strong_explicit(&parker->state, &unparked,
                                                 NEUTRAL, memory_order_acquire,
                                                 memory_order_relaxed);
}

void ic_parker_park(ic_parker *parker, int64_t deadline_ns) {
  if (take_unpark(parker)) return;
  uint32_t neutral = NEUTRAL;
  if (atomic_compare_exchange_strong_explicit(&parker->state, &neutral, PARKED,
                                              memory_order_relaxed,
                                              memory_order_relaxed)) {
    while (wait_while_parked(parker, deadline_ns) && !take_unpark(parker)) {
    }
  }
  // Unparked in between, or too late: taken too.
  atomic_exchange_explicit(&parker->state, NEUTRAL, memory_order_acquire);
}

void ic_parker_unpark(ic_parker *parker) {
  uint32_t before =
      atomic_exchange_explicit(&parker->state, UNPARKED, memory_order_release);
  if (before != PARKED) return;
  syscall(SYS_futex, &parker->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

ic_status ic_thread_start(ic_thread *thread, size_t stack_bytes,
                          void *(*run)(void *argument), void *argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return IC_MEMORY;
  must(pthread_attr_setstacksize(&attributes, stack_bytes));
  must(pthread_attr_setguardsize(&attributes, IC_STACK_GUARD_BYTES));
  int error = pthread_create(&thread->thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  return error == 0 ? IC_OK : IC_MEMORY;
}

void ic_thread_join(ic_thread thread) {
  must(pthread_join(thread.thread, NULL));
}

bool ic_thread_try_join(ic_thread thread) {
  int error = pthread_tryjoin_np(thread.thread, NULL);
  if (error != EBUSY) must(error);
  return error == 0;
}

ic_thread ic_thread_self(void) {
  return (ic_thread){pthread_self()};
}

bool ic_thread_is_self(ic_thread thread) {
  return pthread_equal(thread.thread, pthread_self()) != 0;
}

size_t ic_thread_cores(void) {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
    return (size_t)CPU_COUNT(&cores);
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (size_t)online : 1;
}

size_t ic_thread_most(void) {
  enum { MAPPINGS = 65530 };  // the kernel's default
  long mappings = 0;
  FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
  if (file) {
    if (fscanf(file, "%ld", &mappings) != 1) mappings = 0;
    fclose(file);
  }
  return (size_t)(mappings > 0 ? mappings : MAPPINGS) / 3;
}

void ic_thread_give_way(void) {
  sched_yield();
}

static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool has_exit_key;

static void call_exit_hook(void *hook) {
  ((const ic_exit_hook *)hook)->leave();
}

static void make_exit_key(void) {
  has_exit_key = pthread_key_create(&exit_key, call_exit_hook) == 0;
}

void ic_thread_at_exit(const ic_exit_hook *hook) {
  must(pthread_once(&exit_once, make_exit_key));
  if (has_exit_key) pthread_setspecific(exit_key, hook);
}

bool ic_thread_get_clock(ic_thread_clock *out) {
  return pthread_getcpuclockid(pthread_self(), &out->id) == 0;
}

bool ic_thread_read_clock(ic_thread_clock clock, int64_t *out) {
  struct timespec time;
  if (clock_gettime(clock.id, &time) != 0) return false;
  *out = (int64_t)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
  return true;
}

// Asked for once a thread: it is a system call.
int ic_thread_id(void) {
  static _Thread_local int id;
  if (id == 0) id = (int)gettid();
  return id;
}

bool ic_system_read_file(const char *path, char *out, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t got = read(file, out, size - 1);
  close(file);
  if (got <= 0) return false;
  out[got] = 0;
  return true;
}

const char *ic_system_read_stat(const char *path, char *out, size_t size) {
  if (!ic_system_read_file(path, out, size)) return NULL;
  const char *name_end = strrchr(out, ')');
  return name_end && name_end[1] == ' ' ? name_end + 2 : NULL;
}

enum { THREAD_PATH_BYTES = 64 };

static void write_path(int id, const char *name, char out[THREAD_PATH_BYTES]) {
  snprintf(out, THREAD_PATH_BYTES, "/proc/self/task/%d/%s", id, name);
}

bool ic_thread_read_file(int id, const char *name, char *out, size_t size) {
  char path[THREAD_PATH_BYTES];
  write_path(id, name, path);
  return ic_system_read_file(path, out, size);
}

bool ic_thread_is_blocked(int id) {
  char path[THREAD_PATH_BYTES], line[64];
  write_path(id, "stat", path);
  const char *state = ic_system_read_stat(path, line, sizeof line);
  return state && (*state == 'S' || *state == 'D');
}

void ic_thread_detach_self(void) {
  must(pthread_detach(pthread_self()));
}

// --- Signals ----------------------------------------------------------------

static uintptr_t instruction_of(void *context) {
  const ucontext_t *registers = context;
#if defined(__x86_64__)
  return (uintptr_t)registers->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  return (uintptr_t)registers->uc_mcontext.pc;
#else
  (void)registers;
  return 0;
#endif
}

static void (*_Atomic interrupt_function)(const ic_moment *moment);
static void (*_Atomic fault_function)(const ic_moment *moment);
static struct sigaction faults_before;  // written once, before a fault can come
static pthread_once_t fault_once = PTHREAD_ONCE_INIT;

static void on_interrupt(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  int saved = errno;
  atomic_load (&interrupt_function)(
      &(ic_moment){.instruction = instruction_of(context)});
  errno = saved;
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *),
                    struct sigaction *before) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  must(sigaction(signal, &action, before));
}

void ic_thread_on_interrupt(void (*handler)(const ic_moment *moment)) {
  atomic_store(&interrupt_function, handler);
  install(INTERRUPT_SIGNAL, on_interrupt, NULL);
}

// With the default, the instruction faults again, and that ends the process.
static void handle_as_before(int signal, siginfo_t *info, void *context) {
  if (faults_before.sa_flags & SA_SIGINFO) {
    faults_before.sa_sigaction(signal, info, context);
  } else if (faults_before.sa_handler != SIG_DFL &&
             faults_before.sa_handler != SIG_IGN) {
    faults_before.sa_handler(signal);
  } else {
    sigaction(signal, &faults_before, NULL);
  }
}

static void on_fault(int signal, siginfo_t *info, void *context) {
  int saved = errno;
  if (info->si_code > 0) {  // the kernel's, no kill
    atomic_load (&fault_function)(
        &(ic_moment){.instruction = instruction_of(context),
                     .address = (uintptr_t)info->si_addr});
  }
  handle_as_before(signal, info, context);
  errno = saved;
}

static void install_fault_handler(void) {
  install(SIGSEGV, on_fault, &faults_before);
}

void ic_thread_on_fault(void (*handler)(const ic_moment *moment)) {
  atomic_store(&fault_function, handler);
  must(pthread_once(&fault_once, install_fault_handler));
}

void ic_thread_unblock_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, INTERRUPT_SIGNAL);
  sigaddset(&signals, SIGSEGV);
  must(pthread_sigmask(SIG_UNBLOCK, &signals, NULL));
}

void ic_thread_use_alternate_stack(void *bytes, size_t size) {
  stack_t stack = {.ss_sp = bytes, .ss_size = size};
  if (!bytes) stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, NULL);
}

// How much less than [stack_bytes] the calling thread has of its stack from [here] on,
// as the C library keeps its own above. The library may have given it a larger one, from
// a thread that has ended; others get what they asked for.
static size_t measure_taken(size_t stack_bytes, uintptr_t here) {
  pthread_attr_t attributes;
  void *low = NULL;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  size_t left = here - (uintptr_t)low;
  return left < stack_bytes ? stack_bytes - left : 0;
}

// The C library says it exactly, but takes memory for that and a system call. So only
// the first thread asks; what lies above is the same for all.
void ic_stack_get_bounds(size_t stack_bytes, ic_stack_bounds *out) {
  static _Atomic size_t taken = SIZE_MAX;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  size_t known = atomic_load_explicit(&taken, memory_order_relaxed);
  if (known == SIZE_MAX) {
    known = measure_taken(stack_bytes, here);
    atomic_store_explicit(&taken, known, memory_order_relaxed);
  }
  *out = (ic_stack_bounds){.low = here - (stack_bytes - known),
                           .guard_bytes = IC_STACK_GUARD_BYTES};
}

// The end is not exact, and whether it takes in the guard differs between C libraries.
bool ic_stack_has_guard(const ic_stack_bounds *bounds, uintptr_t address) {
  return bounds->low != 0 && address >= bounds->low - bounds->guard_bytes &&
         address < bounds->low + bounds->guard_bytes;
}

// What is nearest is left to the caller and to signal handlers, and as much at the end,
// which is not exact.
void ic_stack_give_back(const ic_stack_bounds *bounds) {
  enum { PAGE = 4096, SPARED_BYTES = 16 << 10 };
  if (bounds->low == 0) return;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  uintptr_t begin = (bounds->low + SPARED_BYTES) & ~(uintptr_t)(PAGE - 1);
  uintptr_t end = (here - SPARED_BYTES) & ~(uintptr_t)(PAGE - 1);
  if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

// A FILE's lock, as glibc has it.
typedef struct {
  int lock;
  int count;
  void *owner;
} file_lock;

bool ic_stdin_is_mine(void) {
  const file_lock *lock = (const file_lock *)stdin->_lock;
  return lock && lock->count > 0 && lock->owner == (void *)pthread_self();
}

static void mask(int how, int signal) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, signal);
  must(pthread_sigmask(how, &signals, NULL));
}

void ic_thread_prepare_signals(void) {
  mask(SIG_UNBLOCK, INTERRUPT_SIGNAL);
  mask(SIG_BLOCK, SIGPIPE);
}

void ic_thread_admit_broken_pipe(void) {
  mask(SIG_UNBLOCK, SIGPIPE);  // one that is pending comes here
  mask(SIG_BLOCK, SIGPIPE);
}

void ic_thread_interrupt(ic_thread thread) {
  pthread_kill(thread.thread, INTERRUPT_SIGNAL);
}

// The kernel's number of the thread's timer; the C library's functions may allocate.
static _Thread_local volatile bool has_timer;
static _Thread_local volatile int own_timer;

static bool make_timer(void) {
  struct sigevent event;
  int timer;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = INTERRUPT_SIGNAL;
  event._sigev_un._tid = (int)syscall(SYS_gettid);
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) {
    return false;
  }
  own_timer = timer;
  has_timer = true;
  return true;
}

void ic_thread_interrupt_self(int64_t after_ns) {
  if (!has_timer && !make_timer()) return;
  struct itimerspec once = {.it_value = {.tv_sec = after_ns / NS_PER_SECOND,
                                         .tv_nsec = after_ns % NS_PER_SECOND}};
  syscall(SYS_timer_settime, own_timer, 0, &once, NULL);
}

void ic_thread_leave_self_alone(void) {
  if (!has_timer) return;
  has_timer = false;
  syscall(SYS_timer_delete, own_timer);
}
