// supervision_test.c - who is asked to end, and whose end is told when.

#include "core/supervision.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core/cluster.h"
#include "test_body.h"

static ic_registry registry;
static ic_isolate *watcher;  // of all ends

static void set_up(void) {
  ic_registry_init(&registry, 9);
  ic_isolate_new("(watcher)", &watcher);
  ic_registry_watch(&registry, watcher, IC_WATCH_DOWN, NULL);
}

static void tear_down(void) {
  ic_registry_watch(&registry, watcher, 0, NULL);
  ic_isolate_release(watcher);
  ic_registry_fini(&registry);
}

// Under [supervisor], which may be NULL; not to be found yet.
static ic_isolate *reserve(ic_isolate *supervisor, const char *path) {
  ic_isolate *isolate = NULL;
  ic_registry_reserve(&registry, path, false, &isolate);
  if (supervisor) ic_supervision_begin(&registry, isolate, supervisor);
  return isolate;
}

static ic_isolate *publish(ic_isolate *supervisor, const char *path) {
  ic_isolate *isolate = reserve(supervisor, path);
  ic_status status = ic_registry_publish(&registry, isolate, NULL);
  return status == IC_OK ? isolate : NULL;
}

static void end(ic_isolate *isolate, const char *reason) {
  ic_message_free_chain(ic_mailbox_close(&isolate->mailbox));
  ic_registry_remove(&registry, isolate, reason, NULL);
}

// Whether the watcher has heard of these ends since it was asked: "/a done;".
static bool heard(const char *expected) {
  char text[1000] = "";
  size_t size = 0;
  ic_message *chain = ic_isolate_take(watcher, 0);
  for (ic_message *at = chain; at; at = at->next) {
    size += (size_t)snprintf(text + size, sizeof text - size, "%s %s;",
                             at->sender->path, at->reason);
  }
  ic_message_free_chain(chain);
  return strcmp(text, expected) == 0;
}

static bool was_asked(ic_isolate *isolate) {
  ic_message *chain = ic_isolate_take(isolate, 0);
  bool asked = false;
  for (ic_message *at = chain; at; at = at->next)
    asked |= at->kind == IC_MESSAGE_SHUTDOWN;
  ic_message_free_chain(chain);
  return asked;
}

static ic_status find_status(const char *path) {
  ic_isolate *found = NULL;
  ic_status status = ic_registry_find(&registry, path, &found);
  ic_isolate_release(found);
  return status;
}

// --- Asking -----------------------------------------------------------------

static void a_shutdown_asks_those_without_a_living_supervisor(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  ic_isolate *child = publish(supervisor, "/s/a");
  ic_isolate *other = publish(NULL, "/b");
  ic_registry_tell_all(&registry, IC_MESSAGE_SHUTDOWN);
  CHECK(was_asked(supervisor));
  CHECK(!was_asked(child));
  CHECK(was_asked(other));
  end(supervisor, "killed");
  ic_registry_tell_all(&registry, IC_MESSAGE_SHUTDOWN);
  CHECK(was_asked(child));
  end(child, "done");
  end(other, "done");
  tear_down();
}

// --- Ends -------------------------------------------------------------------

static void the_end_is_told_after_those_of_the_children(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  ic_isolate *first = publish(supervisor, "/s/a");
  ic_isolate *second = publish(supervisor, "/s/b");
  end(supervisor, "killed");
  CHECK(heard(""));
  end(second, "killed");
  CHECK(heard("/s/b killed;"));
  end(first, "done");
  CHECK(heard("/s/a done;/s killed;"));
  CHECK(registry.isolates == 0);
  CHECK(registry.totals.ended == 3);
  tear_down();
}

static void the_end_of_one_without_children_left_is_told_at_once(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  end(publish(supervisor, "/s/a"), "done");
  end(supervisor, "shutdown");
  CHECK(heard("/s/a done;/s shutdown;"));
  tear_down();
}

static void a_whole_tree_ends_from_below(void) {
  set_up();
  ic_isolate *top = publish(NULL, "/s");
  ic_isolate *middle = publish(top, "/s/m");
  ic_isolate *leaf = publish(middle, "/s/m/l");
  end(top, "killed");
  end(middle, "killed");
  CHECK(heard(""));
  end(leaf, "killed");
  CHECK(heard("/s/m/l killed;/s/m killed;/s killed;"));
  tear_down();
}

static void one_that_waits_for_its_children_is_not_found(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  ic_isolate *child = publish(supervisor, "/s/a");
  end(supervisor, "killed");
  CHECK(find_status("/s") == IC_NOT_FOUND);
  ic_isolate *other = NULL;
  CHECK(ic_registry_reserve(&registry, "/s", false, &other) == IC_IN_USE);
  ic_registry_remove(&registry, supervisor, "done", NULL);  // not once more
  end(child, "done");
  CHECK(heard("/s/a done;/s killed;"));
  tear_down();
}

static void none_comes_up_under_one_that_has_ended(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  ic_isolate *loading = reserve(supervisor, "/s/a");
  end(supervisor, "killed");
  CHECK(ic_registry_publish(&registry, loading, NULL) == IC_DOWN);
  CHECK(find_status("/s/a") == IC_NOT_FOUND);
  end(loading, NULL);
  CHECK(heard("/s killed;"));
  tear_down();
}

static void gives_those_to_be_killed_one_after_the_other(void) {
  set_up();
  ic_isolate *supervisor = publish(NULL, "/s");
  ic_isolate *other = publish(NULL, "/b");
  CHECK(ic_supervision_next(&registry, supervisor) == NULL);
  ic_isolate *child = publish(supervisor, "/s/a");
  ic_isolate *loading = reserve(supervisor, "/s/b");
  bool has_child = false, has_loading = false;
  ic_isolate *next;
  while ((next = ic_supervision_next(&registry, supervisor)) != NULL) {
    has_child |= next == child;
    has_loading |= next == loading;
    ic_isolate_condemn(next, IC_REASON_KILLED);
    ic_isolate_release(next);
  }
  CHECK(has_child);
  CHECK(has_loading);
  CHECK(ic_supervision_next(&registry, other) == NULL);
  end(child, "done");
  end(loading, NULL);
  end(supervisor, "done");
  end(other, "done");
  tear_down();
}

// --- By force ---------------------------------------------------------------

static test_script idle, stubborn;

static ic_isolate *start(ic_cluster *cluster, ic_isolate *supervisor,
                         const char *path, test_script *script, bool shared) {
  ic_start start = {.path = path,
                    .body = test_body_new(script),
                    .shared = shared,
                    .supervised = supervisor != NULL,
                    .spawner = supervisor};
  ic_isolate *isolate = NULL;
  ic_status status = ic_cluster_start(cluster, &start, &isolate, NULL);
  return status == IC_OK ? isolate : NULL;
}

// A supervisor and a child that does not end by itself.
static ic_cluster *start_tree(bool (*on_message)(test_script *,
                                                 const ic_message *),
                              bool shared, ic_isolate **supervisor) {
  script_init(&idle);
  script_init(&stubborn);
  idle.on_message = body_ignores;
  stubborn.on_message = on_message;
  ic_cluster *cluster = NULL;
  ic_cluster_new(NULL, &cluster);
  ic_isolate_new("(watcher)", &watcher);
  ic_registry_watch(&cluster->registry, watcher, IC_WATCH_DOWN, NULL);
  *supervisor = start(cluster, NULL, "/s", &idle, shared);
  ic_isolate_release(start(cluster, *supervisor, "/s/a", &stubborn, shared));
  return cluster;
}

static void forget_tree(ic_isolate *supervisor) {
  ic_isolate_release(supervisor);
  ic_isolate_release(watcher);
  script_fini(&idle);
  script_fini(&stubborn);
}

static void check_kill(bool shared) {
  ic_isolate *supervisor;
  ic_cluster *cluster = start_tree(body_spins, shared, &supervisor);
  CHECK(tally_reaches(&stubborn.starts, 1));
  CHECK(ic_ref_kill(supervisor) == IC_OK);
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  CHECK(heard("/s/a killed;/s killed;"));
  ic_registry_watch(&cluster->registry, watcher, 0, NULL);
  ic_cluster_free(cluster);
  forget_tree(supervisor);
}

static void who_spins_is_killed_with_its_supervisor(void) {
  check_kill(false);
  check_kill(true);
}

// A shutdown leaves the child behind, in C; that is the supervisor's end too.
static void who_sits_in_c_holds_up_no_shutdown(void) {
  ic_isolate *supervisor;
  ic_cluster *cluster = start_tree(body_waits_at_gate, false, &supervisor);
  CHECK(tally_reaches(&stubborn.starts, 1));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  CHECK(heard("/s/a killed;/s killed;"));
  ic_registry_watch(&cluster->registry, watcher, 0, NULL);
  uint64_t key = cluster->key;
  ic_cluster_free(cluster);
  tally_add(&stubborn.gate);
  CHECK(tally_reaches(&stubborn.frees, 1));
  ic_cluster *found;
  while ((found = ic_cluster_find(key)) != NULL)
    ic_cluster_release(found);
  forget_tree(supervisor);
}

int main(void) {
  RUN(a_shutdown_asks_those_without_a_living_supervisor);
  RUN(the_end_is_told_after_those_of_the_children);
  RUN(the_end_of_one_without_children_left_is_told_at_once);
  RUN(a_whole_tree_ends_from_below);
  RUN(one_that_waits_for_its_children_is_not_found);
  RUN(none_comes_up_under_one_that_has_ended);
  RUN(gives_those_to_be_killed_one_after_the_other);
  RUN(who_spins_is_killed_with_its_supervisor);
  RUN(who_sits_in_c_holds_up_no_shutdown);
  return check_report("supervision");
}
