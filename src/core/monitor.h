// monitor.h - the pool's thread that watches the workers and rings the alarms.
//
// It looks every TICK_MS while anything is awake, and sleeps until the next
// alarm while all workers do.

#ifndef IC_MONITOR_H
#define IC_MONITOR_H

#include "core/worker.h"

// Errors: IC_MEMORY.
ic_status ic_monitor_start(ic_pool *pool);

// The pool is stopping.
void ic_monitor_join(ic_pool *pool);

#endif
