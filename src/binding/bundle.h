// bundle.h - the Lua part of the library, as text in the program.
//
// The build turns lua/isolate_cluster/*.lua into bundle.c, so the library finds
// its own Lua code wherever it is installed, and always that of its version.

#ifndef IC_BUNDLE_H
#define IC_BUNDLE_H

#include <stddef.h>

typedef struct {
  const char *name;  // the module's: "isolate_cluster.stream"
  const unsigned char *bytes;
  size_t size;
} ic_bundle_file;

extern const ic_bundle_file ic_bundle_files[];
extern const size_t ic_bundle_count;

#endif
