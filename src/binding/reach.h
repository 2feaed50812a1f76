// reach.h - which paths a sandboxed isolate may look up, hear of and spawn.
//
// A ref that came in a message is not asked for: who has it may use it.

#ifndef IC_REACH_H
#define IC_REACH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  char *prefixes;  // one behind the other, each with its NUL; NULL: all paths
  size_t size;
} ic_reach;

// Whether one of the prefixes is [path], or ends in '/' and [path] begins so.
bool ic_reach_covers(const ic_reach *reach, const char *path);

void ic_reach_fini(ic_reach *reach);

#endif
