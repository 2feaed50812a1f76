// program.c - posix_spawn, as fork is slow in a large process.

#include "core/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/descendants.h"
#include "core/sync.h"

#define SHELL "/bin/sh"

enum {
  POLITE_NS = 100000000,  // how long it may take to end when asked to
  LOOK_US = 1000
};

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

// Asks it to end, with all that it has started.
static void ask(ic_descendants *all, ic_program program) {
  ic_descendants_find(all, program.id);
  ic_descendants_signal(all, SIGTERM);
  ic_descendants_signal(all, SIGCONT);
}

static void kill_all(ic_descendants *all, ic_program program) {
  ic_descendants_find(all, program.id);
  ic_descendants_signal(all, SIGKILL);
  kill(program.id, SIGKILL);  // where there was no memory to find it
}

// The program has ended, as it was asked to: what it has started may take as long as
// it might have, and may have started more meanwhile.
static void end_rest(ic_descendants *all, int64_t until_ns) {
  while (ic_descendants_signal(all, 0) > 0 && ic_now_ns() < until_ns) {
    usleep(LOOK_US);
  }
  ic_descendants_find_more(all);
  ic_descendants_signal(all, SIGKILL);
}

bool ic_program_wait(ic_program program, const _Atomic(const char *) *killed,
                     int *status) {
  int64_t force_ns = 0;
  ic_descendants all = {0};
  pid_t waited;
  while ((waited = waitpid(program.id, status, 0)) < 0 && errno == EINTR) {
    if (!killed || !atomic_load(killed)) continue;
    if (force_ns == 0) {
      force_ns = ic_now_ns() + POLITE_NS;
      ask(&all, program);
    } else if (ic_now_ns() >= force_ns) {
      kill_all(&all, program);
    }
  }
  end_rest(&all, force_ns);
  ic_descendants_fini(&all);
  return waited == program.id;
}

void ic_program_end(ic_program program) {
  ic_descendants all = {0};
  kill_all(&all, program);
  ic_descendants_fini(&all);
}

void ic_program_kill(ic_program program) {
  int status;
  ic_program_end(program);
  while (waitpid(program.id, &status, 0) < 0 && errno == EINTR) {
  }
}
