// simulator.c - who is queued stands in an array, from which a number that the
// seed gives takes the next.

#include "core/simulator.h"

#include <stdlib.h>
#include <string.h>

#include "core/alarms.h"
#include "core/turn.h"

enum {
  RESTLESS_TURNS = 1000,   // so many turns without a moment's rest
  RESTLESS_NS = 10000000,  // take so long
  TRACE_BYTES = 8 << 20,   // of which a half is forgotten
  BREATHS_ONE_IN = 2,      // after each turn of a breath it goes on
  FIRST_CAPACITY = 16
};

struct ic_simulator {
  uint64_t random;
  uint64_t seeds;  // likewise, for those that are given
  bool is_virtual;
  int64_t now_ns;  // with virtual time
  unsigned restless_turns;
  size_t members;  // isolates that have not ended
  ic_simulator_chore chore;
  void *chore_context;
  ic_alarms alarms;
  ic_buffer trace;
  ic_thread driver_thread;
  ic_parker parker;  // of a driver that has none

  ic_mutex mutex;
  // Guard: mutex.
  ic_isolate **queued;
  size_t queued_count;
  size_t capacity;    // at least as many as there are members
  ic_parker *sleeps;  // where the driver is about to, or NULL
};

ic_status ic_simulator_new(uint64_t seed, bool is_virtual, ic_simulator **out) {
  ic_simulator *self = calloc(1, sizeof *self);
  if (!self) return IC_MEMORY;
  self->random = seed;
  self->seeds = ~seed;
  self->is_virtual = is_virtual;
  // Never 0, which as a deadline is "at once"; and the same each time, so that
  // fractions of seconds are rounded alike.
  self->now_ns = 1000 * IC_NS_PER_MS;
  self->driver_thread = ic_thread_self();
  ic_alarms_init(&self->alarms);
  ic_buffer_init(&self->trace, 0);
  ic_parker_init(&self->parker);
  ic_mutex_init(&self->mutex);
  *out = self;
  return IC_OK;
}

void ic_simulator_free(ic_simulator *self) {
  if (!self) return;
  ic_mutex_fini(&self->mutex);
  ic_buffer_fini(&self->trace);
  ic_alarms_fini(&self->alarms);
  free(self->queued);
  free(self);
}

void ic_simulator_set_chore(ic_simulator *self, ic_simulator_chore chore,
                            void *context) {
  self->chore = chore;
  self->chore_context = context;
}

ic_thread ic_simulator_thread(const ic_simulator *self) {
  return self->driver_thread;
}

bool ic_simulator_is_mine(const ic_simulator *self) {
  return ic_thread_is_self(self->driver_thread);
}

// --- Chance -----------------------------------------------------------------

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// 2014; the constants are Vigna's): any seed is good, and each gives the same
// numbers on every machine.
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// A number from 0 to [count] - 1; a seed's bias for some of them is of no matter.
static size_t choose(ic_simulator *self, size_t count) {
  return (size_t)(((next_random(&self->random) >> 32) * (uint64_t)count) >> 32);
}

uint64_t ic_simulator_next_seed(ic_simulator *self) {
  return next_random(&self->seeds);
}

// --- Time -------------------------------------------------------------------

int64_t ic_simulator_now_ns(const ic_simulator *self) {
  return self && self->is_virtual ? self->now_ns : ic_now_ns();
}

int64_t ic_simulator_deadline_ns(const ic_simulator *self, int64_t timeout_ms) {
  if (!self || !self->is_virtual) return ic_deadline_ns(timeout_ms);
  if (timeout_ms < 0) return IC_NEVER;
  int64_t most_ms = (IC_NEVER - self->now_ns) / IC_NS_PER_MS;
  if (timeout_ms >= most_ms) return IC_NEVER;
  return self->now_ns + timeout_ms * IC_NS_PER_MS;
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Lets the time go by until [until_ns], or, where it is real, until another thread
// has something for the driver or an isolate.
static void pass_time(ic_simulator *self, ic_isolate *driver,
                      int64_t until_ns) {
  if (self->is_virtual) {
    if (until_ns > self->now_ns) self->now_ns = until_ns;
    return;
  }
  ic_parker *parker = driver ? &driver->parker : &self->parker;
  ic_mutex_lock(&self->mutex);
  bool rests = self->queued_count == 0;
  if (rests) self->sleeps = parker;
  ic_mutex_unlock(&self->mutex);
  if (rests && (!driver || ic_mailbox_sleep(&driver->mailbox))) {
    ic_parker_park(parker, until_ns);
    if (driver) ic_mailbox_awake(&driver->mailbox);
  }
  ic_mutex_lock(&self->mutex);
  self->sleeps = NULL;
  ic_mutex_unlock(&self->mutex);
}

void ic_simulator_wake(ic_simulator *self) {
  ic_mutex_lock(&self->mutex);
  if (self->sleeps) ic_parker_unpark(self->sleeps);
  ic_mutex_unlock(&self->mutex);
}

// --- Who is queued ----------------------------------------------------------

static ic_status reserve(ic_simulator *self) {
  if (self->members < self->capacity) return IC_OK;
  size_t capacity = self->capacity ? self->capacity * 2 : FIRST_CAPACITY;
  ic_isolate **queued = realloc(self->queued, capacity * sizeof(ic_isolate *));
  if (!queued) return IC_MEMORY;
  self->queued = queued;
  self->capacity = capacity;
  return IC_OK;
}

// [isolate] was asleep or running, and is queued now.
static void enqueue(ic_isolate *isolate) {
  ic_simulator *self = isolate->simulator;
  ic_mutex_lock(&self->mutex);
  self->queued[self->queued_count++] = isolate;
  if (self->sleeps) ic_parker_unpark(self->sleeps);
  ic_mutex_unlock(&self->mutex);
}

static size_t count_queued(ic_simulator *self) {
  ic_mutex_lock(&self->mutex);
  size_t count = self->queued_count;
  ic_mutex_unlock(&self->mutex);
  return count;
}

static ic_isolate *dequeue(ic_simulator *self, size_t place) {
  ic_mutex_lock(&self->mutex);
  ic_isolate *isolate = self->queued[place];
  self->queued[place] = self->queued[--self->queued_count];
  ic_mutex_unlock(&self->mutex);
  return isolate;
}

ic_status ic_simulator_add(ic_simulator *self, ic_isolate *isolate) {
  ic_mutex_lock(&self->mutex);
  ic_status status = reserve(self);
  if (status == IC_OK) self->members++;
  ic_mutex_unlock(&self->mutex);
  if (status != IC_OK) return status;
  isolate->simulator = self;
  isolate->schedule = enqueue;
  ic_mailbox_sleep(&isolate->mailbox);
  return IC_OK;
}

// Queues all whose alarm is due; when the next one will be.
static int64_t ring_alarms(ic_simulator *self) {
  int64_t now_ns = ic_simulator_now_ns(self);
  int64_t next_ns;
  ic_isolate *isolate;
  while ((isolate = ic_alarms_take_due(&self->alarms, now_ns, &next_ns))) {
    ic_isolate_rouse(isolate);
    ic_isolate_release(isolate);
  }
  return next_ns;
}

// --- Turns ------------------------------------------------------------------

// As in the pool: one that is killed is run once more, to see it.
static void settle(ic_simulator *self, ic_isolate *isolate,
                   ic_turn_outcome outcome, int64_t deadline_ns) {
  if (outcome == IC_TURN_WAITS && !atomic_load(&isolate->killed)) {
    if (deadline_ns != IC_NEVER) {
      ic_alarms_set(&self->alarms, isolate, deadline_ns);
    }
    ic_isolate_want(isolate, deadline_ns);
    if (ic_mailbox_sleep(&isolate->mailbox)) return;
  }
  enqueue(isolate);
}

static void end(ic_simulator *self, ic_isolate *isolate) {
  ic_simulator_note(self, isolate, IC_NOTE_END, NULL);
  ic_alarms_remove(&self->alarms, isolate);
  ic_mutex_lock(&self->mutex);
  self->members--;
  ic_mutex_unlock(&self->mutex);
  isolate->finish(isolate);
}

static void run_turn(ic_simulator *self, ic_isolate *isolate) {
  int64_t deadline_ns;
  ic_isolate *outer = ic_turn_current();
  ic_turn_enter(isolate);
  ic_message *chain = ic_isolate_take_now(isolate);
  if (chain && chain->kind == IC_MESSAGE_LOAD) {
    ic_simulator_note(self, isolate, IC_NOTE_LOAD, NULL);
  }
  ic_turn_outcome outcome = ic_turn_run(isolate, chain, &deadline_ns);
  if (outcome == IC_TURN_WAITS) ic_isolate_rest(isolate);
  // First of all: the end frees what an interrupt would use.
  ic_turn_enter(outer);
  if (outcome == IC_TURN_OVER) {
    end(self, isolate);
  } else {
    settle(self, isolate, outcome, deadline_ns);
  }
}

// Everybody is busy without end: that takes time.
static void count_turn(ic_simulator *self) {
  if (++self->restless_turns < RESTLESS_TURNS) return;
  self->restless_turns = 0;
  self->now_ns += RESTLESS_NS;
}

// Does the chore, and queues who is due; when the next is to be done.
static int64_t look_around(ic_simulator *self) {
  int64_t next_ns = self->chore ? self->chore(self->chore_context) : IC_NEVER;
  return earlier(next_ns, ring_alarms(self));
}

bool ic_simulator_run(ic_simulator *self, ic_isolate *driver, bool is_busy,
                      int64_t deadline_ns) {
  for (;;) {
    int64_t next_ns = earlier(look_around(self), deadline_ns);
    bool wants_turn = is_busy || ic_simulator_now_ns(self) >= deadline_ns ||
                      (driver && !ic_mailbox_is_empty(&driver->mailbox));
    size_t queued = count_queued(self);
    if (queued + wants_turn > 0) {
      size_t place = choose(self, queued + wants_turn);
      if (place == queued) return true;
      run_turn(self, dequeue(self, place));
      count_turn(self);
    } else if (next_ns == IC_NEVER) {
      return false;
    } else {
      self->restless_turns = 0;
      pass_time(self, driver, next_ns);
    }
  }
}

void ic_simulator_breathe(ic_simulator *self) {
  while (choose(self, BREATHS_ONE_IN) > 0) {
    look_around(self);
    size_t queued = count_queued(self);
    if (queued == 0) return;
    run_turn(self, dequeue(self, choose(self, queued)));
    count_turn(self);
  }
}

// --- The trace --------------------------------------------------------------

static void forget_half(ic_buffer *trace) {
  uint8_t *half = trace->bytes + trace->size / 2;
  uint8_t *line = memchr(half, '\n', trace->size - trace->size / 2);
  if (!line) return;
  size_t left = trace->size - (size_t)(line + 1 - trace->bytes);
  memmove(trace->bytes, line + 1, left);
  trace->size = left;
}

// Where there is no memory for a word, it is left out.
static void add(ic_simulator *self, const char *text) {
  ic_buffer_append(&self->trace, text, strlen(text));
}

static const char *name_of(ic_message_kind kind) {
  static const char *const names[] = {
      [IC_MESSAGE_VALUE] = "message",      [IC_MESSAGE_REPLY] = "reply",
      [IC_MESSAGE_COMMAND] = "command",    [IC_MESSAGE_LOAD] = "load",
      [IC_MESSAGE_CANCEL] = "cancel",      [IC_MESSAGE_START] = "start",
      [IC_MESSAGE_SPAWNED] = "spawned",    [IC_MESSAGE_UP] = "up",
      [IC_MESSAGE_DOWN] = "down",          [IC_MESSAGE_ENDED] = "ended",
      [IC_MESSAGE_TOKEN] = "message",      [IC_MESSAGE_ROOM] = "room",
      [IC_MESSAGE_SHUTDOWN] = "shutdown",  [IC_MESSAGE_NODE_EMPTY] = "empty",
      [IC_MESSAGE_NODE_DOWN] = "node down"};
  bool is_known = kind < sizeof names / sizeof names[0] && names[kind];
  return is_known ? names[kind] : "event";
}

static void add_message(ic_simulator *self, const ic_message *message) {
  add(self, name_of(message->kind));
  if (message->type_size > 0) {
    add(self, " '");
    add(self, ic_message_type_bytes(message));
    add(self, "'");
  }
  if (message->sender) {
    add(self, " from ");
    add(self, message->sender->path);
  }
}

static void add_note(ic_simulator *self, const ic_isolate *isolate,
                     ic_note note, const ic_message *message) {
  switch (note) {
    case IC_NOTE_LOAD:
      add(self, " loads");
      return;
    case IC_NOTE_MESSAGE:
      add(self, " handles ");
      add_message(self, message);
      return;
    case IC_NOTE_TIMER:
      add(self, " handles timer");
      return;
    case IC_NOTE_END:
      add(self, " ends");
      if (!isolate->body->reason) return;
      add(self, ": ");
      add(self, isolate->body->reason);
  }
}

void ic_simulator_note(ic_simulator *self, const ic_isolate *isolate,
                       ic_note note, const ic_message *message) {
  if (self->trace.size > TRACE_BYTES) forget_half(&self->trace);
  add(self, isolate->path);
  add_note(self, isolate, note, message);
  add(self, "\n");
}

const ic_buffer *ic_simulator_trace(const ic_simulator *self) {
  return &self->trace;
}
