// status.h - what a call that can fail answers: ic_status and its texts.
//
// The values are public (isolate_cluster.h) and each has a short name, the same
// that Lua programs get as the third result: `nil, message, "gone"`.
//
// Threads: any. Memory: the names are static.

#ifndef IC_STATUS_H
#define IC_STATUS_H

#include "isolate_cluster.h"

// The status whose name is [name], or IC_ERROR where there is none.
ic_status ic_status_from_name(const char *name);

#endif
