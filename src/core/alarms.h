// alarms.h - when isolates of the pool want to run though nothing comes.
//
// Each isolate has one alarm at most: the nearest time that it asked for. An
// alarm is never later than asked for, but may be too early, as a later time
// does not move it; who is woken for nothing asks again. So what asks for
// timeouts that hardly ever pass, as requests do, seldom touches the heap.
//
// Threads: any. Memory: an isolate is counted while it has an alarm.

#ifndef IC_ALARMS_H
#define IC_ALARMS_H

#include "core/isolate.h"

typedef struct {
  ic_mutex mutex;
  ic_isolate **heap;  // guard: mutex; by alarm_ns, the nearest first
  size_t count;       // guard: mutex
  size_t capacity;    // guard: mutex
} ic_alarms;

void ic_alarms_init(ic_alarms *alarms);
void ic_alarms_fini(ic_alarms *alarms);

// Asks for an alarm at [deadline_ns]; true if it is the nearest of all now.
bool ic_alarms_set(ic_alarms *alarms, ic_isolate *isolate, int64_t deadline_ns);

// Takes an alarm that is due, and gives its isolate, counted; or NULL, and when
// the next will be due.
ic_isolate *ic_alarms_take_due(ic_alarms *alarms, int64_t now_ns,
                               int64_t *next_ns);

// Forgets the isolate's alarm.
void ic_alarms_remove(ic_alarms *alarms, ic_isolate *isolate);

#endif
