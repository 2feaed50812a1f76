// run_queue_test.c - first in, first out of each kind; each is taken once.

#include "core/run_queue.h"

#include "check.h"

enum { MANY = 1000, THREADS = 4 };

static ic_isolate *isolates[MANY];

static void make_isolates(void) {
  for (int i = 0; i < MANY; i++)
    ic_isolate_new("/a", &isolates[i]);
}

static void free_isolates(void) {
  for (int i = 0; i < MANY; i++)
    ic_isolate_release(isolates[i]);
}

static void gives_in_the_order_of_putting(void) {
  ic_run_queue queue;
  ic_run_queue_init(&queue);
  make_isolates();
  CHECK(ic_run_queue_is_empty(&queue) && !ic_run_queue_take(&queue));

  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 5; i++)
      ic_run_queue_put(&queue, isolates[i]);
    CHECK(!ic_run_queue_is_empty(&queue));
    for (int i = 0; i < 5; i++)
      CHECK(ic_run_queue_take(&queue) == isolates[i]);
    CHECK(ic_run_queue_is_empty(&queue) && !ic_run_queue_take(&queue));
  }

  free_isolates();
  ic_run_queue_fini(&queue);
}

static void the_trusted_go_first_and_leave_a_share_to_others(void) {
  enum { EACH = 8 };
  ic_run_queue queue;
  ic_run_queue_init(&queue);
  make_isolates();
  for (int i = 0; i < 2 * EACH; i++) {
    isolates[i]->trust = i >= EACH;
    ic_run_queue_put(&queue, isolates[i]);
  }

  int next[] = {0, EACH};
  int early = 0;
  for (int i = 0; i < 2 * EACH; i++) {
    ic_isolate *isolate = ic_run_queue_take(&queue);
    CHECK(isolate && isolate == isolates[next[isolate->trust]++]);
    if (i < EACH && isolate->trust == 0) early++;
  }

  CHECK(early == EACH / 4);
  CHECK(ic_run_queue_is_empty(&queue) && !ic_run_queue_take(&queue));
  free_isolates();
  ic_run_queue_fini(&queue);
}

static ic_run_queue from, to;
static _Atomic int moved;

static void *move_all(void *unused) {
  (void)unused;
  while (atomic_load(&moved) < MANY) {
    ic_isolate *isolate = ic_run_queue_take(&from);
    if (!isolate) continue;
    ic_run_queue_put(&to, isolate);
    atomic_fetch_add(&moved, 1);
  }
  return NULL;
}

static void each_is_taken_once_by_many_threads(void) {
  ic_run_queue_init(&from);
  ic_run_queue_init(&to);
  make_isolates();
  ic_thread threads[THREADS];

  for (int i = 0; i < THREADS; i++) {
    ic_thread_start(&threads[i], IC_SMALL_STACK_BYTES, move_all, NULL);
  }
  for (int i = 0; i < MANY; i++)
    ic_run_queue_put(&from, isolates[i]);
  for (int i = 0; i < THREADS; i++)
    ic_thread_join(threads[i]);

  CHECK(ic_run_queue_is_empty(&from));
  int count = 0;
  while (ic_run_queue_take(&to))
    count++;
  CHECK(count == MANY);
  free_isolates();
  ic_run_queue_fini(&from);
  ic_run_queue_fini(&to);
}

int main(void) {
  RUN(gives_in_the_order_of_putting);
  RUN(the_trusted_go_first_and_leave_a_share_to_others);
  RUN(each_is_taken_once_by_many_threads);
  return check_report("run_queue");
}
