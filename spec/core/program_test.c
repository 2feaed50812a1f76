// program_test.c - programs run by the shell, and their end by force.

#include "core/program.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/sync.h"

static _Atomic(const char *) killed;
static atomic_bool has_ended;

static void on_interrupt(const ic_moment *moment) {
  (void)moment;
}

// Interrupts the thread until it has its program's end.
static void *interrupt(void *thread) {
  while (!atomic_load(&has_ended)) {
    ic_thread_interrupt(*(ic_thread *)thread);
    usleep(1000);
  }
  return NULL;
}

// Waits for a program while this thread is interrupted all the time.
static bool wait_interrupted(ic_program program, int *status) {
  ic_thread waiting = ic_thread_self(), interrupter;
  atomic_store(&has_ended, false);
  ic_thread_on_interrupt(on_interrupt);
  if (ic_thread_start(&interrupter, 65536, interrupt, &waiting) != IC_OK) {
    return false;
  }
  bool ended = ic_program_wait(program, &killed, status);
  atomic_store(&has_ended, true);
  ic_thread_join(interrupter);
  return ended;
}

static void it_tells_the_status(void) {
  ic_program program;
  int descriptor, status;
  CHECK(ic_program_start("exit 3", IC_PROGRAM_ALONE, &program, &descriptor) ==
        0);
  CHECK(descriptor == -1 && ic_program_wait(program, NULL, &status));
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void what_it_writes_is_read(void) {
  ic_program program;
  int descriptor, status;
  char bytes[8] = "";
  CHECK(ic_program_start("printf hi", IC_PROGRAM_READ, &program, &descriptor) ==
        0);
  CHECK(read(descriptor, bytes, sizeof bytes) == 2);
  CHECK(strcmp(bytes, "hi") == 0 && read(descriptor, bytes, 1) == 0);
  close(descriptor);
  CHECK(ic_program_wait(program, NULL, &status) && status == 0);
}

static void it_reads_what_is_written(void) {
  ic_program program;
  int descriptor, status;
  CHECK(ic_program_start("read word; test $word = hi", IC_PROGRAM_WRITTEN,
                         &program, &descriptor) == 0);
  CHECK(write(descriptor, "hi\n", 3) == 3);
  close(descriptor);
  CHECK(ic_program_wait(program, NULL, &status) && status == 0);
}

static void an_interrupt_alone_ends_no_wait(void) {
  ic_program program;
  int descriptor, status;
  atomic_store(&killed, NULL);
  ic_program_start("sleep 0.1", IC_PROGRAM_ALONE, &program, &descriptor);
  CHECK(wait_interrupted(program, &status) && status == 0);
}

static void a_kill_ends_the_program(void) {
  ic_program program;
  int descriptor, status;
  atomic_store(&killed, "killed");
  ic_program_start("exec sleep 1000", IC_PROGRAM_ALONE, &program, &descriptor);
  CHECK(wait_interrupted(program, &status));
  CHECK(WIFSIGNALED(status));
}

static void so_it_does_one_that_ignores_requests(void) {
  ic_program program;
  int descriptor, status;
  char ready;
  atomic_store(&killed, "killed");
  ic_program_start("trap '' TERM; echo; exec >&-; while :; do :; done",
                   IC_PROGRAM_READ, &program, &descriptor);
  CHECK(read(descriptor, &ready, 1) == 1);
  close(descriptor);
  CHECK(wait_interrupted(program, &status));
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// Whether nobody has the other end of the pipe any more.
static bool is_left(int descriptor) {
  char byte;
  struct pollfd end = {.fd = descriptor};
  bool is_so = poll(&end, 1, 10000) == 1 && read(descriptor, &byte, 1) == 0;
  close(descriptor);
  return is_so;
}

static void what_it_has_started_ends_with_it(void) {
  ic_program program;
  int descriptor, status;
  atomic_store(&killed, "killed");
  ic_program_start("sleep 1000; true", IC_PROGRAM_READ, &program, &descriptor);
  CHECK(wait_interrupted(program, &status));
  CHECK(is_left(descriptor));
}

// It has a child that ignores requests, and that has one, too.
static const char *stubborn =
    "sh -c \"trap '' TERM; sh -c 'echo; sleep 1000; true'; true\"; true";

static ic_program start_stubborn(int *descriptor) {
  ic_program program;
  char ready;
  ic_program_start(stubborn, IC_PROGRAM_READ, &program, descriptor);
  if (read(*descriptor, &ready, 1) != 1) program.id = -1;
  return program;
}

static void and_so_does_what_that_has_started(void) {
  int descriptor, status;
  atomic_store(&killed, "killed");
  ic_program program = start_stubborn(&descriptor);
  CHECK(wait_interrupted(program, &status));
  CHECK(is_left(descriptor));
}

static void so_does_what_is_started_by_one_that_is_asked(void) {
  ic_program program;
  int descriptor, status;
  char ready;
  atomic_store(&killed, "killed");
  ic_program_start(
      "sh -c \"trap 'sleep 1000 & wait' TERM; echo; "
      "while :; do sleep 0.01; done\"; true",
      IC_PROGRAM_READ, &program, &descriptor);
  CHECK(read(descriptor, &ready, 1) == 1);
  CHECK(wait_interrupted(program, &status));
  CHECK(is_left(descriptor));
}

static void by_force_all_of_it_ends(void) {
  int descriptor;
  ic_program program = start_stubborn(&descriptor);
  ic_program_kill(program);
  CHECK(is_left(descriptor));
}

static void it_is_ended_now_and_waited_for_later(void) {
  int descriptor, status;
  ic_program program = start_stubborn(&descriptor);
  ic_program_end(program);
  CHECK(is_left(descriptor));
  ic_program_end(program);
  CHECK(waitpid(program.id, &status, 0) == program.id && WIFSIGNALED(status));
}

static void a_program_gets_the_signal_of_a_broken_pipe(void) {
  ic_program program;
  int descriptor, status;
  ic_thread_prepare_signals();
  CHECK(ic_program_start("kill -PIPE $$; exit 3", IC_PROGRAM_ALONE, &program,
                         &descriptor) == 0);
  CHECK(ic_program_wait(program, NULL, &status) && WIFSIGNALED(status));
}

static void writing_to_one_that_has_ended_fails(void) {
  ic_program program;
  int descriptor, status;
  ic_thread_prepare_signals();
  ic_program_start("true", IC_PROGRAM_WRITTEN, &program, &descriptor);
  CHECK(ic_program_wait(program, NULL, &status));
  CHECK(write(descriptor, "x", 1) == -1);
  close(descriptor);
}

int main(void) {
  RUN(it_tells_the_status);
  RUN(what_it_writes_is_read);
  RUN(it_reads_what_is_written);
  RUN(an_interrupt_alone_ends_no_wait);
  RUN(a_kill_ends_the_program);
  RUN(so_it_does_one_that_ignores_requests);
  RUN(what_it_has_started_ends_with_it);
  RUN(and_so_does_what_that_has_started);
  RUN(so_does_what_is_started_by_one_that_is_asked);
  RUN(by_force_all_of_it_ends);
  RUN(it_is_ended_now_and_waited_for_later);
  RUN(a_program_gets_the_signal_of_a_broken_pipe);
  RUN(writing_to_one_that_has_ended_fails);
  return check_report("program");
}
