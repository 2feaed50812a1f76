// meter.h - what a thread that runs isolates with a limit of CPU time says of its
// turns, and what the turns of a pool have used. Below watchdog.h, which looks at it.
//
// A turn costs its thread plain stores, and no fence. Where the watchdog finds the
// same odd number in [calls] before and behind what it reads, that was all of one
// turn: the release of each store into [calls], and of that into [runs], pairs with
// the acquire of the watchdog's loads. The isolate that it has read so is there as
// long as it holds the mutex, which each takes once behind its last turn
// (ic_watchdog_isolate_ends). Calls within a turn are told by the isolate's count of
// messages, and where there was none, by [calls].

#ifndef IC_METER_H
#define IC_METER_H

#include "core/isolate.h"

// The watchdog looks so often, or sooner.
#define IC_METER_TICK_NS (5 * IC_NS_PER_MS)

// Of a turn whose isolate has no time for its life.
#define IC_METER_UNTIMED INT64_MIN

typedef struct ic_meter ic_meter;

struct ic_meter {
  // What each turn uses is one line of the cache.

  // Two for each turn or call that is counted; odd in a turn.
  _Alignas(IC_CACHE_LINE) _Atomic uint64_t calls;
  _Atomic(ic_isolate *) runs;    // whose turn it is, or was
  struct ic_watchdog *watchdog;  // written once
  ic_isolate *owner;             // the only one that its thread runs, or NULL;
                                 // that writes it, with the mutex
  // The turn of an isolate with a time for its life and without a thread of its
  // own: when it began; below 0: which one it is, that is not timed. A look may put
  // the time in place of that.
  _Atomic int64_t turn_began_ns;
  _Atomic int64_t turn_floor_ns;  // the clock, at least
  uint32_t turns_before;          // its thread's: for which the turn stands
  uint32_t seed;                  // likewise; never 0
  bool is_timing;                 // likewise: it times the turn itself

  // Written by a look.
  _Atomic int64_t seen_ns;  // the clock
  // Where it found an untimed turn: the clock; what its thread had used since the look
  // before, a tick at most.
  _Atomic int64_t found_floor_ns;
  _Atomic int64_t found_share_ns;

  // Guard: the watchdog's mutex.
  ic_meter *next;
  ic_thread_clock clock;  // its thread reads it without
  bool is_unused;         // its thread has ended: any may have it
  uint64_t seen_calls;    // at the last look
  uint64_t seen_handled;  // likewise, of whose turn it was
  int64_t began_ns;       // what the clock said when that call was first seen
  int64_t found_ns;       // when the last untimed turn was found
};

static inline uint64_t ic_meter_calls(const ic_meter *meter) {
  return atomic_load_explicit(&meter->calls, memory_order_relaxed);
}

static inline void ic_meter_count(ic_meter *meter, uint64_t by) {
  atomic_store_explicit(&meter->calls, ic_meter_calls(meter) + by,
                        memory_order_release);
}

// Whether what [isolate] uses in its whole life is added up turn by turn.
static inline bool ic_meter_times(const ic_meter *meter,
                                  const ic_isolate *isolate) {
  return isolate->limits.cpu_total_ns > 0 && !meter->owner;
}

// Of one whose turns are: the turn begins, which is timed where none is to be skipped.
void ic_meter_begin_timed_turn(ic_meter *meter, ic_isolate *isolate);
static inline void ic_meter_skip_turn(ic_meter *meter, ic_isolate *isolate) {
  isolate->skipped_turns--;
  atomic_store_explicit(&meter->turn_began_ns,
                        -(int64_t)ic_meter_calls(meter) - 1,
                        memory_order_relaxed);
}

// The turn is over, of which [turn_began_ns] says that it was timed, or found by a look.
void ic_meter_end_timed_turn(ic_meter *meter, int64_t began_ns);

// With the mutex: what [isolate], whose turn is looked at, has used in its life so far.
// The clock says [now_ns], and said [seen_ns] at the look before. A turn that is not
// timed is found, if it is still the same.
int64_t ic_meter_look_locked(ic_meter *meter, const ic_isolate *isolate,
                             int64_t now_ns, int64_t seen_ns);

#endif
