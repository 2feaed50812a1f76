// limits.h - how the limits of the public header are kept.
//
// Memory: past the limit the script gets an error that it can catch; at the hard
// limit, a thirty-second above, the isolate ends: with its thread, and what lies
// about in blocks, it stays below a twentieth. A small limit has its error earlier,
// so that there is room for it.

#ifndef IC_LIMITS_H
#define IC_LIMITS_H

#include "isolate_cluster.h"

// With a limit of memory: from how many bytes on the script gets an error, and
// how many there are never more of.
size_t ic_limits_soft_bytes(const ic_limits *limits);
size_t ic_limits_hard_bytes(const ic_limits *limits);

// Makes [limits] no wider than [most].
void ic_limits_meet(ic_limits *limits, const ic_limits *most);

#endif
