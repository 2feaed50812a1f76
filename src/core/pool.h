// pool.h - a few threads that run many isolates.
//
// An isolate of the pool is in one of three states, and only who changes the
// state may act on it:
//
//   asleep   its mailbox says so (mailbox.h). Whoever changes that, with a
//            message or a rouse, makes it queued.
//   queued   in one queue, once. The thread that takes it out runs it.
//   running  by one thread, which makes it asleep or queued again, or ends it.
//
// Each thread (worker) has a slot and a queue. What an isolate on a worker wakes
// goes into the slot, and runs next, on the same core, without any wake-up; a
// conversation stays there. What is pushed out of the slot goes into the queue,
// from which idle workers steal. What other threads wake is injected.
//
// A worker that has been in one turn for long, because the isolate computes or
// blocks, is stuck: the monitor gives what it has queued to others, and sees to
// it that as many workers as wanted are not stuck, by starting new ones.
//
// Sleeping and waking: a worker that found nothing enters the list of the idle,
// then looks once more at every queue, then parks. Whoever queues something does
// so first, then looks at the list. Both are sequentially consistent, so at
// least one of them sees the other. spec/model/pool.pml is a model of it.
//
// Threads: any, but where it says otherwise.

#ifndef IC_POOL_H
#define IC_POOL_H

#include "core/turn.h"

typedef struct ic_pool ic_pool;

// A pool in which [threads] workers run at once, where none is stuck. They are
// started when there is something to run. Errors: IC_MEMORY.
ic_status ic_pool_new(size_t threads, ic_pool **out);

// Stops and joins all threads but those that sit in an abandoned isolate, which
// end by themselves. Every isolate has ended or is abandoned. Of the abandoned,
// those that wait in a queue are ended; what sits in an isolate's end for long is
// not waited for. Threads: once; one of the pool's own is not joined.
void ic_pool_stop(ic_pool *pool);

// Stops the pool, and frees it, once nobody is about to wake one of its isolates.
void ic_pool_free(ic_pool *pool);

// Makes [isolate], which nobody runs or sends to yet, one of the pool: asleep.
void ic_pool_add(ic_pool *pool, ic_isolate *isolate);

// Interrupts every worker that runs an isolate; those whose isolate is killed
// give it up. To be repeated, with the rousing of what sleeps, until all have
// ended: an interrupt may come where it has no effect, and a rouse just before
// the isolate falls asleep.
void ic_pool_interrupt(ic_pool *pool);

// Interrupts the worker that runs [isolate], if one does.
void ic_pool_interrupt_one(ic_pool *pool, ic_isolate *isolate);

// [isolate], which is killed, is not waited for any more. The worker that runs it
// is none of the pool's from now on: it ends when the turn does. If none does,
// it is run once more, to end. Its mailbox must not be closed while it is asleep.
void ic_pool_abandon(ic_pool *pool, ic_isolate *isolate);

#endif
