// test_body.h - an isolate's body in C, for tests of threads and clusters.
//
// What it does is in a script, which the test and the isolate's thread share,
// and in which the test sees what was done. Waiting for that has a deadline.

#ifndef IC_TEST_BODY_H
#define IC_TEST_BODY_H

#include <stdlib.h>
#include <string.h>

#include "core/isolate.h"
#include "core/ref.h"

enum { PATIENCE_MS = 10000 };  // only a test that fails waits so long

// --- Tallies ----------------------------------------------------------------

// A number that only rises, and that threads wait for.
typedef struct {
  ic_mutex mutex;
  ic_condition changed;
  int count;  // guard: mutex
} test_tally;

static inline void tally_init(test_tally *tally) {
  ic_mutex_init(&tally->mutex);
  ic_condition_init(&tally->changed);
  tally->count = 0;
}

static inline void tally_fini(test_tally *tally) {
  ic_condition_fini(&tally->changed);
  ic_mutex_fini(&tally->mutex);
}

static inline void tally_add(test_tally *tally) {
  ic_mutex_lock(&tally->mutex);
  tally->count++;
  ic_condition_broadcast(&tally->changed);
  ic_mutex_unlock(&tally->mutex);
}

static inline int tally_count(test_tally *tally) {
  ic_mutex_lock(&tally->mutex);
  int count = tally->count;
  ic_mutex_unlock(&tally->mutex);
  return count;
}

// Waits until it is [count] or more; false if that takes too long.
static inline bool tally_reaches(test_tally *tally, int count) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  bool in_time = true;
  ic_mutex_lock(&tally->mutex);
  while (tally->count < count && in_time) {
    in_time = ic_condition_wait(&tally->changed, &tally->mutex, deadline_ns);
  }
  bool reached = tally->count >= count;
  ic_mutex_unlock(&tally->mutex);
  return reached;
}

// --- Scripts ----------------------------------------------------------------

typedef struct test_script test_script;

struct test_script {
  // What the test wants; set before the isolate starts.
  ic_status load_status;  // what load answers, with the text "no" if not IC_OK
  void (*on_load)(test_script *script);  // or NULL
  // What is done with a message, which is borrowed; false ends the isolate.
  // NULL: ends it at IC_MESSAGE_SHUTDOWN.
  bool (*on_message)(test_script *script, const ic_message *message);
  int64_t every_ms;  // runs again after so long; 0: only when something comes
  void *context;

  // What happened.
  test_tally loads, turns, starts, values, frees;
  test_tally gate;  // opened by tests that hold a body up
  _Atomic bool interrupted;
};

static inline void script_init(test_script *script) {
  memset(script, 0, sizeof *script);
  tally_init(&script->loads);
  tally_init(&script->turns);
  tally_init(&script->starts);
  tally_init(&script->values);
  tally_init(&script->frees);
  tally_init(&script->gate);
}

static inline void script_fini(test_script *script) {
  tally_fini(&script->loads);
  tally_fini(&script->turns);
  tally_fini(&script->starts);
  tally_fini(&script->values);
  tally_fini(&script->frees);
  tally_fini(&script->gate);
}

// Ways to be stubborn, for on_load and on_message.

static inline void spin_until_interrupted(test_script *script) {
  while (!atomic_load(&script->interrupted)) {
  }
}

// In C, where no kill reaches it.
static inline void wait_at_gate(test_script *script) {
  tally_reaches(&script->gate, 1);
}

static inline bool body_spins(test_script *script, const ic_message *message) {
  (void)message;
  spin_until_interrupted(script);
  return true;
}

static inline bool body_ignores(test_script *script,
                                const ic_message *message) {
  (void)script;
  (void)message;
  return true;
}

static inline bool body_waits_at_gate(test_script *script,
                                      const ic_message *message) {
  (void)message;
  wait_at_gate(script);
  return true;
}

// --- The body ---------------------------------------------------------------

typedef struct {
  ic_body base;
  test_script *script;
  ic_message *left;  // came, and not read before the end
} test_body;

static inline ic_status test_body_load(ic_body *base, char **message) {
  test_script *script = ((test_body *)base)->script;
  tally_add(&script->loads);
  if (script->on_load) script->on_load(script);
  if (script->load_status != IC_OK) *message = strdup("no");
  return script->load_status;
}

static inline bool test_body_read(test_script *script,
                                  const ic_message *message) {
  if (message->kind == IC_MESSAGE_START) tally_add(&script->starts);
  if (message->kind == IC_MESSAGE_VALUE) tally_add(&script->values);
  if (script->on_message) return script->on_message(script, message);
  return message->kind != IC_MESSAGE_SHUTDOWN;
}

static inline bool test_body_run(ic_body *base, ic_message *chain,
                                 int64_t *deadline_ns) {
  test_body *body = (test_body *)base;
  test_script *script = body->script;
  tally_add(&script->turns);
  body->left = chain;
  bool goes_on = true;
  while (body->left && goes_on) {
    ic_message *message = body->left;
    body->left = message->next;
    goes_on = test_body_read(script, message);
    ic_message_free(message);
  }
  if (!goes_on) base->reason = "done";
  if (atomic_load(&base->isolate->killed)) {
    base->reason = atomic_load(&base->isolate->killed);
    return false;
  }
  if (script->every_ms > 0) *deadline_ns = ic_deadline_ns(script->every_ms);
  return goes_on;
}

static inline void test_body_interrupt(ic_body *base) {
  atomic_store(&((test_body *)base)->script->interrupted, true);
}

static inline void test_body_free(ic_body *base) {
  test_body *body = (test_body *)base;
  test_script *script = body->script;
  for (ic_message *at = body->left; at; at = at->next)
    ic_ref_refuse(at);
  ic_message_free_chain(body->left);
  free(body);
  tally_add(&script->frees);
}

static inline ic_body *test_body_new(test_script *script) {
  static const ic_body_class class = {.load = test_body_load,
                                      .run = test_body_run,
                                      .interrupt = test_body_interrupt,
                                      .free = test_body_free};
  test_body *body = malloc(sizeof *body);
  if (!body) return NULL;
  *body = (test_body){.base = {.class = &class}, .script = script};
  return &body->base;
}

#endif
