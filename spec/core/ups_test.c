// ups_test.c - what those that start hear of each other, once they ask.

#include "core/ups.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "failing.h"

static ic_ups ups;
static uint64_t version;

// An isolate that starts, with one user.
static ic_isolate *begin(const char *path) {
  ic_isolate *isolate = NULL;
  ic_ups_waste waste = {0};
  if (ic_isolate_new(path, &isolate) != IC_OK) return NULL;
  ic_ups_add_locked(&ups, isolate, ++version, &waste);
  ic_ups_free(&waste);
  if (ic_ups_begin_locked(&ups, isolate) == IC_OK) return isolate;
  ic_isolate_release(isolate);
  return NULL;
}

// The paths that [isolate] hears of, each behind a space; "?" where their numbers
// do not rise.
static const char *heard(ic_isolate *isolate) {
  static char text[200];
  ic_ups_waste waste = {0};
  ic_message *events = NULL;
  ic_ups_end_locked(&ups, isolate, &waste, &events);
  ic_ups_free(&waste);
  uint64_t last = 0;
  text[0] = '\0';
  for (ic_message *at = events; at; at = at->next) {
    size_t size = strlen(text);
    snprintf(text + size, sizeof text - size, "%s%s",
             at->request > last ? " " : "?", at->sender->path);
    last = at->request;
  }
  ic_message_free_chain(events);
  return text;
}

static void forget(ic_isolate *isolate) {
  ic_ups_waste waste = {0};
  ic_ups_end_locked(&ups, isolate, &waste, NULL);
  ic_ups_free(&waste);
}

// True if nobody but the caller counts [isolate].
static bool release_last(ic_isolate *isolate) {
  bool is_last = atomic_load(&isolate->users) == 1;
  ic_isolate_release(isolate);
  return is_last;
}

static void each_hears_of_all_that_came_after_it(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  CHECK(strcmp(heard(b), " /c") == 0);
  ic_isolate *d = begin("/d");
  CHECK(strcmp(heard(a), " /b /c /d") == 0);
  CHECK(strcmp(heard(c), " /d") == 0);
  CHECK(strcmp(heard(d), "") == 0);
  CHECK(release_last(a) && release_last(b) && release_last(c));
  CHECK(release_last(d));
}

static void it_is_heard_once(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b");
  CHECK(strcmp(heard(a), " /b") == 0);
  CHECK(strcmp(heard(a), "") == 0);
  forget(b);
  CHECK(release_last(a) && release_last(b));
}

static void nothing_is_kept_for_nobody(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  forget(b);
  CHECK(atomic_load(&b->users) == 2);  // the first may ask
  forget(a);
  CHECK(release_last(a) && release_last(b));
  forget(c);
  CHECK(!ups.newest);
  CHECK(release_last(c));
}

static void without_memory_an_up_is_left_out(void) {
  ic_isolate *a = begin("/a");
  ic_isolate *lost = NULL;
  ic_ups_waste waste = {0};
  CHECK(ic_isolate_new("/lost", &lost) == IC_OK);
  failing_at(0);
  ic_ups_add_locked(&ups, lost, ++version, &waste);
  CHECK(failing_stop());
  ic_isolate *b = begin("/b");
  CHECK(strcmp(heard(a), " /b") == 0);
  forget(b);
  CHECK(release_last(a) && release_last(b) && release_last(lost));
}

static void without_memory_nobody_begins(void) {
  ic_isolate *a = NULL;
  CHECK(ic_isolate_new("/a", &a) == IC_OK);
  failing_at(0);
  CHECK(ic_ups_begin_locked(&ups, a) == IC_MEMORY);
  CHECK(failing_stop());
  CHECK(!a->heard_up && !ups.newest);
  ic_isolate_release(a);
}

int main(void) {
  RUN(each_hears_of_all_that_came_after_it);
  RUN(it_is_heard_once);
  RUN(nothing_is_kept_for_nobody);
  RUN(without_memory_an_up_is_left_out);
  RUN(without_memory_nobody_begins);
  return check_report("ups");
}
