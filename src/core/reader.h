// reader.h - reading a message's value item by item; see isolate_cluster.h.

#ifndef IC_READER_H
#define IC_READER_H

#include "core/ref.h"

#endif
