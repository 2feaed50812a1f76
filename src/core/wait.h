// wait.h - isolates that can do nothing but wait for another's answer, and cycles
// of them.
//
// An isolate says so when it falls asleep: nobody listens for messages there, no
// timer is set, nothing else can call its code, and all requests that it waits for
// are to one other isolate. Such an isolate answers nobody before it is answered
// itself, or gives up. A cycle of them is a deadlock. It is told to the isolate
// whose request is the first to time out: that one could not have been answered
// in its time, as nobody else in the cycle does anything before. So nothing is ever
// called a deadlock that was none.
//
// Why that is exact, though each record has a lock of its own, a bit that is set for
// as long as it is read. Who looks walks the
// cycle twice, and finds in both walks the same records (by [naps], which rises
// with each). So at the moment T between the walks all of them stood, and no code
// ran anywhere in the cycle. An answer that had been sent by then was pushed before
// its sender's record was made, so who sees that record sees [pushed] counted up;
// and who was to get it has not taken it, as taking is followed by the end of the
// record before any code runs: so [pushed] differs from the [taken] in the record,
// and the second walk sees that.
//
// Whoever closes a cycle looks: each makes its own record first, then looks at the
// others', so at least the last one sees all. The stores that make records, and the
// looks at others', have one order (seq_cst): that is what "last" means here.

#ifndef IC_WAIT_H
#define IC_WAIT_H

#include "core/isolate.h"

// Makes the record of [isolate]: it waits for [on], with requests of which the one
// that ends first is [request], at [deadline_ns]. [on] lives until the end of the
// record.
// Threads: the isolate's.
void ic_wait_begin(ic_isolate *isolate, ic_isolate *on, uint64_t request,
                   int64_t deadline_ns);

// Ends the record, before any code of the isolate runs. Threads: the isolate's.
void ic_wait_end(ic_isolate *isolate);

// Whether there is a record. Threads: any.
static inline bool ic_wait_stands(const ic_isolate *isolate) {
  return atomic_load(&isolate->wait.on) != 0;
}

// Looks for a cycle that [isolate], whose record stands, is in; tells of it, as a
// refused request, whose turn it is. True if there was one. Where there is no memory
// to tell, the request times out as if nobody had looked. Threads: the isolate's.
bool ic_wait_tell_deadlock(ic_isolate *isolate);

#endif
