// turn.h - one isolate's turn on one thread: load it, let its body run.
//
// Who gives turns, and when, is the schedulers' matter (scheduler.h, pool.h).

#ifndef IC_TURN_H
#define IC_TURN_H

#include "core/isolate.h"

typedef enum {
  IC_TURN_OVER,   // the isolate has ended
  IC_TURN_WAITS,  // for a message, or for the deadline
  IC_TURN_MORE    // has more to do than one turn is for
} ic_turn_outcome;

// Makes interrupts reach the isolate that a thread is in. Once is enough.
void ic_turn_handle_interrupts(void);

// The isolate that interrupts of the calling thread are for; NULL: nobody.
void ic_turn_enter(ic_isolate *isolate);

ic_isolate *ic_turn_current(void);

// Handles [chain], which may be NULL, and takes it. [deadline_ns] is set where
// the outcome is IC_TURN_WAITS. Threads: one at a time; it has entered.
ic_turn_outcome ic_turn_run(ic_isolate *isolate, ic_message *chain,
                            int64_t *deadline_ns);

#endif
