/* pool.pml - how the pool's workers fall asleep and are woken.
 *
 * Each statement, or atomic block, is one step of the code that others can see:
 * one atomic operation, or one critical section whose result is seen at once.
 * The function that it stands for is named beside it; they are in
 * src/core/worker.c where no file is named.
 *
 * The cast: WORKERS threads, of which those that were started exist; the
 * monitor (MONITOR); a sender that is none of the pool. It sends to isolate 0,
 * which wakes 1 (THREE: and 2), and, SENDS_TWICE, to isolate 1 too. BLOCKS:
 * isolate 0 waits in its turn until 1 has run. ALARM: there is only isolate 1,
 * which wants to run again at an alarm. WANTED is how many workers are to run at
 * once; SPARE: one more is there. Where there is a monitor, any turn may be long
 * in its eyes; a tick that would change nothing is left out, so that the model
 * comes to rest exactly where the code would sleep for ever.
 *
 * Each choice of these names is one proof; spec/model/run lists them. Proved for
 * all interleavings: an isolate is in one queue at most, is run by one
 * worker at most, and when everything rests, each message was handled and the
 * alarm has rung. spec/model/run also checks that the proof fails where a step is
 * left out or misplaced: the names behind #ifdef.
 */

#define WORKERS 2
#define NOBODY 255
#ifndef WANTED
#define WANTED 2
#endif
#ifdef THREE
#define ISOLATES 3
#else
#define ISOLATES 2
#endif

/* --- The state ------------------------------------------------------------ */

byte messages[ISOLATES];  /* mailbox.c: head; asleep replaces empty only */
bool asleep[ISOLATES];
bool alarm[ISOLATES];

chan injected = [ISOLATES] of { byte };
chan own0 = [ISOLATES] of { byte };
chan own1 = [ISOLATES] of { byte };
byte slot[WORKERS] = NOBODY;

#define wanted WANTED
byte worker_count;
byte stuck_count;
byte idle_count;
bool exists[WORKERS];
bool is_idle[WORKERS];
bool unparked[WORKERS];
bool in_turn[WORKERS];  /* turns is odd */
bool stuck[WORKERS];
bool spinning;
bool monitor_sleeps;
bool monitor_unparked;

/* What is asserted of. */
byte running[ISOLATES];
bool queued[ISOLATES];
byte handled[ISOLATES];
bool rung;

#define able (worker_count - stuck_count)

/* --- Queues --------------------------------------------------------------- */

/* ic_run_queue_put */
inline put(queue, i) {
  atomic { queue!i }
}

inline put_own(w, i) {
  if
  :: w == 0 -> put(own0, i)
  :: else -> put(own1, i)
  fi
}

/* --- Waking --------------------------------------------------------------- */

/* rouse_monitor */
inline rouse_monitor() {
#if defined(MONITOR) && !defined(NO_ROUSE_MONITOR)
  atomic {
    if
    :: monitor_sleeps -> monitor_sleeps = false; monitor_unparked = true
    :: else
    fi
  }
#else
  skip
#endif
}

/* wake. Where there are no more threads in the model, none can be started. */
inline wake(most_able) {
  atomic {                      /* with the pool's mutex held */
    woken = NOBODY;
    if
    :: is_idle[0] -> woken = 0
    :: is_idle[1] -> woken = 1
    :: else ->
       if
       :: able < most_able && !exists[0] -> exists[0] = true; worker_count++
       :: able < most_able && !exists[1] -> exists[1] = true; worker_count++
       :: else
       fi
    fi;
    if
    :: woken != NOBODY -> is_idle[woken] = false; idle_count--
    :: else
    fi
  };
  if
  :: woken != NOBODY -> unparked[woken] = true    /* ic_parker_unpark */
  :: else
  fi;
  rouse_monitor()
}

/* ic_worker_wake_one */
inline wake_one() {
  if
  :: spinning
  :: !spinning -> wake(wanted)
  fi
}

inline wake_if_idle() {
  if
  :: idle_count > 0 || able < wanted -> wake_one()
  :: else
  fi
}

/* ic_worker_inject */
inline inject(i) {
  put(injected, i);
#ifndef NO_WAKE_AT_INJECT
  wake_one()
#endif
}

/* ic_mailbox_push: true in [slept] if the caller is to queue it. */
inline push(i) {
  atomic {
    slept = asleep[i];
#ifdef QUEUED_TWICE
    slept = true;
#endif
    asleep[i] = false;
    messages[i]++;
    if
    :: slept -> assert(!queued[i]); queued[i] = true
    :: else
    fi
  }
}

/* ic_isolate_push on a worker, with ic_worker_schedule */
inline send_within(w, i) {
  push(i);
  if
  :: slept ->
     atomic { previous = slot[w]; slot[w] = i };
     if
     :: previous != NOBODY -> put_own(w, previous); wake_if_idle()
     :: else
     fi
  :: else
  fi
}

/* --- A worker ------------------------------------------------------------- */

/* any_queued: the looks are steps of their own. */
inline any_queued() {
  any = false;
  if
  :: len(injected) > 0 -> any = true
  :: len(injected) == 0
  fi;
  if
  :: any || len(own0) > 0 -> any = true
  :: !any && len(own0) == 0
  fi;
  if
  :: any || len(own1) > 0 -> any = true
  :: !any && len(own1) == 0
  fi
}

/* The only turn of isolate 0 that does something: it may block. */
inline turn(w, i) {
  if
  :: i == 0 && handled[0] == 0 && batch > 0 ->
     send_within(w, 1);
#ifdef THREE
     send_within(w, 2);
#endif
#ifdef BLOCKS
     handled[1] > 0
#else
     skip
#endif
  :: else
  fi;
  atomic { handled[i] = handled[i] + batch; batch = 0 }
}

/* run_isolate, with leave_isolate and settle */
inline run_isolate(w, i) {
  atomic {
    assert(running[i] == 0);
    running[i]++;
    queued[i] = false;
    in_turn[w] = true
  };
  do
  :: atomic {                   /* ic_mailbox_take */
       batch = messages[i];
       messages[i] = 0;
#ifdef ALARM
       if
       :: i == 1 && batch == 0 -> rung = true
       :: else
       fi;
       wants_alarm = (i == 1 && !rung)
#endif
     };
     turn(w, i);
     if
     :: messages[i] > 0         /* comes_soon */
     :: break
     fi
  od;
  in_turn[w] = false;           /* leave_isolate: count_turn */
  if
  :: stuck[w] -> atomic {       /* with the pool's mutex held */
       if
       :: stuck[w] -> stuck[w] = false; stuck_count--
       :: else
       fi
     }
  :: !stuck[w]
  fi;
  running[i]--;
  if                            /* settle */
  :: wants_alarm -> alarm[i] = true; wants_alarm = false; monitor_unparked = true
  :: else
  fi;
  atomic {                      /* ic_mailbox_sleep */
    if
#ifdef SLEEPS_ON_A_MESSAGE
    :: true -> asleep[i] = true; back = false
#else
    :: messages[i] == 0 -> asleep[i] = true; back = false
    :: else -> back = true; assert(!queued[i]); queued[i] = true
#endif
    fi
  };
  if
  :: back ->
     is_only = slot[w] == NOBODY && len(injected) == 0 &&
               ((w == 0 && len(own0) == 0) || (w == 1 && len(own1) == 0));
     put_own(w, i);
     if :: !is_only -> wake_if_idle() :: else fi
  :: else
  fi
}

/* The looks of find_own and steal, as one step: what it finds, in whatever order
 * it looks. What others can put somewhere it may miss, as it looks at one place
 * after the other; not what only it puts somewhere. Any look may end a round. */
inline look(w, i) {
  if                            /* take_in_turn */
  :: atomic { slot[w] != NOBODY -> previous = slot[w]; slot[w] = NOBODY };
     put_own(w, previous)
  :: true
  fi;
  atomic {
    if
    :: slot[w] != NOBODY -> i = slot[w]; slot[w] = NOBODY
    :: w == 0 && len(own0) > 0 -> own0?i
    :: w == 1 && len(own1) > 0 -> own1?i
    :: len(injected) > 0 -> injected?i
    :: w == 1 && len(own0) > 0 -> own0?i
    :: w == 0 && len(own1) > 0 -> own1?i
    :: slot[w] == NOBODY && !(w == 0 && len(own0) > 0) &&
       !(w == 1 && len(own1) > 0) -> i = NOBODY
    fi
  }
}

/* spin */
inline spin(w, i) {
  atomic {
    if
    :: spinning -> spins = false
    :: else -> spinning = true; spins = true
    fi
  };
  if
  :: spins ->
     look(w, i);
     spinning = false;
     if
     :: i != NOBODY ->
        any_queued();
        if :: any -> wake_if_idle() :: else fi
     :: else
     fi
  :: else
  fi
}

/* find_work */
inline find_work(w, i) {
  look(w, i);
  if :: i == NOBODY -> spin(w, i) :: else fi
}

inline enter_idle(w) {
  atomic {
    is_idle[w] = true;
    idle_count++;
    if
    :: stuck[w] -> stuck[w] = false; stuck_count--
    :: else
    fi
  }
}

inline leave_idle(w) {
  atomic {
    if
    :: is_idle[w] -> is_idle[w] = false; idle_count--
    :: else
    fi
  }
}

/* park: [gone] where the worker has ended. Only a spare one's time-out counts:
 * another's ends with a look at is_idle. */
inline park(w) {
  gone = false;
#ifdef LOOKS_BEFORE_IT_IS_IDLE
  any_queued();
  enter_idle(w);
#else
  enter_idle(w);
#ifdef NO_SECOND_LOOK
  any = false;
#else
  any_queued();
#endif
#endif
  if
  :: any -> leave_idle(w); rouse_monitor()
  :: else ->
     do
     :: !is_idle[w] -> break    /* stays_idle, with the pool's mutex held */
     :: is_idle[w] ->
        if
        :: atomic { unparked[w] -> unparked[w] = false }  /* ic_parker_park */
        :: atomic {
             is_idle[w] && able > wanted ->
             is_idle[w] = false; idle_count--;
#ifndef SPARES_END_LATE
             exists[w] = false; worker_count--;
#endif
             gone = true
           }
#ifdef SPARES_END_LATE
           atomic { exists[w] = false; worker_count-- }
#endif
           break
        fi
     od
  fi
}

proctype Worker(byte w) {
  byte i, batch, woken, previous;
  bool slept, any, spins, back, is_only, wants_alarm, gone;
  do
  :: exists[w] ->               /* start_worker_locked */
     do
     :: find_work(w, i);
        if
        :: i != NOBODY -> run_isolate(w, i)
        :: else ->
           park(w);
           if
           :: gone -> break
           :: else
           fi
        fi
     od;
     unparked[w] = false        /* the next is another */
  od
}

/* --- The monitor (monitor.c) ---------------------------------------------- */

#define all_idle (idle_count == worker_count && len(injected) == 0)
#define any_in_turn (in_turn[0] || in_turn[1])
#ifdef MONITOR_SLEEPS_WHEN_NOBODY_RUNS
#define is_quiet (!any_in_turn)
#else
#define is_quiet all_idle
#endif

#define has_behind(w) (slot[w] != NOBODY || \
                       (w == 0 && len(own0) > 0) || (w == 1 && len(own1) > 0))

/* ic_worker_give_away: the slot, then the queue. Each goes from one place to the
 * other under no lock of both, and is in neither for a moment. */
inline give_away(w) {
  do
  :: atomic {
       if
       :: slot[w] != NOBODY -> i = slot[w]; slot[w] = NOBODY
       :: w == 0 && len(own0) > 0 -> own0?i
       :: w == 1 && len(own1) > 0 -> own1?i
       :: else -> i = NOBODY
       fi
     };
     if
     :: i == NOBODY -> break
     :: else -> put(injected, i)
     fi
  od
}

#ifdef NOTHING_IS_GIVEN_AWAY
#define is_to_give(w) false
#else
#define is_to_give(w) has_behind(w)
#endif
#ifdef NOBODY_IS_STUCK
#define is_to_mark(w) false
#else
#define is_to_mark(w) !stuck[w]
#endif

/* watch_locked, and the look at the injected that follows */
inline watch(w) {
  atomic { in_turn[w] && (is_to_give(w) || is_to_mark(w)) -> skip };
#ifndef NOTHING_IS_GIVEN_AWAY
  give_away(w);
#endif
#ifndef NOBODY_IS_STUCK
  atomic {                      /* the turn may be over by now */
    if
    :: exists[w] && !stuck[w] -> stuck[w] = true; stuck_count++
    :: else
    fi
  };
  if                            /* ic_worker_wake_more, where it is blocked */
  :: len(injected) > 0 -> wake(WORKERS)
  :: true
  fi
#endif
}

/* One that was taken and cannot be rung yet is set again; more than once of that
 * changes nothing. */
inline ring_alarm(j) {
  alarm[j] = false;             /* ic_alarms_take_due */
  atomic {                      /* ic_mailbox_rouse */
    slept = asleep[j];
    asleep[j] = false;
    if
    :: slept -> assert(!queued[j]); queued[j] = true
    :: else
    fi
  };
  if
  :: slept -> inject(j)
#ifndef ALARMS_RING_ONCE
  :: else -> alarm[j] = true; retried = true
#else
  :: else
#endif
  fi
}

proctype Monitor() {
  byte i, woken;
  bool slept, retried;
  do
  :: alarm[1] && (asleep[1] || !retried) -> ring_alarm(1)
  :: !monitor_sleeps ->
     if
     :: alarm[1] && (asleep[1] || !retried) -> ring_alarm(1)
#ifdef BLOCKS
     :: watch(0)
     :: watch(1)
#endif
     :: len(injected) > 0 && !spinning && (idle_count > 0 || able < wanted) &&
        (idle_count > 0 || !exists[0] || !exists[1]) -> wake_one()
     :: atomic { is_quiet -> monitor_sleeps = true };  /* fall_asleep */
        if                      /* ic_parker_park; an alarm is rung above */
        :: atomic { monitor_unparked -> monitor_unparked = false }
        :: alarm[1] && (asleep[1] || !retried)
        fi;
        monitor_sleeps = false
     fi
  od
}

/* --- Who sends from elsewhere --------------------------------------------- */

#ifdef ALARM
#define FIRST 1
#else
#define FIRST 0
#endif

/* SENDS_TWICE: to isolate 1 also. */
proctype Sender() {
  byte woken;
  bool slept;
  push(FIRST);
  if :: slept -> inject(FIRST) :: else fi;
#ifdef SENDS_TWICE
  push(1);
  if :: slept -> inject(1) :: else fi
#endif
}

/* When nothing can move any more. */
proctype Judge() {
  timeout;
#ifdef ALARM
  assert(handled[1] == 1 && rung && !alarm[1])
#else
  assert(handled[0] == 1);
#ifdef SENDS_TWICE
  assert(handled[1] == 2);
#else
  assert(handled[1] == 1);
#endif
#ifdef THREE
  assert(handled[2] == 1)
#endif
#endif
}

init {
  atomic {
    byte i;
    for (i : 0 .. ISOLATES - 1) { asleep[i] = true }   /* ic_pool_add */
#ifdef SPARE
    for (i : 0 .. WORKERS - 1) { exists[i] = true }
    worker_count = WORKERS;
#endif
    run Worker(0);
    run Worker(1);
#ifdef MONITOR
    run Monitor();
#endif
    run Sender();
    run Judge()
  }
}
