// pool_test.c - many isolates on few threads: talking, blocking, ending.
//
// The isolates here are actors: bodies in C that handle messages whose whole
// content is a number. Each checks that nobody else runs it at the same time.
// Where something is to go on beside something that blocks, the blockers are
// held until it has, so no test depends on how fast the machine is.

#include "core/pool.h"

#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "core/worker.h"
#include "test_body.h"

enum { ACTORS_MAX = 256, LONG_SILENCE_MS = 70 };

typedef struct actor actor;

struct actor {
  ic_body base;
  ic_isolate *isolate;  // counted by the test
  // Handles a number; false ends the isolate.
  bool (*on_number)(actor *self, uint64_t number);
  unsigned batch;    // numbers handled in a turn; 0: all there are
  int64_t every_ms;  // runs again after so long; 0: does not
  actor *peer;
  uint64_t count, wanted;  // the handler's own
  uint64_t last[16];       // the handler's own: by sender
  ic_message *left, *left_last;
  _Atomic int inside;
  _Atomic uint64_t turns, handled;
  _Atomic bool interrupted;
};

static ic_pool *pool;
static actor actors[ACTORS_MAX];
static int actor_count;
static _Atomic int overlaps;  // an isolate run by two threads at once
static _Atomic int dropped;   // numbers that came too late
static test_tally done, ended, blocked, gate;

// --- Actors -----------------------------------------------------------------

// False if [to] has ended.
static bool send(actor *to, uint64_t number) {
  ic_message *message = ic_message_new_event(IC_MESSAGE_VALUE);
  message->request = number;
  if (ic_isolate_push(to->isolate, message) == IC_OK) return true;
  ic_message_free(message);
  return false;
}

static void append(actor *self, ic_message *chain) {
  if (!chain) return;
  *(self->left ? &self->left_last->next : &self->left) = chain;
  while (chain->next)
    chain = chain->next;
  self->left_last = chain;
}

static bool handle(actor *self) {
  bool goes_on = true;
  for (unsigned i = 0;
       self->left && goes_on && (!self->batch || i < self->batch); i++) {
    ic_message *message = self->left;
    self->left = message->next;
    goes_on = self->on_number(self, message->request);
    ic_message_free(message);
    atomic_fetch_add(&self->handled, 1);
  }
  return goes_on;
}

static bool run_actor(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  actor *self = (actor *)base;
  if (atomic_exchange(&self->inside, 1) != 0) atomic_fetch_add(&overlaps, 1);
  atomic_fetch_add(&self->turns, 1);
  append(self, chain);
  bool goes_on = handle(self);
  if (atomic_load(&self->isolate->killed)) goes_on = false;
  if (self->every_ms > 0) *deadline_ns = ic_deadline_ns(self->every_ms);
  if (self->left) *deadline_ns = 0;
  atomic_store(&self->inside, 0);
  return goes_on;
}

static void interrupt_actor(ic_body *base) {
  atomic_store(&((actor *)base)->interrupted, true);
}

static const ic_body_class actor_class = {.run = run_actor,
                                          .interrupt = interrupt_actor};

static void drop(ic_message *chain) {
  for (ic_message *at = chain; at; at = at->next) {
    atomic_fetch_add(&dropped, 1);
  }
  ic_message_free_chain(chain);
}

// The last thing that touches the pool or the test, as with a cluster.
static void finish(ic_isolate *isolate) {
  actor *self = (actor *)isolate->body;
  drop(ic_mailbox_close(&isolate->mailbox));
  drop(self->left);
  self->left = NULL;
  ic_isolate_release(isolate);
  tally_add(&ended);
}

static actor *add(bool (*on_number)(actor *self, uint64_t number)) {
  actor *self = &actors[actor_count++];
  memset(self, 0, sizeof *self);
  self->base.class = &actor_class;
  self->on_number = on_number;
  ic_isolate_new("/a", &self->isolate);
  self->base.isolate = ic_isolate_hold(self->isolate);
  self->isolate->body = &self->base;
  self->isolate->finish = finish;
  ic_pool_add(pool, self->isolate);
  return self;
}

static void clear(test_tally *tally) {
  ic_mutex_lock(&tally->mutex);
  tally->count = 0;
  ic_mutex_unlock(&tally->mutex);
}

static void set_up(size_t threads) {
  actor_count = 0;
  atomic_store(&overlaps, 0);
  atomic_store(&dropped, 0);
  clear(&done);
  clear(&ended);
  clear(&blocked);
  clear(&gate);
  if (ic_pool_new(threads, &pool) != IC_OK) abort();
}

static void kill_one(actor *victim) {
  ic_isolate_condemn(victim->isolate, IC_REASON_KILLED);
  ic_isolate_rouse(victim->isolate);
}

static void release_actors(void) {
  for (int i = 0; i < actor_count; i++)
    ic_isolate_release(actors[i].isolate);
}

// As a shutdown does: a kill may come just before the isolate falls asleep.
static bool kill_all(void) {
  int64_t deadline_ns = ic_deadline_ns(PATIENCE_MS);
  while (tally_count(&ended) < actor_count && ic_now_ns() < deadline_ns) {
    for (int i = 0; i < actor_count; i++)
      kill_one(&actors[i]);
    ic_pool_interrupt(pool);
    usleep(100);
  }
  return tally_count(&ended) == actor_count;
}

// All that have not ended by themselves are killed.
static void tear_down(void) {
  tally_add(&gate);
  tally_add(&gate);
  CHECK(kill_all());
  ic_pool_free(pool);
  release_actors();
  CHECK(atomic_load(&overlaps) == 0);
}

// --- What they do -----------------------------------------------------------

static bool ignore(actor *self, uint64_t number) {
  (void)self, (void)number;
  return true;
}

static bool end(actor *self, uint64_t number) {
  (void)self, (void)number;
  return false;
}

// Sends what it gets, one less, to its peer; done at 0.
static bool pass_on(actor *self, uint64_t number) {
  if (number == 0) {
    tally_add(&done);
  } else {
    send(self->peer, number - 1);
  }
  return true;
}

static bool say_done(actor *self, uint64_t number) {
  (void)self, (void)number;
  tally_add(&done);
  return true;
}

// Until the gate has been opened so many times, or once.
static bool block(actor *self, uint64_t number) {
  (void)self;
  tally_add(&blocked);
  tally_reaches(&gate, number ? (int)number : 1);
  return true;
}

static bool compute(actor *self, uint64_t number) {
  (void)self, (void)number;
  tally_add(&blocked);
  while (tally_count(&gate) == 0)
    ic_thread_relax();
  return true;
}

static bool compute_until_interrupted(actor *self, uint64_t number) {
  (void)number;
  tally_add(&blocked);
  while (!atomic_load(&self->interrupted))
    ic_thread_relax();
  return true;
}

// Wakes its peer, and blocks.
static bool wake_and_block(actor *self, uint64_t number) {
  send(self->peer, 0);
  return block(self, number);
}

static bool flood_itself(actor *self, uint64_t number) {
  send(self, number);
  return true;
}

// Numbers of several senders: sender * 2^32 + 1, 2, 3 … of each.
static uint64_t number_of(uint64_t sender, uint64_t number) {
  return sender << 32 | number;
}

static bool count_in_order(actor *self, uint64_t number) {
  uint64_t *last = &self->last[number >> 32];
  if ((uint32_t)number != *last + 1) atomic_fetch_add(&overlaps, 1);
  *last = (uint32_t)number;
  if (++self->count == self->wanted) tally_add(&done);
  return true;
}

static void delay(unsigned *seed, unsigned most) {
  unsigned rounds = (unsigned)rand_r(seed) % (most + 1);
  for (unsigned i = 0; i < rounds; i++)
    ic_thread_relax();
}

static void pair(actor *a, actor *b) {
  a->peer = b;
  b->peer = a;
}

// --- Talking ----------------------------------------------------------------

static void ping_pong(size_t threads) {
  enum { PAIRS = 4, ROUNDS = 1000 };
  set_up(threads);
  for (int i = 0; i < PAIRS; i++)
    pair(add(pass_on), add(pass_on));
  for (int i = 0; i < PAIRS; i++)
    CHECK(send(&actors[2 * i], ROUNDS));
  CHECK(tally_reaches(&done, PAIRS));
  tear_down();
}

static void pairs_talk_on_one_to_eight_threads(void) {
  for (size_t threads = 1; threads <= 8; threads++)
    CALL(ping_pong(threads));
}

static void numbers_go_round_in_rings(void) {
  enum { RING = 100, TOKENS = 5, HOPS = 3000 };
  for (size_t threads = 1; threads <= 4; threads += 3) {
    set_up(threads);
    for (int i = 0; i < RING; i++)
      add(pass_on);
    for (int i = 0; i < RING; i++)
      actors[i].peer = &actors[(i + 1) % RING];
    for (int i = 0; i < TOKENS; i++)
      CHECK(send(&actors[i * 7], HOPS));
    CHECK(tally_reaches(&done, TOKENS));
    CALL(tear_down());
  }
}

// Sends its numbers to its peer, one a turn.
static bool send_next(actor *self, uint64_t sender) {
  send(self->peer, number_of(sender, ++self->count));
  if (self->count < self->wanted) send(self, sender);
  return true;
}

enum { FOREIGN = 3, FOREIGN_NUMBERS = 1000 };

static _Atomic unsigned foreign_started;

static void *send_from_outside(void *receiver) {
  uint64_t sender = atomic_fetch_add(&foreign_started, 1);
  unsigned seed = (unsigned)sender;
  for (uint64_t i = 1; i <= FOREIGN_NUMBERS; i++) {
    send(receiver, number_of(sender, i));
    if (i % 50 == 0) delay(&seed, 3000);
  }
  return NULL;
}

static void many_send_to_one_from_within_and_from_outside(void) {
  enum { WITHIN = 8, NUMBERS = 500 };
  for (size_t threads = 1; threads <= 8; threads *= 2) {
    set_up(threads);
    atomic_store(&foreign_started, 0);
    actor *receiver = add(count_in_order);
    receiver->batch = 10;
    receiver->wanted = WITHIN * NUMBERS + FOREIGN * FOREIGN_NUMBERS;
    for (int i = 1; i <= WITHIN; i++) {
      add(send_next);
      actors[i].peer = receiver;
      actors[i].wanted = NUMBERS;
      send(&actors[i], (uint64_t)(FOREIGN + i));
    }
    ic_thread outside[FOREIGN];
    for (int i = 0; i < FOREIGN; i++) {
      ic_thread_start(&outside[i], IC_SMALL_STACK_BYTES, send_from_outside,
                      receiver);
    }
    for (int i = 0; i < FOREIGN; i++)
      ic_thread_join(outside[i]);
    CHECK(tally_reaches(&done, 1));
    CALL(tear_down());
  }
}

// --- Waking: each round starts with everything asleep, or falling asleep ----

static void no_wake_up_from_outside_is_lost(void) {
  enum { ROUNDS = 250, SLEEPERS = 3 };
  for (size_t threads = 1; threads <= 4; threads++) {
    set_up(threads);
    unsigned seed = (unsigned)threads;
    for (int i = 0; i < SLEEPERS; i++)
      add(say_done);
    for (int round = 1; round <= ROUNDS; round++) {
      for (int i = 0; i < SLEEPERS; i++) {
        CHECK(send(&actors[i], 0));
        delay(&seed, 50);
      }
      CHECK(tally_reaches(&done, round * SLEEPERS));
      delay(&seed, round % 10 ? 500 : 5000);
    }
    CALL(tear_down());
  }
}

enum { LEAVES = 5 };

static bool answer_late(actor *self, uint64_t number) {
  unsigned seed = (unsigned)number;
  delay(&seed, 400);
  send(self->peer, number);
  return true;
}

// Sends to all leaves; when all have answered, says so and begins again.
static bool fork_and_join(actor *self, uint64_t number) {
  if (number != 0 && ++self->count < LEAVES) return true;
  self->count = 0;
  if (number != 0) tally_add(&done);
  if (self->wanted-- == 0) return true;
  unsigned seed = (unsigned)self->wanted;
  delay(&seed, self->wanted % 10 ? 200 : 4000);
  for (int i = 1; i <= LEAVES; i++) {
    send(self + i, self->wanted * LEAVES + (uint64_t)i);
  }
  return true;
}

static void no_wake_up_from_within_is_lost(void) {
  enum { ROUNDS = 300 };
  for (size_t threads = 1; threads <= 8; threads *= 2) {
    set_up(threads);
    actor *root = add(fork_and_join);
    root->wanted = ROUNDS;
    for (int i = 0; i < LEAVES; i++)
      add(answer_late)->peer = root;
    CHECK(send(root, 0));
    CHECK(tally_reaches(&done, ROUNDS));
    CALL(tear_down());
  }
}

// With workers that end whenever they are one too many.
static void workers_that_come_and_go_lose_nothing(void) {
  enum { ROUNDS = 60 };
  set_up(2);
  pool->spare_ms = 0;
  for (int i = 0; i < 4; i++)
    add(block);
  for (int i = 0; i < 4; i++)
    add(say_done);
  for (int round = 1; round <= ROUNDS; round++) {
    for (int i = 0; i < 4; i++)
      CHECK(send(&actors[i], (uint64_t)round));
    CHECK(tally_reaches(&blocked, round * 4));
    for (int i = 4; i < 8; i++)
      CHECK(send(&actors[i], 0));
    CHECK(tally_reaches(&done, round * 4));
    tally_add(&gate);
  }
  tear_down();
}

// Two that wake each other's worker, until both have been at work at once.
static pthread_t seen_first;
static _Atomic int seen;

static bool notice_thread(actor *self, uint64_t number) {
  int none = 0;
  if (number == 1 && atomic_compare_exchange_strong(&seen, &none, 1)) {
    seen_first = pthread_self();
    atomic_store(&seen, 2);
  } else if (atomic_load(&seen) == 2 &&
             !pthread_equal(seen_first, pthread_self())) {
    if (atomic_exchange(&seen, 3) != 3) tally_add(&done);
  }
  if (atomic_load(&seen) != 3) {
    send(self->peer, 2);
    send(self, 2);
  }
  return atomic_load(&seen) != 3;
}

static void what_is_woken_within_is_shared_out(void) {
  set_up(2);
  atomic_store(&seen, 0);
  for (int i = 0; i < 4; i++)
    add(notice_thread)->batch = 1;
  for (int i = 0; i < 4; i++)
    actors[i].peer = &actors[(i + 1) % 4];
  CHECK(send(&actors[0], 1));
  CHECK(tally_reaches(&done, 1));
  tear_down();
}

// --- Fairness ---------------------------------------------------------------

static void the_flooded_do_not_starve_others(void) {
  enum { FLOODED = 3, ROUNDS = 300 };
  for (size_t threads = 1; threads <= 2; threads++) {
    set_up(threads);
    for (int i = 0; i < FLOODED; i++) {
      add(flood_itself)->batch = 2;
      for (int j = 0; j < 50; j++)
        CHECK(send(&actors[i], 1));
    }
    pair(add(pass_on), add(pass_on));
    actor *single = add(say_done);
    CHECK(send(&actors[FLOODED], ROUNDS));
    CHECK(tally_reaches(&done, 1));
    for (int i = 2; i < 30; i++) {
      CHECK(send(single, 0));
      CHECK(tally_reaches(&done, i));
    }
    CALL(tear_down());
  }
}

static void two_that_talk_do_not_starve_others(void) {
  set_up(1);
  pair(add(pass_on), add(pass_on));
  actor *other = add(say_done);
  CHECK(send(&actors[0], UINT64_MAX));
  for (int i = 1; i < 100; i++) {
    CHECK(send(other, 0));
    CHECK(tally_reaches(&done, i));
  }
  tear_down();
}

// Turns that the talkers below have had, and the most of them that a guest waited.
static _Atomic unsigned talked, waited_most;

// Two that talk, in turns that are longer than a round: the slot is never empty.
static bool pass_on_slowly(actor *self, uint64_t number) {
  atomic_fetch_add(&talked, 1);
  usleep(300);
  send(self->peer, number);
  return true;
}

// Likewise, and every tenth time a guest comes from elsewhere.
static bool let_a_guest_in(actor *self, uint64_t number) {
  ic_isolate *guest = actors[0].isolate;
  if (++self->count % 10 == 0 && ic_mailbox_rouse(&guest->mailbox)) {
    actors[0].wanted = atomic_load(&talked);
    ic_worker_inject(pool, guest);
  }
  return pass_on_slowly(self, number);
}

static bool run_guest(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  actor *self = (actor *)base;
  (void)deadline_ns;
  ic_message_free_chain(chain);
  unsigned waited = atomic_load(&talked) - (unsigned)self->wanted;
  if (waited > atomic_load(&waited_most)) atomic_store(&waited_most, waited);
  tally_add(&done);
  return !atomic_load(&self->isolate->killed);
}

// Whatever the machine does, a guest waits for few turns: its own worker's next one
// but one, or what a second worker has meanwhile, if the monitor has begun one.
static void guests_do_not_wait_for_many_long_turns(void) {
  enum { PAIRS = 5, GUESTS = 20, FEW = 12 };
  ic_body_class class = actor_class;
  class.run = run_guest;
  set_up(1);
  atomic_store(&talked, 0);
  atomic_store(&waited_most, 0);
  add(ignore)->base.class = &class;
  for (int i = 0; i < PAIRS; i++)
    pair(add(pass_on_slowly), add(pass_on_slowly));
  actors[1].on_number = let_a_guest_in;
  CHECK(send(&actors[0], 0));
  CHECK(tally_reaches(&done, 1));
  for (int i = 0; i < PAIRS; i++)
    CHECK(send(&actors[1 + 2 * i], 0));
  CHECK(tally_reaches(&done, 1 + GUESTS));
  CHECK(atomic_load(&waited_most) <= FEW);
  tear_down();
}

// --- Blocking ---------------------------------------------------------------

static void others_go_on_beside(bool (*hold_up)(actor *, uint64_t), int count) {
  for (size_t threads = 1; threads <= 2; threads++) {
    set_up(threads);
    for (int i = 0; i < count; i++)
      CHECK(send(add(hold_up), 0));
    pair(add(pass_on), add(pass_on));
    CHECK(send(&actors[count], 500));
    CHECK(tally_reaches(&done, 1));
    CHECK(tally_reaches(&blocked, count));
    CHECK(send(&actors[count], 500));
    CHECK(tally_reaches(&done, 2));
    CALL(tear_down());
  }
}

static void others_go_on_while_eight_block(void) {
  others_go_on_beside(block, 8);
}

static void others_go_on_while_some_compute(void) {
  others_go_on_beside(compute, 3);
}

static void what_waits_behind_one_that_blocks_is_run_elsewhere(void) {
  set_up(1);
  actor *blocker = add(wake_and_block);
  blocker->peer = add(say_done);
  CHECK(send(blocker, 0));
  CHECK(tally_reaches(&done, 1));
  tear_down();
}

// With one more worker at each look, that would take as many ticks.
static void many_that_block_are_found_in_a_few_looks(void) {
  enum { BLOCKERS = 60, TICK_MS = 50 };
  set_up(1);
  atomic_store(&pool->tick_ms, TICK_MS);
  int64_t begun_ns = ic_now_ns();
  for (int i = 0; i < BLOCKERS; i++)
    CHECK(send(add(block), 0));
  CHECK(send(add(say_done), 0));
  CHECK(tally_reaches(&done, 1));
  CHECK(ic_now_ns() - begun_ns < BLOCKERS * TICK_MS * IC_NS_PER_MS);
  tear_down();
}

static _Atomic bool computed;
static _Atomic int computing, computing_at_visit;

static bool compute_without_a_lock(actor *self, uint64_t number) {
  (void)self, (void)number;
  atomic_fetch_add(&computing, 1);
  while (!atomic_load(&computed))
    ic_thread_relax();
  return true;
}

static size_t count_workers(void) {
  ic_mutex_lock(&pool->mutex);
  size_t count = pool->worker_count;
  ic_mutex_unlock(&pool->mutex);
  return count;
}

// They would take each other's cores, and that of who is to stop them.
static void those_that_compute_are_relieved_one_a_look(void) {
  enum { BUSY = 30, TICK_MS = 20, LOOKS = 8 };
  set_up(1);
  atomic_store(&pool->tick_ms, TICK_MS);
  atomic_store(&computed, false);
  int64_t begun_ns = ic_now_ns();
  for (int i = 0; i < BUSY; i++)
    CHECK(send(add(compute_without_a_lock), 0));
  usleep(LOOKS * TICK_MS * 1000);
  size_t count = count_workers();
  int64_t ticks = (ic_now_ns() - begun_ns) / (TICK_MS * IC_NS_PER_MS);
  CHECK((int64_t)count <= ticks + 2);
  atomic_store(&computed, true);
  tear_down();
}

static bool visit(actor *self, uint64_t number) {
  atomic_store(&computing_at_visit, atomic_load(&computing));
  return say_done(self, number);
}

// Of those, one may have been about to be taken already, and one has its share.
static void who_has_short_turns_does_not_wait_for_many_that_compute(void) {
  enum { BUSY = 30, TICK_MS = 10, VISITS = 5, FEW = 4 };
  set_up(1);
  atomic_store(&pool->tick_ms, TICK_MS);
  atomic_store(&computed, false);
  atomic_store(&computing, 0);
  actor *visitor = add(visit);
  CHECK(send(visitor, 0));
  CHECK(tally_reaches(&done, 1));
  for (int i = 0; i < BUSY; i++)
    CHECK(send(add(compute_without_a_lock), 0));
  int most = 0;
  for (int i = 1; i <= VISITS; i++) {
    CHECK(send(visitor, 0));
    int before = atomic_load(&computing);
    CHECK(tally_reaches(&done, 1 + i));
    int waited = atomic_load(&computing_at_visit) - before;
    if (waited > most) most = waited;
  }
  atomic_store(&computed, true);
  CHECK(most <= FEW);
  tear_down();
}

// The monitor sleeps by then, and is needed at once.
static void the_monitor_wakes_with_the_first_message(void) {
  for (int round = 0; round < 2; round++) {
    set_up(1);
    actor *blocker = add(wake_and_block);
    blocker->peer = add(say_done);
    usleep(LONG_SILENCE_MS * 1000);
    CHECK(send(blocker, 0));
    CHECK(tally_reaches(&done, 1));
    CALL(tear_down());
  }
}

// Runs at its alarm, though nothing came.
static bool run_at_alarm(ic_body *base, ic_message *chain,
                         int64_t *deadline_ns) {
  actor *self = (actor *)base;
  bool is_alarm = !chain;
  ic_message_free_chain(chain);
  if (atomic_load(&self->isolate->killed)) return false;
  if (is_alarm && ++self->count == 2) wake_and_block(self, 0);
  if (self->count < 2) *deadline_ns = ic_deadline_ns(self->every_ms);
  return true;
}

static void what_an_alarm_woke_may_block_too(void) {
  ic_body_class class = actor_class;
  class.run = run_at_alarm;
  for (int round = 0; round < 2; round++) {
    set_up(1);
    actor *blocker = add(ignore);
    blocker->base.class = &class;
    blocker->every_ms = LONG_SILENCE_MS;
    blocker->peer = add(say_done);
    CHECK(send(blocker, 0));
    CHECK(tally_reaches(&done, 1));
    CALL(tear_down());
  }
}

// --- Alarms -----------------------------------------------------------------

static bool tick(ic_body *base, ic_message *chain, int64_t *deadline_ns) {
  actor *self = (actor *)base;
  if (atomic_exchange(&self->inside, 1) != 0) atomic_fetch_add(&overlaps, 1);
  ic_message_free_chain(chain);
  *deadline_ns = ic_deadline_ns(self->every_ms);
  if (++self->count == self->wanted) tally_add(&done);
  atomic_store(&self->inside, 0);
  return !atomic_load(&self->isolate->killed);
}

static void alarms_ring_for_many(void) {
  enum { TICKERS = 50, TICKS = 8 };
  ic_body_class class = actor_class;
  class.run = tick;
  set_up(3);
  for (int i = 0; i < TICKERS; i++) {
    actor *ticker = add(ignore);
    ticker->base.class = &class;
    ticker->every_ms = 1 + i % 7;
    ticker->wanted = TICKS;
    send(ticker, 0);
  }
  CHECK(tally_reaches(&done, TICKERS));
  tear_down();
}

// --- Kills ------------------------------------------------------------------

static void kills_reach_the_sleeping_the_queued_and_the_running(void) {
  enum { EACH = 4 };
  for (int round = 0; round < 20; round++) {
    set_up(1 + (size_t)round % 3);
    for (int i = 0; i < EACH; i++) {
      add(ignore);
      send(add(ignore), 0);
      send(add(flood_itself), 0);
      send(add(compute_until_interrupted), 0);
    }
    if (round % 2) CHECK(tally_reaches(&blocked, 1));
    CHECK(kill_all());
    CALL(tear_down());
  }
}

static void a_kill_reaches_a_worker_started_with_signals_blocked(void) {
  set_up(1);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  CHECK(send(add(compute_until_interrupted), 0));
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  CHECK(tally_reaches(&blocked, 1));
  CHECK(kill_all());
  tear_down();
}

// --- Abandoned --------------------------------------------------------------

static void abandon(actor *victim) {
  kill_one(victim);
  ic_pool_abandon(pool, victim->isolate);
}

// The pool is freed the moment its last isolate has finished.
static void stopping_does_not_wait_for_the_abandoned(void) {
  for (int round = 0; round < 40; round++) {
    set_up(1 + (size_t)round % 2);
    for (int i = 0; i < 2; i++)
      CHECK(send(add(block), 0));
    CHECK(tally_reaches(&blocked, 2));
    for (int i = 0; i < 2; i++)
      abandon(&actors[i]);
    ic_pool_stop(pool);
    CHECK(tally_count(&ended) == 0);
    tally_add(&gate);
    CHECK(tally_reaches(&ended, 2));
    ic_pool_free(pool);
    release_actors();
  }
}

static bool block_then_wake_and_block(actor *self, uint64_t number) {
  block(self, number);
  send(self->peer, 0);
  tally_add(&blocked);
  tally_reaches(&gate, 2);
  send(self->peer, 0);
  return true;
}

static void what_an_abandoned_one_wakes_is_run(void) {
  for (int round = 0; round < 100; round++) {
    set_up(1);
    actor *blocker = add(block_then_wake_and_block);
    blocker->peer = add(say_done);
    CHECK(send(blocker, 0));
    CHECK(tally_reaches(&blocked, 1));
    if (round % 2) {
      abandon(blocker);
      tally_add(&gate);
    } else {
      tally_add(&gate);
      abandon(blocker);
    }
    CHECK(tally_reaches(&done, 1));
    tally_add(&gate);
    CHECK(tally_reaches(&done, 2));
    CALL(tear_down());
  }
}

static void what_waits_behind_an_abandoned_one_is_run(void) {
  for (int round = 0; round < 100; round++) {
    set_up(1);
    actor *blocker = add(wake_and_block);
    blocker->peer = add(say_done);
    CHECK(send(blocker, 0));
    CHECK(tally_reaches(&blocked, 1));
    abandon(blocker);
    CHECK(tally_reaches(&done, 1));
    CALL(tear_down());
  }
}

static void one_that_sleeps_or_waits_in_a_queue_ends_when_abandoned(void) {
  for (int round = 0; round < 100; round++) {
    set_up(1);
    add(ignore);
    CHECK(send(add(ignore), 0));
    for (int i = 0; i < 2; i++)
      abandon(&actors[i]);
    ic_pool_stop(pool);
    CHECK(tally_reaches(&ended, 2));
    ic_pool_free(pool);
    release_actors();
  }
}

static void finish_slowly(ic_isolate *isolate) {
  tally_add(&blocked);
  tally_reaches(&gate, 1);
  finish(isolate);
}

static void stopping_does_not_wait_for_an_end_that_blocks(void) {
  set_up(1);
  actor *slow = add(end);
  slow->isolate->finish = finish_slowly;
  CHECK(send(slow, 0));
  CHECK(tally_reaches(&blocked, 1));
  ic_pool_stop(pool);
  CHECK(tally_count(&ended) == 0);
  tally_add(&gate);
  CHECK(tally_reaches(&ended, 1));
  ic_pool_free(pool);
  release_actors();
}

// The last end is on a worker, and frees what it runs on.
static void finish_and_free(ic_isolate *isolate) {
  ic_pool *own = pool;
  ic_mailbox_close(&isolate->mailbox);
  ic_isolate_release(isolate);
  ic_pool_free(own);
  tally_add(&ended);
}

static void a_pool_may_be_freed_by_its_own_last_isolate(void) {
  for (int round = 0; round < 50; round++) {
    set_up(2);
    actor *last = add(end);
    last->isolate->finish = finish_and_free;
    CHECK(send(last, 0));
    CHECK(tally_reaches(&ended, 1));
    release_actors();
  }
}

// --- Ends -------------------------------------------------------------------

static void stops_at_any_moment(void) {
  for (int round = 0; round < 100; round++) {
    unsigned seed = (unsigned)round;
    set_up(1 + (size_t)round % 8);
    int count = round % 5;
    for (int i = 0; i < count; i++)
      CHECK(send(add(end), 0));
    delay(&seed, 2000);
    CHECK(tally_reaches(&ended, count));
    ic_pool_free(pool);
    release_actors();
  }
}

// Who wakes an isolate may still be about to wake a worker when that isolate has
// run, has ended, and the pool goes.
static void *send_one(void *receiver) {
  send(receiver, 0);
  return NULL;
}

static void a_pool_may_go_while_someone_is_about_to_wake_a_worker(void) {
  for (int round = 0; round < 200; round++) {
    unsigned seed = (unsigned)round;
    ic_thread sender;
    set_up(2);
    actor *warm = add(end);
    actor *last = add(end);
    CHECK(send(warm, 0));
    CHECK(tally_reaches(&ended, 1));
    delay(&seed, 300);
    ic_thread_start(&sender, IC_SMALL_STACK_BYTES, send_one, last);
    CHECK(tally_reaches(&ended, 2));
    ic_pool_free(pool);
    ic_thread_join(sender);
    release_actors();
  }
}

static _Atomic int arrived;

static void *send_until_gone(void *receiver) {
  unsigned seed = 1;
  while (send(receiver, 1)) {
    atomic_fetch_add(&arrived, 1);
    delay(&seed, 100);
  }
  return NULL;
}

static bool end_soon(actor *self, uint64_t number) {
  (void)number;
  return ++self->count < self->wanted;
}

static void isolates_end_while_messages_arrive(void) {
  for (int round = 0; round < 50; round++) {
    set_up(1 + (size_t)round % 4);
    atomic_store(&arrived, 0);
    actor *receiver = add(end_soon);
    receiver->batch = (unsigned)round % 4 * 5;
    receiver->wanted = 1 + (uint64_t)round;
    ic_thread senders[FOREIGN];
    for (int i = 0; i < FOREIGN; i++) {
      ic_thread_start(&senders[i], IC_SMALL_STACK_BYTES, send_until_gone,
                      receiver);
    }
    for (int i = 0; i < FOREIGN; i++)
      ic_thread_join(senders[i]);
    CHECK(tally_reaches(&ended, 1));
    CHECK(atomic_load(&arrived) ==
          (int)atomic_load(&receiver->handled) + atomic_load(&dropped));
    CALL(tear_down());
  }
}

int main(void) {
  ic_turn_handle_interrupts();
  tally_init(&done);
  tally_init(&ended);
  tally_init(&blocked);
  tally_init(&gate);
  RUN(pairs_talk_on_one_to_eight_threads);
  RUN(numbers_go_round_in_rings);
  RUN(many_send_to_one_from_within_and_from_outside);
  RUN(no_wake_up_from_outside_is_lost);
  RUN(no_wake_up_from_within_is_lost);
  RUN(workers_that_come_and_go_lose_nothing);
  RUN(what_is_woken_within_is_shared_out);
  RUN(the_flooded_do_not_starve_others);
  RUN(two_that_talk_do_not_starve_others);
  RUN(guests_do_not_wait_for_many_long_turns);
  RUN(others_go_on_while_eight_block);
  RUN(others_go_on_while_some_compute);
  RUN(what_waits_behind_one_that_blocks_is_run_elsewhere);
  RUN(many_that_block_are_found_in_a_few_looks);
  RUN(those_that_compute_are_relieved_one_a_look);
  RUN(who_has_short_turns_does_not_wait_for_many_that_compute);
  RUN(the_monitor_wakes_with_the_first_message);
  RUN(what_an_alarm_woke_may_block_too);
  RUN(alarms_ring_for_many);
  RUN(kills_reach_the_sleeping_the_queued_and_the_running);
  RUN(a_kill_reaches_a_worker_started_with_signals_blocked);
  RUN(stopping_does_not_wait_for_the_abandoned);
  RUN(what_an_abandoned_one_wakes_is_run);
  RUN(what_waits_behind_an_abandoned_one_is_run);
  RUN(one_that_sleeps_or_waits_in_a_queue_ends_when_abandoned);
  RUN(stopping_does_not_wait_for_an_end_that_blocks);
  RUN(a_pool_may_be_freed_by_its_own_last_isolate);
  RUN(stops_at_any_moment);
  RUN(a_pool_may_go_while_someone_is_about_to_wake_a_worker);
  RUN(isolates_end_while_messages_arrive);
  return check_report("pool");
}
