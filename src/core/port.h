// port.h - a mailbox that a thread outside of the cluster reads.
//
// A port is an isolate without a body, for C programs: it can have a path, is
// looked up and sent to like any other, and hears when the node is down. The
// interface is in isolate_cluster.h.

#ifndef IC_PORT_H
#define IC_PORT_H

#include "core/cluster.h"

#endif
