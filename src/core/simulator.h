// simulator.h - runs isolates one at a time, in an order that a seed decides.
//
// The third way to run isolates, beside threads of their own and the pool; for
// tests. No thread runs anything here: whoever waits for the cluster, a host
// script, runs the isolates meanwhile (the driver). After each turn the seed
// decides who of those that have something to do is next, the driver included.
// So what one thread does decides all that happens, and the same seed gives the
// same run.
//
// With virtual time the clock stands still while anything can run. When nothing
// can, it jumps to the next moment that somebody waits for. Where it never comes
// to that, as isolates keep each other busy, many turns move it a little, so that
// timeouts pass all the same.
//
// An isolate is in the states of the pool (pool.h): asleep, queued, running.
//
// Threads: one, the driver's, which made it, but where it says otherwise. Any may
//          send to the isolates; what comes when is then not the seed's to say.

#ifndef IC_SIMULATOR_H
#define IC_SIMULATOR_H

#include "core/buffer.h"
#include "core/isolate.h"

// What else is to be done, before each turn. Gives the moment at which it is to
// be called again though nothing happens until then; IC_NEVER: none.
typedef int64_t (*ic_simulator_chore)(void *context);

// Gives. Errors: IC_MEMORY.
ic_status ic_simulator_new(uint64_t seed, bool is_virtual, ic_simulator **out);

// Every isolate has ended. NULL is allowed.
void ic_simulator_free(ic_simulator *simulator);

void ic_simulator_set_chore(ic_simulator *simulator, ic_simulator_chore chore,
                            void *context);

ic_thread ic_simulator_thread(const ic_simulator *simulator);  // the driver's

// Whether the calling thread is the driver's.
bool ic_simulator_is_mine(const ic_simulator *simulator);

// Makes [isolate], which nobody runs or sends to yet, one of the simulator's:
// asleep. Its [finish] is called when it is over. Errors: IC_MEMORY.
ic_status ic_simulator_add(ic_simulator *simulator, ic_isolate *isolate);

// Runs isolates until it is the turn of the driver, which is so now and then once
// it has something to do: once there are messages for [driver], [is_busy] says
// so, or the clock shows [deadline_ns]. False: it has not, and nothing will ever
// happen. [driver] may be NULL.
bool ic_simulator_run(ic_simulator *simulator, ic_isolate *driver, bool is_busy,
                      int64_t deadline_ns);

// Makes a driver that rests look around. Threads: any.
void ic_simulator_wake(ic_simulator *simulator);

// Runs a few isolates, or none: a moment at which the driver, which does not wait,
// may be overtaken.
void ic_simulator_breathe(ic_simulator *simulator);

// A seed for the random numbers of an isolate; one that is given changes no order.
uint64_t ic_simulator_next_seed(ic_simulator *simulator);

// The time in the isolates of [simulator]; NULL: of all others.
int64_t ic_simulator_now_ns(const ic_simulator *simulator);
int64_t ic_simulator_deadline_ns(const ic_simulator *simulator,
                                 int64_t timeout_ms);

typedef enum {
  IC_NOTE_LOAD,     // "path loads"
  IC_NOTE_MESSAGE,  // "path handles message 'type' from path"
  IC_NOTE_TIMER,    // "path handles timer"
  IC_NOTE_END       // "path ends: reason"
} ic_note;

// Adds a line to the trace; [message] is NULL but for IC_NOTE_MESSAGE. When the
// trace grows too long, its older half is forgotten.
void ic_simulator_note(ic_simulator *simulator, const ic_isolate *isolate,
                       ic_note note, const ic_message *message);

// The lines of the trace, each with its newline.
const ic_buffer *ic_simulator_trace(const ic_simulator *simulator);

#endif
