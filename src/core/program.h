// program.h - a program that the shell runs, and the end of it with its isolate.
//
// Who waits for a program sits in a system call. The kill of its isolate interrupts
// that, and then ends the program, too, with what it has started: politely first, by
// force a moment later.
//
// Programs get the signals of the thread that starts them, but for SIGPIPE, which
// isolates' threads do without (core/sync.h).
//
// Threads: any; a program belongs to the one that has started it.

#ifndef IC_PROGRAM_H
#define IC_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct {
  pid_t id;
} ic_program;

typedef enum {
  IC_PROGRAM_ALONE,
  IC_PROGRAM_READ,    // we read what it writes
  IC_PROGRAM_WRITTEN  // it reads what we write
} ic_program_pipe;

// Starts the shell with [command]. [descriptor]: our end of the pipe, which the
// caller closes; -1 without one. 0, or the system's error.
int ic_program_start(const char *command, ic_program_pipe pipe, ic_program *out,
                     int *descriptor);

// Waits for its end, and gives its status as waitpid does. False: there is none.
// Ends it once [killed] is set, if it may be NULL: at the next interrupt.
bool ic_program_wait(ic_program program, const _Atomic(const char *) *killed,
                     int *status);

// Ends it by force, with what it has started, and waits for nothing. It may have been
// ended so before.
void ic_program_end(ic_program program);

// Likewise, and waits for its end.
void ic_program_kill(ic_program program);

#endif
