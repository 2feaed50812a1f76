// scheduler.c - own threads: start, run to the end, kill, join.

#include "core/scheduler.h"

#include <assert.h>
#include <errno.h>

// The isolate that this thread runs, for the signal handler.
static _Thread_local ic_isolate *volatile current;

static void on_interrupt(int signal) {
  (void)signal;
  int saved = errno;
  ic_isolate *isolate = current;
  if (isolate && atomic_load(&isolate->killed)) {
    isolate->body->class->interrupt(isolate->body);
  }
  errno = saved;
}

void ic_scheduler_init(ic_scheduler *scheduler) {
  ic_thread_on_interrupt(on_interrupt);
  *scheduler = (ic_scheduler){0};
  ic_mutex_init(&scheduler->mutex);
  ic_condition_init(&scheduler->left);
}

void ic_scheduler_fini(ic_scheduler *scheduler) {
  assert(scheduler->running == 0);
  if (scheduler->has_ended) {
    // The last thread to leave may be the one that frees the cluster.
    if (ic_thread_is_self(scheduler->ended)) {
      ic_thread_detach_self();
    } else {
      ic_thread_join(scheduler->ended);
    }
  }
  ic_condition_fini(&scheduler->left);
  ic_mutex_fini(&scheduler->mutex);
}

// --- The list of isolates whose thread runs; all with the mutex held --------

static void link_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  isolate->thread_runs = true;
  isolate->previous_thread = NULL;
  isolate->next_thread = scheduler->newest;
  if (scheduler->newest) scheduler->newest->previous_thread = isolate;
  scheduler->newest = isolate;
  scheduler->running++;
}

static void unlink_locked(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_isolate *previous = isolate->previous_thread;
  ic_isolate *next = isolate->next_thread;
  *(previous ? &previous->next_thread : &scheduler->newest) = next;
  if (next) next->previous_thread = previous;
  isolate->thread_runs = false;
  scheduler->running--;
}

// --- A thread's life --------------------------------------------------------

// Takes the thread from the list and joins the one that left before it. An
// abandoned thread was taken from there already, and nobody waits for it.
static void leave(ic_scheduler *scheduler, ic_isolate *isolate) {
  ic_mutex_lock(&scheduler->mutex);
  bool was_abandoned = !isolate->thread_runs;
  bool had_ended = scheduler->has_ended && !was_abandoned;
  ic_thread ended = scheduler->ended;
  if (!was_abandoned) {
    unlink_locked(scheduler, isolate);
    scheduler->has_ended = true;
    scheduler->ended = ic_thread_self();
    if (scheduler->running == 0) ic_condition_broadcast(&scheduler->left);
  }
  ic_mutex_unlock(&scheduler->mutex);
  if (was_abandoned) ic_thread_detach_self();
  if (had_ended) ic_thread_join(ended);
}

// Waits for the first message, which says what to do; nothing comes before that
// is done. False: the isolate is over, or was abandoned, before it began.
static bool begin(ic_isolate *isolate, ic_message **chain) {
  do {
    *chain = ic_isolate_take(isolate, IC_NEVER);
    if (!*chain && ic_mailbox_is_closed(&isolate->mailbox)) return false;
  } while (!*chain);
  ic_message_kind kind = (*chain)->kind;
  if (kind != IC_MESSAGE_LOAD && kind != IC_MESSAGE_CANCEL) return true;
  if (!isolate->life->load(isolate, *chain)) return false;
  // The publishing has put its start there, if nobody has closed it since.
  *chain = ic_mailbox_take(&isolate->mailbox);
  return *chain != NULL;
}

static void run_to_end(ic_isolate *isolate) {
  ic_message *chain;
  if (!begin(isolate, &chain)) return;
  for (;;) {
    int64_t deadline_ns = IC_NEVER;
    if (!isolate->body->class->run(isolate->body, chain, &deadline_ns)) return;
    chain = ic_isolate_take(isolate, deadline_ns);
    // Abandoned: nothing will ever come, and nobody asks for it any more.
    if (!chain && ic_mailbox_is_closed(&isolate->mailbox)) return;
  }
}

static void *own_thread(void *argument) {
  ic_isolate *isolate = argument;
  ic_cluster *cluster = isolate->cluster;
  ic_scheduler *scheduler = isolate->scheduler;
  current = isolate;
  ic_thread_admit_interrupts();
  ic_mutex_lock(&scheduler->mutex);
  isolate->thread = ic_thread_self();
  isolate->thread_known = true;
  ic_mutex_unlock(&scheduler->mutex);
  run_to_end(isolate);
  current = NULL;  // first of all: the end frees what an interrupt would use
  const ic_life *life = isolate->life;
  life->end(isolate);
  leave(scheduler, isolate);
  ic_isolate_release(isolate);
  life->left(cluster);
  return NULL;
}

ic_status ic_scheduler_start(ic_scheduler *scheduler, ic_isolate *isolate) {
  isolate->scheduler = scheduler;
  ic_mutex_lock(&scheduler->mutex);
  link_locked(scheduler, isolate);
  ic_mutex_unlock(&scheduler->mutex);
  ic_thread thread;
  ic_status status =
      ic_thread_start(&thread, IC_THREAD_STACK_BYTES, own_thread, isolate);
  if (status == IC_OK) return IC_OK;
  ic_mutex_lock(&scheduler->mutex);
  // A shutdown that had no more time may have abandoned it already.
  if (isolate->thread_runs) unlink_locked(scheduler, isolate);
  if (scheduler->running == 0) ic_condition_broadcast(&scheduler->left);
  ic_mutex_unlock(&scheduler->mutex);
  return status;
}

// --- Stopping ---------------------------------------------------------------

// The signals are sent under the mutex: that keeps every thread in the list
// from leaving, so each exists when its signal is sent.
void ic_scheduler_kill_all(ic_scheduler *scheduler) {
  ic_mutex_lock(&scheduler->mutex);
  for (ic_isolate *isolate = scheduler->newest; isolate;
       isolate = isolate->next_thread) {
    atomic_store(&isolate->killed, true);
    ic_isolate_wake(isolate);
    if (isolate->thread_known) ic_thread_interrupt(isolate->thread);
  }
  ic_mutex_unlock(&scheduler->mutex);
}

ic_isolate *ic_scheduler_abandon(ic_scheduler *scheduler) {
  ic_mutex_lock(&scheduler->mutex);
  ic_isolate *isolate = scheduler->newest;
  if (isolate) {
    ic_isolate_hold(isolate);
    unlink_locked(scheduler, isolate);
  }
  ic_mutex_unlock(&scheduler->mutex);
  return isolate;
}

void ic_scheduler_join(ic_scheduler *scheduler, int64_t deadline_ns) {
  ic_mutex_lock(&scheduler->mutex);
  while (scheduler->running > 0 &&
         ic_condition_wait(&scheduler->left, &scheduler->mutex, deadline_ns)) {
  }
  while (scheduler->newest)
    unlink_locked(scheduler, scheduler->newest);
  bool has_ended = scheduler->has_ended;
  ic_thread ended = scheduler->ended;
  scheduler->has_ended = false;
  ic_mutex_unlock(&scheduler->mutex);
  if (has_ended) ic_thread_join(ended);
}

void ic_scheduler_adopt(ic_isolate *isolate) {
  current = isolate;
}
