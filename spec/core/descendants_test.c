// descendants_test.c - finding and ending what a program has started.

#include "core/descendants.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/program.h"
#include "failing.h"

// The shell, once it has said that it is ready.
static pid_t start(const char *command, int *descriptor) {
  ic_program program;
  char ready;
  ic_program_start(command, IC_PROGRAM_READ, &program, descriptor);
  return read(*descriptor, &ready, 1) == 1 ? program.id : -1;
}

static void finish(ic_descendants *all, pid_t root, int descriptor) {
  int status;
  ic_descendants_signal(all, SIGKILL);
  kill(root, SIGKILL);
  CHECK(waitpid(root, &status, 0) == root);
  close(descriptor);
  ic_descendants_fini(all);
}

static void all_generations_are_found_once(void) {
  ic_descendants all = {0};
  int descriptor;
  pid_t root =
      start("sleep 1000 & sleep 1000 & sh -c 'sleep 1000 & echo; wait'; true",
            &descriptor);
  ic_descendants_find(&all, root);
  ic_descendants_find(&all, root);
  CHECK(all.count == 5 && all.items[0].id == root);
  CHECK(ic_descendants_signal(&all, 0) == 5);
  finish(&all, root, descriptor);
}

static void those_that_are_found_are_stopped(void) {
  ic_descendants all = {0};
  int descriptor, status;
  pid_t root = start("echo; while :; do :; done", &descriptor);
  ic_descendants_find(&all, root);
  CHECK(waitpid(root, &status, WUNTRACED) == root && WIFSTOPPED(status));
  finish(&all, root, descriptor);
}

// It is always in the middle of starting one.
static void none_is_started_behind_the_look(void) {
  for (int round = 0; round < 20; round++) {
    ic_descendants all = {0};
    int descriptor;
    pid_t root = start("echo; while :; do sleep 1000 & done", &descriptor);
    ic_descendants_find(&all, root);
    size_t before = all.count;
    usleep(5000);
    ic_descendants_find(&all, root);
    CHECK(all.count == before);
    finish(&all, root, descriptor);
  }
}

static void who_has_ended_gets_no_signal(void) {
  ic_descendants all = {0};
  int descriptor, status;
  pid_t root = start("echo; exec sleep 1000", &descriptor);
  ic_descendants_find(&all, root);
  kill(root, SIGKILL);
  CHECK(waitpid(root, &status, 0) == root);
  CHECK(ic_descendants_signal(&all, 0) == 0);
  ic_descendants another = {0};
  ic_descendants_find(&another, root);
  CHECK(another.count == 0);
  close(descriptor);
  ic_descendants_fini(&all);
}

static void without_memory_none_is_stopped(void) {
  ic_descendants all = {0};
  int descriptor;
  pid_t root = start("echo; exec sleep 1000", &descriptor);
  failing_at(0);
  ic_descendants_find(&all, root);
  CHECK(failing_stop() && all.count == 0);
  finish(&all, root, descriptor);
}

int main(void) {
  RUN(all_generations_are_found_once);
  RUN(those_that_are_found_are_stopped);
  RUN(none_is_started_behind_the_look);
  RUN(who_has_ended_gets_no_signal);
  RUN(without_memory_none_is_stopped);
  return check_report("descendants");
}
