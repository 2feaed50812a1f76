// turn.c - the first message of an isolate says whether it is to be loaded here.

#include "core/turn.h"

#include "core/escape.h"

// The isolate that this thread runs, for the signal handler.
static _Thread_local ic_isolate *volatile current;

static void on_interrupt(const ic_moment *moment) {
  ic_isolate *isolate = current;
  if (!isolate) return;
  if (atomic_load(&isolate->killed)) {
    isolate->body->class->interrupt(isolate->body);
    ic_escape_interrupted(isolate, moment);
  } else if (atomic_load(&isolate->post.wants_sample) &&
             isolate->body->class->sample) {
    isolate->body->class->sample(isolate->body);
  }
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

static void begin(ic_isolate *isolate) {
  ic_post *post = &isolate->post;
  if (!post->is_guarded) return;
  ic_count(&post->turns);
  atomic_store_explicit(&post->thread_id, ic_thread_id(), memory_order_relaxed);
  if (!atomic_load_explicit(&post->is_known, memory_order_relaxed)) {
    isolate->life->tell_sentry(isolate);
  }
}

static void end(ic_isolate *isolate) {
  if (isolate->post.is_guarded) ic_count(&isolate->post.turns);
}

static ic_turn_outcome run(ic_isolate *isolate, ic_message *chain,
                           int64_t *deadline_ns) {
  *deadline_ns = IC_NEVER;
  ic_isolate_weigh(isolate);
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
      ic_count(&isolate->handled);
      bool loaded = isolate->life->load(isolate, chain);
      return loaded ? IC_TURN_MORE : IC_TURN_OVER;
    }
  }
  if (!isolate->body->class->run(isolate->body, chain, deadline_ns)) {
    return IC_TURN_OVER;
  }
  return *deadline_ns == 0 ? IC_TURN_MORE : IC_TURN_WAITS;
}

ic_turn_outcome ic_turn_run(ic_isolate *isolate, ic_message *chain,
                            int64_t *deadline_ns) {
  begin(isolate);
  ic_turn_outcome outcome = run(isolate, chain, deadline_ns);
  end(isolate);
  return outcome;
}
