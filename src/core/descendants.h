// descendants.h - a program and what it has started, to be ended together.
//
// The shell starts what it is told to run, and that may start more. They are found
// by what the system tells of each one's children. Who has outlived the one that
// started it before we look (a daemon) is not found.
//
// Threads: one at a time.

#ifndef IC_DESCENDANTS_H
#define IC_DESCENDANTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
  pid_t id;
  uint64_t begin;  // tells it from one that has got the number later
} ic_descendant;

typedef struct {
  ic_descendant *items;  // the program itself first
  size_t count, capacity;
} ic_descendants;

// Adds the child [root] of this process, and all that are not in there yet. Each is
// stopped (SIGSTOP), so that none starts another meanwhile.
void ic_descendants_find(ic_descendants *all, pid_t root);

// Likewise what those that are in there, and were let go on, have started since.
void ic_descendants_find_more(ic_descendants *all);

// Sends [signal] to those that have not ended, but for 0; how many they are.
size_t ic_descendants_signal(const ic_descendants *all, int signal);

void ic_descendants_fini(ic_descendants *all);

#endif
