// changes_test.c - what those that start hear of each other, once they ask.

#include "core/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "failing.h"

static ic_changes changes;
static uint64_t moment;

static void add(ic_isolate *isolate, ic_message_kind kind) {
  ic_ref_list waste = {0};
  ic_changes_add_locked(&changes, isolate, kind, ++moment, &waste);
  ic_ref_list_fini(&waste);
}

// An isolate that starts, with one user.
static ic_isolate *begin(const char *path) {
  ic_isolate *isolate = NULL;
  if (ic_isolate_new(path, &isolate) != IC_OK) return NULL;
  add(isolate, IC_MESSAGE_UP);
  ic_changes_begin_locked(&changes, isolate);
  return isolate;
}

static ic_message *take(ic_isolate *isolate, unsigned watches) {
  ic_ref_list waste = {0};
  ic_message *events =
      ic_changes_end_locked(&changes, isolate, watches, &waste);
  ic_ref_list_fini(&waste);
  return events;
}

static void forget(ic_isolate *isolate) {
  CHECK(!take(isolate, 0));
}

static void end(ic_isolate *isolate) {
  forget(isolate);
  isolate->reason = "done";
  add(isolate, IC_MESSAGE_DOWN);
}

// What [isolate] hears of: " +/path", " -/path reason"; "?" where their moments do
// not rise.
static const char *heard(ic_isolate *isolate, unsigned watches) {
  static char text[200];
  ic_message *events = take(isolate, watches);
  uint64_t last = 0;
  text[0] = '\0';
  for (ic_message *at = events; at; at = at->next) {
    size_t size = strlen(text);
    bool is_down = at->kind == IC_MESSAGE_DOWN;
    snprintf(text + size, sizeof text - size, "%s%s%s%s%s",
             at->request > last ? " " : "?", is_down ? "-" : "+",
             at->sender->path, is_down ? " " : "", is_down ? at->reason : "");
    last = at->request;
  }
  ic_message_free_chain(events);
  return text;
}

enum { ALL = IC_WATCH_UP | IC_WATCH_DOWN };

// True if nobody but the caller counts [isolate].
static bool release_last(ic_isolate *isolate) {
  bool is_last = atomic_load(&isolate->mailbox.users) == 1;
  ic_isolate_release(isolate);
  return is_last;
}

static void each_hears_of_all_that_came_after_it(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  CHECK(strcmp(heard(b, ALL), " +/c") == 0);
  ic_isolate *d = begin("/d");
  CHECK(strcmp(heard(a, ALL), " +/b +/c +/d") == 0);
  CHECK(strcmp(heard(c, ALL), " +/d") == 0);
  CHECK(strcmp(heard(d, ALL), "") == 0);
  CHECK(release_last(a) && release_last(b) && release_last(c));
  CHECK(release_last(d));
}

static void each_hears_of_all_that_ended_after_it(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  end(b);
  ic_isolate *d = begin("/d");
  end(c);
  CHECK(strcmp(heard(d, ALL), " -/c done") == 0);
  CHECK(strcmp(heard(a, ALL), " +/b +/c -/b done +/d -/c done") == 0);
  CHECK(release_last(a) && release_last(b) && release_last(c));
  CHECK(release_last(d));
}

static void each_hears_of_what_it_watches(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  end(c);
  CHECK(strcmp(heard(a, IC_WATCH_DOWN), " -/c done") == 0);
  CHECK(strcmp(heard(b, IC_WATCH_UP), " +/c") == 0);
  CHECK(release_last(a) && release_last(b) && release_last(c));
}

static void it_is_heard_once(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b");
  CHECK(strcmp(heard(a, ALL), " +/b") == 0);
  CHECK(strcmp(heard(a, ALL), "") == 0);
  forget(b);
  CHECK(release_last(a) && release_last(b));
}

static void nothing_is_kept_for_nobody(void) {
  ic_isolate *a = begin("/a"), *b = begin("/b"), *c = begin("/c");
  forget(b);
  CHECK(atomic_load(&b->mailbox.users) == 2);  // the first may ask
  forget(a);
  CHECK(release_last(a) && release_last(b));
  forget(c);
  CHECK(changes.count == 0 && changes.starting == 0 && changes.bytes == 0);
  CHECK(changes.up_to_date == 0);
  CHECK(release_last(c));
}

// [count] isolates come and go, each with an error of so many bytes.
static void come_and_go(int count, size_t error_bytes) {
  static char text[IC_ERROR_MOST_BYTES];
  for (int i = 0; i < count; i++) {
    char path[20];
    snprintf(path, sizeof path, "/%d", i);
    ic_isolate *isolate = begin(path);
    isolate->error = ic_error_new(text, error_bytes, text, 0);
    end(isolate);
    ic_isolate_release(isolate);
  }
}

static void many_are_heard_in_order(void) {
  enum { COUNT = 5000 };
  ic_isolate *first = begin("/first");
  come_and_go(COUNT, 0);
  ic_message *events = take(first, ALL);
  int count = 0;
  for (ic_message *at = events; at; at = at->next, count++) {
    CHECK(at->kind == (count % 2 ? IC_MESSAGE_DOWN : IC_MESSAGE_UP));
    CHECK(atoi(at->sender->path + 1) == count / 2);
  }
  CHECK(count == 2 * COUNT);
  ic_message_free_chain(events);
  CHECK(changes.capacity < COUNT);
  CHECK(release_last(first));
}

static void of_too_many_the_oldest_are_forgotten(void) {
  enum { FITTING = IC_CHANGES_BYTES_MAX / IC_ERROR_MOST_BYTES };
  ic_isolate *first = begin("/first");
  come_and_go(FITTING, IC_ERROR_MOST_BYTES);
  ic_isolate *later = begin("/later");
  CHECK(changes.bytes <= IC_CHANGES_BYTES_MAX);
  ic_message *events = take(first, IC_WATCH_DOWN);
  int count = 0;
  for (ic_message *at = events; at; at = at->next)
    count++;
  CHECK(count > FITTING * 9 / 10 && count < FITTING);
  CHECK(atoi(events->sender->path + 1) == FITTING - count);
  ic_message_free_chain(events);
  forget(later);
  CHECK(changes.count == 0 && changes.bytes == 0);
  CHECK(release_last(first) && release_last(later));
}

static void without_memory_a_change_is_left_out(void) {
  ic_isolate *a = begin("/a");
  ic_isolate *lost = NULL;
  CHECK(ic_isolate_new("/lost", &lost) == IC_OK);
  ic_changes_fini(&changes);
  changes = (ic_changes){.starting = 1, .up_to_date = 1};
  a->heard = 0;
  failing_at(0);
  add(lost, IC_MESSAGE_UP);
  CHECK(failing_stop());
  ic_isolate *b = begin("/b");
  CHECK(strcmp(heard(a, ALL), " +/b") == 0);
  forget(b);
  CHECK(release_last(a) && release_last(b) && release_last(lost));
}

int main(void) {
  RUN(each_hears_of_all_that_came_after_it);
  RUN(each_hears_of_all_that_ended_after_it);
  RUN(each_hears_of_what_it_watches);
  RUN(it_is_heard_once);
  RUN(nothing_is_kept_for_nobody);
  RUN(many_are_heard_in_order);
  RUN(of_too_many_the_oldest_are_forgotten);
  RUN(without_memory_a_change_is_left_out);
  ic_changes_fini(&changes);
  return check_report("changes");
}
