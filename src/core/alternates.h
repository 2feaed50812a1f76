// alternates.h - alternate stacks, on which the signal handlers of a thread run.
//
// They are no part of the threads' own stacks: there, below what the thread was
// started with, each would push all that comes later two pages further away. Nothing
// touches them but a handler that runs, so nearly all of them are no memory at all.
//
// Threads: any.

#ifndef IC_ALTERNATES_H
#define IC_ALTERNATES_H

// A stack of IC_ALTERNATE_STACK_BYTES, whose bytes may be any. NULL: no memory.
void *ic_alternate_take(void);

void ic_alternate_give(void *stack);

#endif
