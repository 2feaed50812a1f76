// shutdown.h - the end of a cluster: its isolates are asked to end, then made to, then
// left behind. The public header has the rest: ic_cluster_shutdown, ic_cluster_free.

#ifndef IC_SHUTDOWN_H
#define IC_SHUTDOWN_H

#include "core/cluster.h"

// Begins a shutdown on a thread of its own; one that runs already is only made
// to end earlier. IC_MESSAGE_NODE_DOWN tells of its end. Errors: IC_MEMORY -
// nothing has begun.
ic_status ic_cluster_begin_shutdown(ic_cluster *cluster, int64_t timeout_ms);

// Whether a shutdown waits in vain: all isolates have been asked to end, those that
// are left sleep, and no message or time is to come for any. Threads: any.
bool ic_cluster_refuses_to_end(ic_cluster *cluster);

// Whether all isolates agreed to the shutdown, which is complete; joins its
// thread.
bool ic_cluster_end_shutdown(ic_cluster *cluster);

// Shuts down all clusters of the process at once, and waits for their ends; how
// many there were.
size_t ic_cluster_shutdown_all(int64_t timeout_ms);

#endif
