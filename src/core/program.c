// program.c - posix_spawn, as fork is slow in a large process.

#include "core/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sync.h"

#define SHELL "/bin/sh"

enum { POLITE_NS = 100000000 };  // how long it may take to end when asked to

static int spawn(const char *command, posix_spawn_file_actions_t *actions,
                 ic_program *out) {
  posix_spawnattr_t attributes;
  int error = posix_spawnattr_init(&attributes);
  if (error != 0) return error;
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  sigdelset(&blocked, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &blocked);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)command, NULL};
  error =
      posix_spawn(&out->id, SHELL, actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// [inner]: the program's end of the pipe.
static int spawn_with_pipe(const char *command, int inner, int as,
                           ic_program *out) {
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (error != 0) return error;
  error = posix_spawn_file_actions_adddup2(&actions, inner, as);
  if (error == 0) error = spawn(command, &actions, out);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

int ic_program_start(const char *command, ic_program_pipe kind, ic_program *out,
                     int *descriptor) {
  *descriptor = -1;
  if (kind == IC_PROGRAM_ALONE) return spawn(command, NULL, out);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  bool we_read = kind == IC_PROGRAM_READ;
  int inner = ends[we_read ? 1 : 0], outer = ends[we_read ? 0 : 1];
  int error = spawn_with_pipe(command, inner,
                              we_read ? STDOUT_FILENO : STDIN_FILENO, out);
  close(inner);
  if (error != 0) {
    close(outer);
    return error;
  }
  *descriptor = outer;
  return 0;
}

bool ic_program_wait(ic_program program, const _Atomic(const char *) *killed,
                     int *status) {
  int64_t asked_ns = 0;
  pid_t waited;
  while ((waited = waitpid(program.id, status, 0)) < 0 && errno == EINTR) {
    if (!killed || !atomic_load(killed)) continue;
    int64_t now_ns = ic_now_ns();
    if (asked_ns == 0) asked_ns = now_ns;
    kill(program.id, now_ns - asked_ns < POLITE_NS ? SIGTERM : SIGKILL);
  }
  return waited == program.id;
}

void ic_program_kill(ic_program program) {
  int status;
  kill(program.id, SIGKILL);
  while (waitpid(program.id, &status, 0) < 0 && errno == EINTR) {
  }
}
