// registry_test.c - paths, and who hears of ups and downs in which order.

#include "core/registry.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core/path.h"
#include "failing.h"

static ic_registry registry;

static void set_up(void) {
  ic_registry_init(&registry, 9);
}

static void tear_down(void) {
  ic_registry_fini(&registry);
}

static ic_isolate *reserve(const char *path) {
  ic_isolate *isolate = NULL;
  ic_registry_reserve(&registry, path, false, &isolate);
  return isolate;
}

// A live isolate, whose one user is the registry; NULL where that fails.
static ic_isolate *publish(const char *path) {
  ic_isolate *isolate = reserve(path);
  if (!isolate) return NULL;
  if (ic_registry_publish(&registry, isolate, NULL) == IC_OK) return isolate;
  ic_registry_remove(&registry, isolate, NULL, NULL);
  return NULL;
}

static void end(ic_isolate *isolate) {
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_registry_remove(&registry, isolate, "done", NULL);
}

// Somebody of no cluster who watches; released by stop_watching.
static ic_isolate *start_watching(unsigned watches) {
  ic_isolate *watcher = NULL;
  if (ic_isolate_new("(watcher)", &watcher) != IC_OK) return NULL;
  ic_registry_watch(&registry, watcher, watches, NULL);
  return watcher;
}

static void stop_watching(ic_isolate *watcher) {
  ic_registry_watch(&registry, watcher, 0, NULL);
  ic_isolate_release(watcher);
}

// What came to [isolate] by now, as "+/path" and "-/path reason".
static const char *heard(ic_isolate *isolate) {
  static char text[1000];
  size_t size = 0;
  text[0] = '\0';
  ic_message *chain = ic_isolate_take(isolate, 0);
  for (ic_message *at = chain; at; at = at->next) {
    const char *path = at->sender ? at->sender->path : "";
    const char *reason = at->reason ? at->reason : "";
    char mark = at->kind == IC_MESSAGE_UP ? '+' : '-';
    if (at->kind == IC_MESSAGE_NODE_EMPTY) mark = '0';
    if (at->kind == IC_MESSAGE_NODE_DOWN) mark = '!';
    if (at->kind == IC_MESSAGE_START) mark = '>';
    size += (size_t)snprintf(text + size, sizeof text - size, "%c%s%s%s;", mark,
                             path, *reason ? " " : "", reason);
  }
  ic_message_free_chain(chain);
  return text;
}

static bool hears(ic_isolate *isolate, const char *text) {
  return strcmp(heard(isolate), text) == 0;
}

static ic_status find_status(const char *path) {
  ic_isolate *found = NULL;
  ic_status status = ic_registry_find(&registry, path, &found);
  ic_isolate_release(found);
  return status;
}

// --- Paths ------------------------------------------------------------------

static void finds_what_was_published(void) {
  set_up();
  ic_isolate *isolate = reserve("/a");
  CHECK(isolate->cluster_key == 9);
  CHECK(find_status("/a") == IC_NOT_FOUND);
  CHECK(ic_registry_publish(&registry, isolate, NULL) == IC_OK);
  ic_isolate *found = NULL;
  CHECK(ic_registry_find(&registry, "/a", &found) == IC_OK);
  CHECK(found == isolate);
  end(isolate);
  CHECK(find_status("/a") == IC_NOT_FOUND);
  ic_isolate_release(found);
  tear_down();
}

static void a_path_is_in_use_from_the_reservation_to_the_end(void) {
  set_up();
  ic_isolate *isolate = reserve("/a");
  ic_isolate *other = NULL;
  CHECK(ic_registry_reserve(&registry, "/a", false, &other) == IC_IN_USE);
  CHECK(ic_registry_reserve(&registry, "/a", true, &other) == IC_IN_USE);
  CHECK(ic_registry_publish(&registry, isolate, NULL) == IC_OK);
  CHECK(ic_registry_reserve(&registry, "/a", false, &other) == IC_IN_USE);
  CHECK(other == NULL);
  end(isolate);
  end(publish("/a"));
  tear_down();
}

static void malformed_paths_are_invalid(void) {
  set_up();
  ic_isolate *isolate = NULL;
  ic_ref_list list = {0};
  CHECK(ic_registry_reserve(&registry, "a", false, &isolate) == IC_INVALID);
  CHECK(ic_registry_reserve(&registry, "/a//", true, &isolate) == IC_INVALID);
  CHECK(find_status("/") == IC_INVALID);
  CHECK(ic_registry_list(&registry, "/a", &list) == IC_INVALID);
  CHECK(isolate == NULL && list.count == 0);
  tear_down();
}

static void numbers_what_has_only_a_prefix(void) {
  set_up();
  ic_isolate *taken = publish("/a/2");
  ic_isolate *first = publish("/a/");
  ic_isolate *second = publish("/a/");
  ic_isolate *elsewhere = publish(NULL);
  CHECK(strcmp(first->path, "/a/1") == 0);
  CHECK(strcmp(second->path, "/a/3") == 0);
  CHECK(strcmp(elsewhere->path, "/1") == 0);
  end(first);
  ic_isolate *third = publish("/a/");
  CHECK(strcmp(third->path, "/a/4") == 0);  // 1 is not given twice
  end(taken);
  end(second);
  end(third);
  end(elsewhere);
  tear_down();
}

static void a_number_must_fit_into_the_path(void) {
  set_up();
  char prefix[IC_PATH_MAX_BYTES + 1];
  for (int i = 0; i < IC_PATH_MAX_BYTES; i++)
    prefix[i] = i % 64 ? 'a' : '/';
  prefix[IC_PATH_MAX_BYTES - 1] = '/';
  prefix[IC_PATH_MAX_BYTES] = '\0';
  ic_isolate *isolate = NULL;
  CHECK(ic_registry_reserve(&registry, prefix, false, &isolate) == IC_INVALID);
  CHECK(isolate == NULL);
  tear_down();
}

static void holds_thousands(void) {
  enum { COUNT = 3000 };
  static ic_isolate *isolates[COUNT];
  set_up();
  for (int i = 0; i < COUNT; i++) {
    isolates[i] = publish("/many/");
    CHECK(isolates[i]);
    ic_registry_watch(&registry, isolates[i], 0, NULL);
  }
  for (int i = 0; i < COUNT; i++) {
    CHECK(find_status(isolates[i]->path) == IC_OK);
  }
  for (int i = 0; i < COUNT; i++)
    end(isolates[i]);
  CHECK(registry.paths.count == 0 && registry.isolates == 0);
  tear_down();
}

static void lists_what_is_beneath_a_prefix_sorted(void) {
  set_up();
  ic_isolate *isolates[] = {publish("/w/b"), publish("/w/a/x"), publish("/w"),
                            publish("/wa"), publish("/w/a")};
  ic_isolate *hidden = reserve("/w/hidden");
  ic_ref_list list = {0};
  CHECK(ic_registry_list(&registry, "/w/", &list) == IC_OK);
  CHECK(list.count == 3);
  CHECK(list.items[0] == isolates[4] && list.items[1] == isolates[1]);
  CHECK(list.items[2] == isolates[0]);
  ic_ref_list_fini(&list);
  CHECK(ic_registry_list(&registry, "/", &list) == IC_OK && list.count == 5);
  ic_ref_list_fini(&list);
  CHECK(ic_registry_list(&registry, "/none/", &list) == IC_OK);
  CHECK(list.count == 0);
  for (int i = 0; i < 5; i++)
    end(isolates[i]);
  end(hidden);
  tear_down();
}

// --- Ups and downs ----------------------------------------------------------

static void tells_watchers_of_ups_and_downs(void) {
  set_up();
  ic_isolate *both = start_watching(IC_WATCH_UP | IC_WATCH_DOWN);
  ic_isolate *up = start_watching(IC_WATCH_UP);
  ic_isolate *none = start_watching(0);
  uint64_t version = ic_registry_version(&registry);
  end(publish("/a"));
  CHECK(ic_registry_version(&registry) == version + 2);
  CHECK(hears(both, "+/a;-/a done;"));
  CHECK(hears(up, "+/a;"));
  CHECK(hears(none, ""));
  stop_watching(both);
  stop_watching(up);
  stop_watching(none);
  CHECK(registry.watcher_count == 0);
  tear_down();
}

static void holds_no_more_isolates_than_may_be(void) {
  set_up();
  registry.most = 2;
  ic_isolate *first = publish("/1"), *second = reserve("/2"), *third = NULL;
  CHECK(ic_registry_reserve(&registry, "/3", false, &third) == IC_FULL);
  CHECK(ic_registry_reserve(&registry, NULL, true, &third) == IC_OK);
  end(third);  // a port is none
  end(second);
  third = publish("/3");
  CHECK(third);
  end(third);
  end(first);
  tear_down();
}

static void does_not_tell_of_what_never_came_up(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_UP | IC_WATCH_DOWN);
  end(reserve("/a"));
  CHECK(hears(watcher, ""));
  stop_watching(watcher);
  tear_down();
}

static void an_isolate_starts_first_and_misses_nothing_after(void) {
  set_up();
  ic_isolate *early = publish("/early");
  ic_isolate *isolate = reserve("/a");
  ic_message *start = ic_message_new_event(IC_MESSAGE_START);
  CHECK(ic_registry_publish(&registry, isolate, start) == IC_OK);
  ic_isolate *late = publish("/late");
  end(early);
  CHECK(hears(isolate, ">;"));
  ic_message *missed = NULL;
  CHECK(ic_registry_watch(&registry, isolate, IC_WATCH_UP | IC_WATCH_DOWN,
                          &missed) == IC_OK);
  CHECK(missed && missed->sender == late && missed->kind == IC_MESSAGE_UP);
  ic_message *down = missed->next;
  CHECK(down && down->kind == IC_MESSAGE_DOWN && !down->next);
  CHECK(strcmp(down->sender->path, "/early") == 0);
  ic_message_free_chain(missed);
  ic_isolate *later = publish("/later");
  CHECK(hears(isolate, "+/later;"));
  end(later);
  end(isolate);
  CHECK(hears(late, ""));
  end(late);
  CHECK(registry.changes.count == 0 && registry.watcher_count == 0);
  tear_down();
}

static void tells_nothing_to_the_condemned(void) {
  set_up();
  ic_isolate *condemned = publish("/condemned");
  CHECK(ic_registry_watch(&registry, condemned, IC_WATCH_DOWN, NULL) == IC_OK);
  ic_isolate *watcher = start_watching(IC_WATCH_DOWN);
  ic_isolate_condemn(condemned, IC_REASON_KILLED);
  end(publish("/a"));
  CHECK(hears(condemned, ""));
  CHECK(registry.watcher_count == 1);
  end(condemned);
  CHECK(hears(watcher, "-/a done;-/condemned done;"));
  stop_watching(watcher);
  tear_down();
}

static void ends_once(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_DOWN);
  ic_isolate *isolate = ic_isolate_hold(publish("/a"));
  ic_registry_remove(&registry, isolate, "killed", NULL);
  ic_registry_remove(&registry, isolate, "done", NULL);
  CHECK(hears(watcher, "-/a killed;"));
  CHECK(atomic_load(&isolate->mailbox.users) == 1);
  CHECK(ic_registry_watch(&registry, isolate, IC_WATCH_UP, NULL) == IC_OK);
  CHECK(atomic_load(&isolate->mailbox.users) == 1);  // the dead do not watch
  ic_isolate_release(isolate);
  stop_watching(watcher);
  tear_down();
}

// What one thread does, while others do the same with other paths.
static void *come_and_go(void *path) {
  for (int i = 0; i < 500; i++) {
    ic_isolate *isolate = publish(path);
    if (!isolate) break;
    ic_registry_watch(&registry, isolate, 0, NULL);
    end(isolate);
  }
  return NULL;
}

typedef struct {
  uint64_t up;  // the isolate that is up, by what was heard; or 0
  int lives;
} life_heard;

// False where this event can't follow those before it.
static bool follows(life_heard *heard, const ic_message *event) {
  if (event->kind == IC_MESSAGE_UP) {
    bool is_free = heard->up == 0;
    heard->up = event->sender->id;
    return is_free;
  }
  bool is_same = heard->up == event->sender->id;
  heard->up = 0;
  heard->lives++;
  return is_same;
}

static void each_watcher_hears_up_and_down_in_turns(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_UP | IC_WATCH_DOWN);
  ic_thread threads[3];
  static char paths[3][3] = {"/0", "/1", "/2"};
  for (int i = 0; i < 3; i++) {
    CHECK(ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, come_and_go,
                          paths[i]) == IC_OK);
  }
  life_heard heard[3] = {{0}};
  while (heard[0].lives + heard[1].lives + heard[2].lives < 1500) {
    ic_message *chain = ic_isolate_take(watcher, ic_deadline_ns(10000));
    CHECK(chain);
    for (ic_message *at = chain; at; at = at->next) {
      CHECK(follows(&heard[at->sender->path[1] - '0'], at));
    }
    ic_message_free_chain(chain);
  }
  for (int i = 0; i < 3; i++)
    ic_thread_join(threads[i]);
  stop_watching(watcher);
  tear_down();
}

static void *end_it(void *isolate) {
  end(isolate);
  return NULL;
}

static void who_hears_of_a_down_can_have_the_path_at_once(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_DOWN);
  for (int i = 0; i < 300; i++) {
    ic_thread thread;
    CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, end_it,
                          publish("/a")) == IC_OK);
    ic_message *down;
    while ((down = ic_isolate_take(watcher, IC_NEVER)) == NULL) {
    }
    ic_message_free_chain(down);
    ic_isolate *next = publish("/a");
    CHECK(next);
    ic_thread_join(thread);
    end(next);
    ic_message_free_chain(ic_isolate_take(watcher, 0));
  }
  stop_watching(watcher);
  tear_down();
}

static void who_hears_of_an_up_can_find_it(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_UP);
  ic_thread thread;
  char path[] = "/a";
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, come_and_go, path) ==
        IC_OK);
  for (int ups = 0; ups < 500;) {
    ic_message *chain = ic_isolate_take(watcher, ic_deadline_ns(10000));
    CHECK(chain);
    for (ic_message *at = chain; at; at = at->next, ups++) {
      ic_isolate *found = NULL;
      ic_status status = ic_registry_find(&registry, "/a", &found);
      // It, or one after it, or it has ended already.
      CHECK(status == IC_NOT_FOUND || found->id >= at->sender->id);
      ic_isolate_release(found);
    }
    ic_message_free_chain(chain);
  }
  ic_thread_join(thread);
  stop_watching(watcher);
  tear_down();
}

// --- Ports ------------------------------------------------------------------

static void a_port_without_a_path_is_found_by_nobody(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_UP | IC_WATCH_DOWN);
  ic_isolate *port = NULL;
  CHECK(ic_registry_reserve(&registry, NULL, true, &port) == IC_OK);
  CHECK(ic_registry_publish(&registry, port, NULL) == IC_OK);
  ic_ref_list list = {0};
  CHECK(ic_registry_list(&registry, "/", &list) == IC_OK && list.count == 0);
  int64_t now_ns = ic_now_ns();
  CHECK(ic_registry_wait_empty(&registry, &now_ns) == IC_OK);
  end(port);
  CHECK(hears(watcher, ""));
  stop_watching(watcher);
  tear_down();
}

// --- The node ---------------------------------------------------------------

static void nothing_comes_up_once_it_stops(void) {
  set_up();
  ic_isolate *live = publish("/live");
  ic_isolate *reserved = reserve("/reserved");
  ic_registry_set_node(&registry, IC_NODE_STOPPING);
  ic_isolate *isolate = NULL;
  CHECK(ic_registry_reserve(&registry, "/b", false, &isolate) == IC_DOWN);
  CHECK(ic_registry_publish(&registry, reserved, NULL) == IC_DOWN);
  CHECK(find_status("/live") == IC_OK);
  end(reserved);
  end(live);
  ic_registry_set_node(&registry, IC_NODE_DOWN);
  ic_ref_list list = {0};
  CHECK(find_status("/live") == IC_DOWN);
  CHECK(ic_registry_list(&registry, "/", &list) == IC_DOWN);
  tear_down();
}

static void tells_of_the_last_end_and_of_its_own(void) {
  set_up();
  ic_isolate *watcher = start_watching(IC_WATCH_NODE);
  ic_isolate *first = publish("/a");
  ic_isolate *second = publish("/b");
  end(first);
  CHECK(hears(watcher, ""));
  end(second);
  CHECK(hears(watcher, "0;"));
  ic_registry_set_node(&registry, IC_NODE_DOWN);
  CHECK(hears(watcher, "!;"));
  stop_watching(watcher);
  tear_down();
}

static void tells_all_that_live_and_no_port(void) {
  set_up();
  ic_isolate *live = publish("/live");
  ic_isolate *reserved = reserve("/reserved");
  ic_isolate *port = NULL;
  CHECK(ic_registry_reserve(&registry, "/port", true, &port) == IC_OK);
  CHECK(ic_registry_publish(&registry, port, NULL) == IC_OK);
  heard(live);
  ic_registry_tell_all(&registry, IC_MESSAGE_START);
  CHECK(hears(live, ">;"));
  CHECK(hears(reserved, "") && hears(port, ""));
  end(live);
  end(reserved);
  end(port);
  tear_down();
}

static void waits_until_nobody_is_left_or_the_time_is_up(void) {
  set_up();
  ic_isolate *isolate = reserve("/a");
  int64_t deadline_ns = ic_deadline_ns(5);
  CHECK(ic_registry_wait_empty(&registry, &deadline_ns) == IC_TIMEOUT);
  ic_thread thread;
  CHECK(ic_thread_start(&thread, IC_SMALL_STACK_BYTES, end_it, isolate) ==
        IC_OK);
  deadline_ns = IC_NEVER;
  CHECK(ic_registry_wait_empty(&registry, &deadline_ns) == IC_OK);
  ic_thread_join(thread);
  tear_down();
}

static void counts_who_came_and_went(void) {
  set_up();
  ic_isolate *isolate = publish("/a");
  ic_count(&isolate->sent);
  ic_count(&isolate->received);
  end(isolate);
  isolate = publish("/b");
  CHECK(registry.totals.spawned == 2 && registry.totals.ended == 1);
  CHECK(registry.totals.sent == 1 && registry.totals.received == 1);
  end(isolate);
  tear_down();
}

// --- No memory --------------------------------------------------------------

static void no_memory_leaves_nothing(void) {
  for (int n = 0; failing_at(n); n++) {
    set_up();
    ic_isolate *isolate = NULL;
    ic_status status = ic_registry_reserve(&registry, "/a/", false, &isolate);
    if (status == IC_OK) {
      status = ic_registry_publish(&registry, isolate, NULL);
    }
    ic_ref_list list = {0};
    if (status == IC_OK) status = ic_registry_list(&registry, "/", &list);
    CHECK(status == (failing_stop() ? IC_MEMORY : IC_OK));
    CHECK(list.count == (status == IC_OK));
    ic_ref_list_fini(&list);
    if (isolate) end(isolate);
    CHECK(registry.paths.count == 0 && registry.isolates == 0);
    CHECK(registry.watcher_count == 0);
    tear_down();
  }
}

int main(void) {
  RUN(finds_what_was_published);
  RUN(a_path_is_in_use_from_the_reservation_to_the_end);
  RUN(malformed_paths_are_invalid);
  RUN(numbers_what_has_only_a_prefix);
  RUN(a_number_must_fit_into_the_path);
  RUN(holds_thousands);
  RUN(lists_what_is_beneath_a_prefix_sorted);
  RUN(tells_watchers_of_ups_and_downs);
  RUN(holds_no_more_isolates_than_may_be);
  RUN(does_not_tell_of_what_never_came_up);
  RUN(an_isolate_starts_first_and_misses_nothing_after);
  RUN(tells_nothing_to_the_condemned);
  RUN(ends_once);
  RUN(each_watcher_hears_up_and_down_in_turns);
  RUN(who_hears_of_a_down_can_have_the_path_at_once);
  RUN(who_hears_of_an_up_can_find_it);
  RUN(a_port_without_a_path_is_found_by_nobody);
  RUN(nothing_comes_up_once_it_stops);
  RUN(tells_of_the_last_end_and_of_its_own);
  RUN(tells_all_that_live_and_no_port);
  RUN(waits_until_nobody_is_left_or_the_time_is_up);
  RUN(counts_who_came_and_went);
  RUN(no_memory_leaves_nothing);
  return check_report("registry");
}
