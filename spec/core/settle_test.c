// settle_test.c - a cluster that has settled has nothing on its way.

#include <stdlib.h>

#include "check.h"
#include "core/shutdown.h"
#include "test_body.h"

enum { MEMBERS = 6, BALLS = 4, HOPS = 200, ROUNDS = 60 };

static ic_cluster *cluster;
static ic_isolate *members[MEMBERS];
static test_script play;

// Balls that are thrown and not dropped yet. Raised before a throw, lowered when
// whoever caught the ball is done with it.
static _Atomic int in_play;

static void throw_ball(uint64_t hops) {
  ic_message *ball = ic_message_new_event(IC_MESSAGE_UP);
  ball->request = hops;
  ic_isolate *to = members[(hops * 7 + hops / 3) % MEMBERS];
  if (ic_isolate_push(to, ball) != IC_OK) ic_message_free(ball);
}

static bool catch_ball(test_script *script, const ic_message *message) {
  (void)script;
  if (message->kind == IC_MESSAGE_UP && message->request > 0) {
    if (message->request > 1) {
      throw_ball(message->request - 1);
    } else {
      atomic_fetch_sub(&in_play, 1);
    }
  }
  return message->kind != IC_MESSAGE_SHUTDOWN;
}

static void set_up(bool shared) {
  script_init(&play);
  play.on_message = catch_ball;
  atomic_store(&in_play, 0);
  ic_cluster_new(NULL, &cluster);
  for (int i = 0; i < MEMBERS; i++) {
    ic_start start = {.body = test_body_new(&play), .shared = shared};
    if (ic_cluster_start(cluster, &start, &members[i], NULL) != IC_OK) abort();
  }
}

static void tear_down(void) {
  ic_cluster_free(cluster);
  for (int i = 0; i < MEMBERS; i++)
    ic_isolate_release(members[i]);
  script_fini(&play);
}

static void nothing_is_on_its_way(bool shared) {
  set_up(shared);
  for (int round = 0; round < ROUNDS; round++) {
    atomic_store(&in_play, BALLS);
    for (int i = 0; i < BALLS; i++)
      throw_ball((uint64_t)(HOPS - i));
    CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
    CHECK(atomic_load(&in_play) == 0);
  }
  tear_down();
}

static void with_own_threads_nothing_is_on_its_way(void) {
  nothing_is_on_its_way(false);
}

static void in_the_pool_nothing_is_on_its_way(void) {
  nothing_is_on_its_way(true);
}

static bool stay_at_gate(test_script *script, const ic_message *message) {
  if (message->kind == IC_MESSAGE_UP) wait_at_gate(script);
  return message->kind != IC_MESSAGE_SHUTDOWN;
}

static void who_is_in_a_handler_is_busy(void) {
  set_up(false);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  play.on_message = stay_at_gate;
  throw_ball(1);
  CHECK(ic_cluster_settle(cluster, 20) == IC_TIMEOUT);
  ic_ref_list busy;
  CHECK(ic_scheduler_list_busy(&cluster->scheduler, &busy) == IC_OK);
  CHECK(busy.count == 1);
  ic_ref_list_fini(&busy);
  tally_add(&play.gate);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  tear_down();
}

static void load_at_gate(test_script *script) {
  wait_at_gate(script);
}

static void who_still_loads_is_busy(void) {
  set_up(true);
  test_script slow;
  script_init(&slow);
  slow.on_load = load_at_gate;
  ic_isolate *loading = NULL;
  ic_start start = {.body = test_body_new(&slow),
                    .load_later = true,
                    .spawner = members[0],
                    .request = 1};
  CHECK(ic_cluster_start(cluster, &start, &loading, NULL) == IC_OK);
  CHECK(ic_cluster_settle(cluster, 20) == IC_TIMEOUT);
  tally_add(&slow.gate);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  CHECK(tally_count(&slow.starts) == 1);
  ic_isolate_release(loading);
  tear_down();
  script_fini(&slow);
}

static void a_later_time_is_no_reason_to_wait(bool shared) {
  set_up(shared);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  play.every_ms = 3600 * 1000;
  throw_ball(HOPS);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  tear_down();
}

static void with_own_threads_a_later_time_is_none_of_it(void) {
  a_later_time_is_no_reason_to_wait(false);
}

static void in_the_pool_a_later_time_is_none_of_it(void) {
  a_later_time_is_no_reason_to_wait(true);
}

static void who_is_condemned_is_busy_until_it_is_gone(void) {
  set_up(true);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  // As ic_cluster_kill begins; only later it is woken.
  ic_isolate_condemn(members[0], IC_REASON_KILLED);
  CHECK(ic_cluster_settle(cluster, 20) == IC_TIMEOUT);
  CHECK(ic_cluster_kill(cluster, members[0], IC_REASON_KILLED) == IC_OK);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  CHECK(tally_count(&play.frees) == 1);
  tear_down();
}

// Each end is told to the others, and that is over too.
static void who_ends_is_busy_until_it_is_gone(void) {
  set_up(true);
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  play.on_message = NULL;
  for (int i = 0; i < MEMBERS - 1; i++) {
    ic_message *end = ic_message_new_event(IC_MESSAGE_SHUTDOWN);
    CHECK(ic_isolate_push(members[i], end) == IC_OK);
  }
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  CHECK(tally_count(&play.frees) == MEMBERS - 1);
  ic_totals totals;
  size_t live;
  ic_cluster_totals(cluster, &totals, &live);
  CHECK(live == 1 && totals.ended == MEMBERS - 1);
  tear_down();
}

static bool refuse(test_script *script, const ic_message *message) {
  if (message->kind == IC_MESSAGE_SHUTDOWN) tally_add(&script->gate);
  return true;
}

// All members have been asked to end, and sleep again.
static void ask_all(int64_t every_ms) {
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
  play.on_message = refuse;
  play.every_ms = every_ms;
  CHECK(!ic_cluster_refuses_to_end(cluster));
  CHECK(ic_cluster_begin_shutdown(cluster, PATIENCE_MS) == IC_OK);
  CHECK(tally_reaches(&play.gate, MEMBERS));
  CHECK(ic_cluster_settle(cluster, PATIENCE_MS) == IC_OK);
}

static void who_does_not_end_refuses_it_once_it_was_asked(void) {
  set_up(false);
  ask_all(0);
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (!ic_cluster_refuses_to_end(cluster) && ic_now_ns() < deadline_ns) {
  }
  CHECK(ic_cluster_refuses_to_end(cluster));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  tear_down();
}

static void who_has_a_time_to_come_may_yet_end(void) {
  set_up(false);
  ask_all(3600 * 1000);
  ic_mutex_lock(&cluster->registry.mutex);
  cluster->was_asked = true;  // as it is any moment now
  ic_mutex_unlock(&cluster->registry.mutex);
  CHECK(!ic_cluster_refuses_to_end(cluster));
  CHECK(ic_cluster_shutdown(cluster, 0) == IC_TIMEOUT);
  tear_down();
}

static void an_empty_cluster_has_settled(void) {
  ic_cluster *empty = NULL;
  CHECK(ic_cluster_new(NULL, &empty) == IC_OK);
  CHECK(ic_cluster_settle(empty, 0) == IC_OK);
  ic_cluster_free(empty);
}

int main(void) {
  RUN(with_own_threads_nothing_is_on_its_way);
  RUN(in_the_pool_nothing_is_on_its_way);
  RUN(who_is_in_a_handler_is_busy);
  RUN(who_still_loads_is_busy);
  RUN(with_own_threads_a_later_time_is_none_of_it);
  RUN(in_the_pool_a_later_time_is_none_of_it);
  RUN(who_is_condemned_is_busy_until_it_is_gone);
  RUN(who_ends_is_busy_until_it_is_gone);
  RUN(who_does_not_end_refuses_it_once_it_was_asked);
  RUN(who_has_a_time_to_come_may_yet_end);
  RUN(an_empty_cluster_has_settled);
  return check_report("settle");
}
