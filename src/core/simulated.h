// simulated.h - a cluster whose isolates a simulator runs.

#ifndef IC_SIMULATED_H
#define IC_SIMULATED_H

#include "core/cluster.h"
#include "core/simulator.h"

// Makes a simulator run the isolates of [cluster], in which none was spawned yet;
// the calling thread is the driver's. Its shutdown has no thread: the driver does
// it too. Errors: IC_MEMORY.
ic_status ic_simulated_start(ic_cluster *cluster, uint64_t seed,
                             bool is_virtual);

#endif
