// paths.h - a registry's isolates by their paths, and the numbers that it gives.
//
// Both are hash tables whose buckets are lists. The numbers beneath a prefix only ever
// rise, so that a generated path is not given twice in the life of a cluster. What is
// remembered for that, one number for each prefix, is bounded: where there would be
// too much, all of it is forgotten, and all go on behind the highest.
//
// Threads: whoever holds the registry's mutex.

#ifndef IC_PATHS_H
#define IC_PATHS_H

#include "core/isolate.h"
#include "core/path.h"

typedef struct ic_numbering ic_numbering;

typedef struct {
  ic_isolate **buckets;  // by next_in_bucket
  size_t bucket_count;   // a power of two, or 0
  size_t count;
  ic_numbering **numberings;  // or NULL
  size_t numbering_bytes;
  uint64_t last_forgotten;  // no number up to it is given
} ic_paths;                 // zeros: empty

// What the numberings may take, their buckets not counted.
#define IC_PATHS_NUMBERING_BYTES ((size_t)4 << 20)

// Frees it; there is no isolate in it.
void ic_paths_fini(ic_paths *paths);

// The isolate with [path], or NULL.
ic_isolate *ic_paths_find(const ic_paths *paths, const char *path);

// Makes room for one more. Errors: IC_MEMORY.
ic_status ic_paths_reserve(ic_paths *paths);

// Puts [isolate], whose path is not in use; there is room.
void ic_paths_put(ic_paths *paths, ic_isolate *isolate);

// Takes it out.
void ic_paths_drop(ic_paths *paths, ic_isolate *isolate);

// Puts the next free number behind [prefix].
// Errors: IC_INVALID - the path would be too long; IC_MEMORY.
ic_status ic_paths_generate(ic_paths *paths, const char *prefix,
                            char out[IC_PATH_MAX_BYTES + 1]);

#endif
