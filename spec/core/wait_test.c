// wait_test.c - cycles of isolates that wait for each other: found where they are,
// and nowhere else.

#include "core/wait.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "failing.h"

enum { COUNT = 4, PATIENCE_MS = 10000 };

static ic_isolate *isolates[COUNT];

static void set_up(void) {
  static const char *const paths[COUNT] = {"/a", "/b", "/c", "/d"};
  for (int i = 0; i < COUNT; i++) {
    isolates[i] = NULL;
    ic_isolate_new(paths[i], &isolates[i]);
  }
}

static void tear_down(void) {
  for (int i = 0; i < COUNT; i++)
    ic_isolate_release(isolates[i]);
}

// Isolate [i] waits for [on] with the request 10 + i.
static void wait_for(int i, int on, int64_t deadline_ns) {
  ic_wait_begin(isolates[i], isolates[on], 10 + (uint64_t)i, deadline_ns);
}

static bool look(int i) {
  return ic_wait_tell_deadlock(isolates[i]);
}

// Whether isolate [i] is told that its request is a deadlock with this text; NULL:
// it is told nothing.
static bool hears(int i, const char *text) {
  ic_message *told = ic_isolate_take(isolates[i], 0);
  if (!told || !text) {
    bool is_right = !told && !text;
    ic_message_free_chain(told);
    return is_right;
  }
  bool is_right = !told->next && told->kind == IC_MESSAGE_REPLY &&
                  told->status == IC_DEADLOCK &&
                  told->request == 10 + (uint64_t)i && told->text &&
                  strcmp(told->text, text) == 0;
  ic_message_free_chain(told);
  return is_right;
}

static void a_cycle_is_told_to_who_gives_up_first(void) {
  set_up();
  wait_for(0, 1, 300);
  CHECK(!look(0));
  wait_for(1, 2, 200);
  CHECK(!look(1));
  wait_for(2, 0, 400);
  CHECK(look(2));
  CHECK(hears(0, NULL) && hears(2, NULL));
  CHECK(hears(1, "deadlock: /b -> /c -> /a -> /b"));
  tear_down();
}

static void one_that_waits_for_itself_is_a_cycle(void) {
  set_up();
  wait_for(0, 0, IC_NEVER);
  CHECK(look(0));
  CHECK(hears(0, "deadlock: /a -> /a"));
  tear_down();
}

static void who_waits_for_a_cycle_is_in_none(void) {
  set_up();
  wait_for(0, 1, 300);
  wait_for(1, 0, 300);
  wait_for(2, 0, 100);
  CHECK(!look(2));
  CHECK(hears(0, NULL) && hears(1, NULL) && hears(2, NULL));
  tear_down();
}

static void a_record_that_has_ended_is_in_none(void) {
  set_up();
  wait_for(0, 1, 300);
  wait_for(1, 0, 300);
  ic_wait_end(isolates[0]);
  CHECK(!look(1));
  CHECK(hears(0, NULL) && hears(1, NULL));
  tear_down();
}

// An answer that is on its way ends the wait of who gets it.
static void a_message_on_its_way_makes_it_none(void) {
  for (int to = 0; to < 2; to++) {
    set_up();
    wait_for(0, 1, 300);
    wait_for(1, 0, 300);
    ic_message *message = ic_message_new_event(IC_MESSAGE_REPLY);
    CHECK(ic_isolate_push(isolates[to], message) == IC_OK);
    CHECK(!look(1));
    ic_message_free_chain(ic_isolate_take(isolates[to], 0));
    CHECK(!look(1));  // taken, but the record has not ended yet
    tear_down();
  }
}

static void what_came_before_is_no_matter(void) {
  set_up();
  ic_isolate_push(isolates[0], ic_message_new_event(IC_MESSAGE_START));
  ic_message_free_chain(ic_isolate_take(isolates[0], 0));
  wait_for(0, 1, 300);
  wait_for(1, 0, 400);
  CHECK(look(1));
  CHECK(hears(0, "deadlock: /a -> /b -> /a"));
  tear_down();
}

static void no_memory_tells_nothing(void) {
  set_up();
  wait_for(0, 0, 300);
  for (int n = 0; failing_at(n); n++) {
    CHECK(look(0));
    CHECK(hears(0, failing_stop() ? NULL : "deadlock: /a -> /a"));
    wait_for(0, 0, 300);
  }
  tear_down();
}

// --- At once ----------------------------------------------------------------
//
// Each thread asks a random other one, again and again, and serves nobody while it
// waits. Nobody ever gives up, so all of them come to their end only if each
// deadlock is told; and what is told must not have been answered.

enum { ROUNDS = 3000 };

static _Atomic uint64_t
    answered[COUNT];  // the newest request of each, answered
static _Atomic int done_count;
static _Atomic bool was_wrong;
static _Atomic unsigned deadlocks;

static void answer(ic_isolate *self, ic_message *question) {
  ic_isolate *asker = question->sender;
  int i = asker->path[1] - 'a';
  uint64_t request = question->request;
  (void)self;
  atomic_store(&answered[i], request);
  question->sender = NULL;
  question->kind = IC_MESSAGE_REPLY;
  if (ic_isolate_push(asker, question) != IC_OK) ic_message_free(question);
  ic_isolate_release(asker);
}

static void keep(ic_message **kept, ic_message *message) {
  while (*kept)
    kept = &(*kept)->next;
  message->next = NULL;
  *kept = message;
}

// Takes what came; true if the request is over. Questions are kept.
static bool read_all(int i, uint64_t request, ic_message *chain,
                     ic_message **kept) {
  bool over = false;
  while (chain) {
    ic_message *message = chain;
    chain = chain->next;
    message->next = NULL;
    if (message->kind == IC_MESSAGE_VALUE) {
      keep(kept, message);
      continue;
    }
    if (message->kind == IC_MESSAGE_REPLY && message->request == request &&
        !over) {
      over = true;
      if (message->status == IC_DEADLOCK) {
        atomic_fetch_add(&deadlocks, 1);
        if (atomic_load(&answered[i]) == request)
          atomic_store(&was_wrong, true);
      }
    }
    ic_message_free(message);
  }
  return over;
}

static void serve(ic_isolate *self, ic_message **kept) {
  while (*kept) {
    ic_message *question = *kept;
    *kept = question->next;
    question->next = NULL;
    answer(self, question);
  }
}

static void *ask_and_serve(void *argument) {
  ic_isolate *self = argument;
  int i = self->path[1] - 'a';
  unsigned seed = (unsigned)i + 1;
  ic_message *kept = NULL;
  for (uint64_t round = 1; round <= ROUNDS; round++) {
    ic_isolate *on = isolates[rand_r(&seed) % COUNT];
    ic_message *question = ic_message_new_event(IC_MESSAGE_VALUE);
    question->request = round;
    question->sender = ic_isolate_hold(self);
    ic_isolate_push(on, question);
    bool over = false;
    while (!over) {
      over = read_all(i, round, ic_isolate_take(self, 0), &kept);
      if (over) break;
      // Each round its own deadline, so that any may be the first; often the same
      // as another's.
      ic_wait_begin(self, on, round, rand_r(&seed) % 4);
      ic_wait_tell_deadlock(self);
      ic_message *chain = NULL;
      int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
      while (!chain && ic_now_ns() < deadline_ns) {
        chain = ic_isolate_take(self, deadline_ns);
      }
      if (!chain) {
        atomic_store(&was_wrong, true);
        over = true;
      }
      ic_wait_end(self);
      over |= read_all(i, round, chain, &kept);
    }
    serve(self, &kept);
  }
  atomic_fetch_add(&done_count, 1);
  while (atomic_load(&done_count) < COUNT) {
    read_all(i, 0, ic_isolate_take(self, ic_deadline_ns(1)), &kept);
    serve(self, &kept);
  }
  serve(self, &kept);
  return NULL;
}

static void threads_that_ask_each_other_all_come_to_an_end(void) {
  set_up();
  ic_thread threads[COUNT];
  for (int i = 0; i < COUNT; i++) {
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, ask_and_serve,
                          isolates[i]) == IC_OK);
  }
  for (int i = 0; i < COUNT; i++)
    ic_thread_join(threads[i]);
  CHECK(!atomic_load(&was_wrong));
  CHECK(atomic_load(&deadlocks) > 0);
  tear_down();
}

int main(void) {
  RUN(a_cycle_is_told_to_who_gives_up_first);
  RUN(one_that_waits_for_itself_is_a_cycle);
  RUN(who_waits_for_a_cycle_is_in_none);
  RUN(a_record_that_has_ended_is_in_none);
  RUN(a_message_on_its_way_makes_it_none);
  RUN(what_came_before_is_no_matter);
  RUN(no_memory_tells_nothing);
  RUN(threads_that_ask_each_other_all_come_to_an_end);
  return check_report("wait");
}
