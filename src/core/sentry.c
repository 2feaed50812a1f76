// sentry.c - looks, and asks those that are stuck where they are.

#include "core/sentry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/wait.h"

enum {
  LOOKS = 8,  // in the time that is waited for
  SHORTEST_TICK_MS = 5,
  LONGEST_TICK_MS = 500,
  SAMPLE_MS = 100,  // that an interrupted thread runs at most to the next
                    // instruction,
  RUN_MS = 5000,    // and so long it may take until it has
  REPORTS_MAX = 16  // of one look
};

void ic_sentry_init(ic_sentry *sentry, ic_scheduler *scheduler,
                    int64_t after_ns, ic_sentry_function tell, void *context) {
  *sentry = (ic_sentry){.scheduler = scheduler,
                        .after_ns = after_ns,
                        .tell = tell,
                        .context = context};
  atomic_init(&sentry->sleeps, true);
  ic_parker_init(&sentry->parker);
  ic_mutex_init(&sentry->mutex);
}

void ic_sentry_add(ic_sentry *sentry, ic_isolate *isolate) {
  if (sentry->after_ns == 0 || sentry->scheduler->simulator) return;
  isolate->post.complain = isolate->body->class->complain;
  isolate->post.is_guarded = true;
}

// --- Where a thread is blocked ----------------------------------------------

static const char *name_of_call(long number) {
  switch (number) {
    case SYS_read:
      return "read";
    case SYS_write:
      return "write";
    case SYS_wait4:
      return "wait4";
    case SYS_futex:
      return "futex";
    case SYS_clock_nanosleep:
      return "clock_nanosleep";
    case SYS_nanosleep:
      return "nanosleep";
    case SYS_ppoll:
      return "ppoll";
    case SYS_pselect6:
      return "pselect6";
    case SYS_epoll_pwait:
      return "epoll_pwait";
    case SYS_recvfrom:
      return "recvfrom";
    case SYS_recvmsg:
      return "recvmsg";
    case SYS_sendto:
      return "sendto";
    case SYS_connect:
      return "connect";
    case SYS_accept4:
      return "accept4";
    case SYS_openat:
      return "openat";
    case SYS_fsync:
      return "fsync";
#ifdef SYS_poll
    case SYS_poll:
      return "poll";
    case SYS_select:
      return "select";
    case SYS_accept:
      return "accept";
    case SYS_epoll_wait:
      return "epoll_wait";
#endif
    default:
      return NULL;
  }
}

// For how long the thread has had a core; -1: the system does not say.
static int64_t time_of_thread(int id) {
  char line[64];
  if (!ic_thread_read_file(id, "schedstat", line, sizeof line)) return -1;
  return strtoll(line, NULL, 10);
}

static const char *find_call(int thread_id) {
  char line[64];
  if (!ic_thread_read_file(thread_id, "syscall", line, sizeof line))
    return NULL;
  char *end;
  long number = strtol(line, &end, 10);
  return end == line ? NULL : name_of_call(number);
}

// --- Reports ----------------------------------------------------------------

typedef struct {
  ic_isolate *isolate;
  int64_t for_ns;
  bool in_turn;
} finding;

static void tell(ic_sentry *sentry, const finding *found, const char *kind,
                 const char *what, const char *where) {
  char text[2048];
  double seconds = (double)found->for_ns / 1e9;
  snprintf(text, sizeof text, "%s %s for %.1f s%s%s", found->isolate->path,
           what, seconds, *where == ' ' ? "" : " ", where);
  ic_stuck stuck = {found->isolate, kind, seconds, text};
  sentry->tell(sentry->context, &stuck);
}

static void tell_blocked(ic_sentry *sentry, const finding *found,
                         int thread_id) {
  char where[256];
  const char *name = atomic_load(&found->isolate->post.c_function);
  const char *call = find_call(thread_id);
  snprintf(where, sizeof where, "in %s%s%s%s", name ? name : "a C function",
           call ? " (system call " : "", call ? call : "", call ? ")" : "");
  tell(sentry, found, IC_STUCK_BLOCKED, "blocked", where);
}

// Where the thread, which was interrupted, is; NULL: it has run for long and did not
// say so. Where cores are scarce it may have to wait for one.
static char *wait_for_sample(ic_sentry *sentry, ic_post *post, int thread_id) {
  char *sample = NULL;
  int64_t began_ns = ic_now_ns();
  int64_t ran_ns = time_of_thread(thread_id);
  bool may_come = true;
  while (!sample && may_come && !atomic_load(&sentry->stopping) &&
         atomic_load(&post->turns) == post->seen_turns) {
    ic_parker_park(&sentry->parker, ic_deadline_ns(1));
    int64_t waited_ms = (ic_now_ns() - began_ns) / IC_NS_PER_MS;
    int64_t more_ns = time_of_thread(thread_id) - ran_ns;
    may_come = ran_ns < 0
                   ? waited_ms < SAMPLE_MS
                   : more_ns < SAMPLE_MS * IC_NS_PER_MS && waited_ms < RUN_MS;
    sample = atomic_exchange(&post->sample, NULL);
  }
  return sample;
}

static void tell_busy(ic_sentry *sentry, const finding *found, int thread_id) {
  ic_post *post = &found->isolate->post;
  free(atomic_exchange(&post->sample, NULL));
  atomic_store(&post->wants_sample, true);
  ic_scheduler_poke(sentry->scheduler, found->isolate);
  char *sample = wait_for_sample(sentry, post, thread_id);
  atomic_store(&post->wants_sample, false);
  if (!sample) sample = atomic_exchange(&post->sample, NULL);
  tell(sentry, found, IC_STUCK_LOOP, "busy",
       sample ? sample : "in a C function that computes");
  free(sample);
}

static void ask_waiting(const finding *found) {
  ic_message *probe = ic_message_new_event(IC_MESSAGE_PROBE);
  if (!probe) return;
  probe->request = (uint64_t)found->for_ns;
  if (ic_isolate_push(found->isolate, probe) != IC_OK) ic_message_free(probe);
}

void ic_sentry_tell_waiting(ic_sentry *sentry, const ic_message *probe,
                            ic_isolate *isolate, const char *where) {
  finding found = {isolate, (int64_t)probe->request, false};
  tell(sentry, &found, IC_STUCK_WAITING, "waits", where);
}

static void report(ic_sentry *sentry, const finding *found) {
  int thread_id = atomic_load(&found->isolate->post.thread_id);
  if (!found->in_turn) {
    ask_waiting(found);
  } else if (ic_thread_is_blocked(thread_id)) {
    tell_blocked(sentry, found, thread_id);
  } else {
    tell_busy(sentry, found, thread_id);
  }
}

// --- Looking ----------------------------------------------------------------

// Whether it waits for an answer, can do nothing else, and has unread messages.
static bool waits_in_vain(ic_isolate *isolate, uint64_t handled) {
  if (ic_counted(&isolate->mailbox.pushed) <= handled) return false;
  return ic_wait_stands(isolate);
}

// True if there may be something to tell of [isolate] now or later. Fills in [out]
// where it is now.
static bool look_at(const ic_sentry *sentry, ic_isolate *isolate,
                    finding *out) {
  ic_post *post = &isolate->post;
  uint64_t turns = atomic_load_explicit(&post->turns, memory_order_acquire);
  uint64_t handled = ic_counted(&isolate->handled);
  bool in_turn = turns % 2 == 1;
  if (!in_turn && !waits_in_vain(isolate, handled)) return false;
  int64_t now_ns = ic_now_ns();
  if (turns != post->seen_turns || handled != post->seen_handled) {
    post->seen_turns = turns;
    post->seen_handled = handled;
    post->since_ns = now_ns;
    post->next_ns = now_ns + sentry->after_ns;
  }
  if (now_ns >= post->next_ns) {
    int64_t for_ns = now_ns - post->since_ns;
    post->next_ns = now_ns + for_ns;
    *out = (finding){isolate, for_ns, in_turn};
  }
  return true;
}

// Takes over who has told of a turn. One that it still had tells again where it had
// been found idle.
static void welcome(ic_sentry *sentry) {
  ic_isolate *isolate = atomic_exchange(&sentry->told, NULL);
  while (isolate) {
    ic_post *post = &isolate->post;
    ic_isolate *next = post->next_told;
    atomic_store(&post->is_told, false);  // from here on it may tell again
    if (post->is_listed) {
      ic_isolate_release(isolate);
    } else {
      post->is_listed = true;
      post->next_known = sentry->known;
      sentry->known = isolate;
    }
    isolate = next;
  }
}

// Forgets the isolate at [link].
static void forget(ic_isolate **link) {
  ic_isolate *isolate = *link;
  *link = isolate->post.next_known;
  isolate->post.is_listed = false;
  ic_isolate_release(isolate);
}

static void look(ic_sentry *sentry) {
  int reports = 0;
  welcome(sentry);
  ic_isolate **link = &sentry->known;
  while (*link && reports < REPORTS_MAX) {
    finding found = {NULL, 0, false};
    ic_post *post = &(*link)->post;
    bool is_active = look_at(sentry, *link, &found);
    bool was_idle = !atomic_load(&post->is_known);
    bool is_over = ic_mailbox_is_closed(&(*link)->mailbox);
    if (!is_active && (was_idle || is_over)) {
      forget(link);
      continue;
    }
    if (is_active == was_idle) atomic_store(&post->is_known, is_active);
    if (found.isolate) {
      reports++;
      report(sentry, &found);
    }
    link = &post->next_known;
  }
}

static int64_t tick_ms(const ic_sentry *sentry) {
  int64_t tick = sentry->after_ns / IC_NS_PER_MS / LOOKS;
  if (tick < SHORTEST_TICK_MS) return SHORTEST_TICK_MS;
  return tick < LONGEST_TICK_MS ? tick : LONGEST_TICK_MS;
}

// Sleeps without ticks from here on, if there is nobody to look at. Who tells of a
// turn afterwards sees that; who did before is seen.
static bool fall_asleep(ic_sentry *sentry) {
  if (sentry->known) return false;
  atomic_store(&sentry->sleeps, true);
  if (!atomic_load(&sentry->told)) return true;
  atomic_store(&sentry->sleeps, false);
  return false;
}

static void *run(void *argument) {
  ic_sentry *sentry = argument;
  while (!atomic_load(&sentry->stopping)) {
    look(sentry);
    ic_parker_park(&sentry->parker, fall_asleep(sentry)
                                        ? IC_NEVER
                                        : ic_deadline_ns(tick_ms(sentry)));
  }
  return NULL;
}

static void rouse(ic_sentry *sentry) {
  if (!atomic_exchange(&sentry->sleeps, false)) return;
  ic_mutex_lock(&sentry->mutex);
  if (!sentry->has_thread && !atomic_load(&sentry->stopping)) {
    sentry->has_thread = ic_thread_start(&sentry->thread, IC_SMALL_STACK_BYTES,
                                         run, sentry) == IC_OK;
    if (!sentry->has_thread) atomic_store(&sentry->sleeps, true);
  }
  ic_mutex_unlock(&sentry->mutex);
  ic_parker_unpark(&sentry->parker);
}

void ic_sentry_tell_turn(ic_sentry *sentry, ic_isolate *isolate) {
  ic_post *post = &isolate->post;
  atomic_store(&post->is_known, true);
  // A look may have found it idle before it has taken over the last word of it.
  if (atomic_exchange(&post->is_told, true)) return;
  ic_isolate_hold(isolate);
  post->next_told = atomic_load_explicit(&sentry->told, memory_order_relaxed);
  while (
      !atomic_compare_exchange_weak(&sentry->told, &post->next_told, isolate))
    ;
  if (atomic_load(&sentry->sleeps)) rouse(sentry);
}

static void forget_all(ic_sentry *sentry) {
  welcome(sentry);
  while (sentry->known)
    forget(&sentry->known);
}

void ic_sentry_stop(ic_sentry *sentry) {
  ic_mutex_lock(&sentry->mutex);
  atomic_store(&sentry->stopping, true);
  bool had_thread = sentry->has_thread;
  sentry->has_thread = false;
  ic_thread thread = sentry->thread;
  ic_mutex_unlock(&sentry->mutex);
  if (had_thread) {
    ic_parker_unpark(&sentry->parker);
    ic_thread_join(thread);
  }
  forget_all(sentry);
}

void ic_sentry_fini(ic_sentry *sentry) {
  forget_all(sentry);  // told of by threads that outlived the shutdown
  ic_mutex_fini(&sentry->mutex);
}
