// watch_test.c - the list on an isolate of those who wait for its end.

#include "core/watch.h"

#include <stdlib.h>

#include "check.h"
#include "failing.h"

static ic_isolate *watched, *watcher;

static void set_up(void) {
  ic_isolate_new("/watched", &watched);
  ic_isolate_new("/watcher", &watcher);
}

static void tear_down(void) {
  ic_isolate_release(watched);
  ic_isolate_release(watcher);
}

static ic_watch *link_one(uint64_t number) {
  ic_watch *watch = NULL;
  if (ic_watch_new(watched, watcher, number, &watch) != IC_OK) return NULL;
  ic_watch_link_locked(watch, watched);
  return watch;
}

// The number of the next event that is taken, 0 if there is none.
static uint64_t take(void) {
  ic_isolate *to = NULL;
  ic_message *event = ic_watch_take_locked(watched, &to);
  if (!event || to != watcher || event->sender != watched) return 0;
  uint64_t number = event->request;
  ic_message_free(event);
  return number;
}

static void each_watch_is_taken_once(void) {
  set_up();
  ic_watch *first = link_one(1);
  ic_watch *second = link_one(2);
  CHECK(first && second);
  CHECK(take() + take() == 3);
  CHECK(take() == 0);
  ic_watch_unlink_locked(first);
  ic_watch_free(first);
  ic_watch_free(second);
  tear_down();
}

static void any_can_be_taken_out(void) {
  for (int out = 0; out < 3; out++) {
    set_up();
    ic_watch *watches[] = {link_one(1), link_one(2), link_one(4)};
    ic_watch_unlink_locked(watches[out]);
    ic_watch_unlink_locked(watches[out]);
    CHECK(take() + take() == 7u - (1u << out));
    CHECK(take() == 0);
    for (int i = 0; i < 3; i++)
      ic_watch_free(watches[i]);
    tear_down();
  }
}

static void no_memory_leaves_nothing(void) {
  set_up();
  for (int n = 0; failing_at(n); n++) {
    ic_watch *watch = NULL;
    ic_status status = ic_watch_new(watched, watcher, 1, &watch);
    CHECK(status == (failing_stop() ? IC_MEMORY : IC_OK));
    ic_watch_free(watch);
  }
  tear_down();
}

int main(void) {
  RUN(each_watch_is_taken_once);
  RUN(any_can_be_taken_out);
  RUN(no_memory_leaves_nothing);
  return check_report("watch");
}
