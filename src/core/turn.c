// turn.c - the first message of an isolate says whether it is to be loaded here.

#include "core/turn.h"

#include "core/escape.h"

// The isolate that this thread runs, for the signal handler.
static _Thread_local ic_isolate *volatile current;

static void on_interrupt(const ic_moment *moment) {
  ic_isolate *isolate = current;
  if (!isolate || !atomic_load(&isolate->killed)) return;
  isolate->body->class->interrupt(isolate->body);
  ic_escape_interrupted(isolate, moment);
}

static void on_overflow(void *owner) {
  ic_isolate_condemn(owner, IC_REASON_STACK);
}

void ic_turn_handle_interrupts(void) {
  ic_thread_on_interrupt(on_interrupt);
  ic_escape_handle_faults(on_overflow);
}

void ic_turn_enter(ic_isolate *isolate) {
  current = isolate;
}

ic_isolate *ic_turn_current(void) {
  return current;
}

ic_turn_outcome ic_turn_run(ic_isolate *isolate, ic_message *chain,
                            int64_t *deadline_ns) {
  *deadline_ns = IC_NEVER;
  // Abandoned: nothing will ever come, and nobody asks for it any more.
  if (!chain && ic_mailbox_is_closed(&isolate->mailbox)) return IC_TURN_OVER;
  if (!isolate->has_begun) {
    // Nothing else comes before the first message, which says what to do. Whoever
    // sends it to one that was killed learns that it is gone.
    if (!chain) {
      return atomic_load(&isolate->killed) ? IC_TURN_OVER : IC_TURN_WAITS;
    }
    isolate->has_begun = true;
    if (chain->kind == IC_MESSAGE_LOAD || chain->kind == IC_MESSAGE_CANCEL) {
      bool loaded = isolate->life->load(isolate, chain);
      return loaded ? IC_TURN_MORE : IC_TURN_OVER;
    }
  }
  if (!isolate->body->class->run(isolate->body, chain, deadline_ns)) {
    return IC_TURN_OVER;
  }
  return *deadline_ns == 0 ? IC_TURN_MORE : IC_TURN_WAITS;
}
