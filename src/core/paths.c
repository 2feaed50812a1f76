// paths.c - a hash table that doubles, and one that does not.

#include "core/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of numberings there are only so many that a table of one size does.
enum { FIRST_BUCKETS = 64, NUMBERING_BUCKETS = 4096 };

struct ic_numbering {
  ic_numbering *next;
  uint64_t last;
  char prefix[];
};

// Keeps the buckets.
static void forget_numberings(ic_paths *paths) {
  if (!paths->numberings) return;
  for (size_t i = 0; i < NUMBERING_BUCKETS; i++) {
    while (paths->numberings[i]) {
      ic_numbering *numbering = paths->numberings[i];
      if (numbering->last > paths->last_forgotten) {
        paths->last_forgotten = numbering->last;
      }
      paths->numberings[i] = numbering->next;
      free(numbering);
    }
  }
  paths->numbering_bytes = 0;
}

void ic_paths_fini(ic_paths *paths) {
  forget_numberings(paths);
  free(paths->numberings);
  free(paths->buckets);
  *paths = (ic_paths){0};
}

static size_t hash(const char *path) {
  uint64_t hash = UINT64_C(14695981039346656037);  // FNV-1a
  for (; *path; path++)
    hash = (hash ^ (uint8_t)*path) * UINT64_C(1099511628211);
  return (size_t)(hash ^ (hash >> 32));
}

// --- Isolates ---------------------------------------------------------------

static ic_isolate **bucket_of(const ic_paths *paths, const char *path) {
  return &paths->buckets[hash(path) & (paths->bucket_count - 1)];
}

ic_isolate *ic_paths_find(const ic_paths *paths, const char *path) {
  if (paths->bucket_count == 0) return NULL;
  ic_isolate *isolate = *bucket_of(paths, path);
  while (isolate && strcmp(isolate->path, path) != 0) {
    isolate = isolate->next_in_bucket;
  }
  return isolate;
}

static void link(ic_paths *paths, ic_isolate *isolate) {
  ic_isolate **bucket = bucket_of(paths, isolate->path);
  isolate->next_in_bucket = *bucket;
  *bucket = isolate;
}

ic_status ic_paths_reserve(ic_paths *paths) {
  if (paths->count < paths->bucket_count) return IC_OK;
  size_t old_count = paths->bucket_count;
  size_t count = old_count ? old_count * 2 : FIRST_BUCKETS;
  ic_isolate **old = paths->buckets;
  ic_isolate **buckets = calloc(count, sizeof *buckets);
  if (!buckets) return IC_MEMORY;
  paths->buckets = buckets;
  paths->bucket_count = count;
  for (size_t i = 0; i < old_count; i++) {
    for (ic_isolate *isolate = old[i]; isolate;) {
      ic_isolate *next = isolate->next_in_bucket;
      link(paths, isolate);
      isolate = next;
    }
  }
  free(old);
  return IC_OK;
}

void ic_paths_put(ic_paths *paths, ic_isolate *isolate) {
  link(paths, isolate);
  isolate->in_map = true;
  paths->count++;
}

void ic_paths_drop(ic_paths *paths, ic_isolate *isolate) {
  ic_isolate **link = bucket_of(paths, isolate->path);
  while (*link != isolate)
    link = &(*link)->next_in_bucket;
  *link = isolate->next_in_bucket;
  isolate->in_map = false;
  paths->count--;
}

// --- Numbers ----------------------------------------------------------------

// Makes room for one more; false: no memory.
static bool reserve_numbering(ic_paths *paths) {
  if (paths->numbering_bytes > IC_PATHS_NUMBERING_BYTES) {
    forget_numberings(paths);
  }
  if (!paths->numberings) {
    paths->numberings = calloc(NUMBERING_BUCKETS, sizeof *paths->numberings);
  }
  return paths->numberings != NULL;
}

// That of [prefix]; NULL: no memory.
static ic_numbering *get_numbering(ic_paths *paths, const char *prefix) {
  if (!reserve_numbering(paths)) return NULL;
  ic_numbering **bucket = &paths->numberings[hash(prefix) % NUMBERING_BUCKETS];
  for (ic_numbering *at = *bucket; at; at = at->next) {
    if (strcmp(at->prefix, prefix) == 0) return at;
  }
  size_t size = strlen(prefix) + 1;
  ic_numbering *numbering = malloc(sizeof *numbering + size);
  if (!numbering) return NULL;
  memcpy(numbering->prefix, prefix, size);
  numbering->last = paths->last_forgotten;
  numbering->next = *bucket;
  *bucket = numbering;
  paths->numbering_bytes += sizeof *numbering + size;
  return numbering;
}

ic_status ic_paths_generate(ic_paths *paths, const char *prefix,
                            char out[IC_PATH_MAX_BYTES + 1]) {
  ic_numbering *numbering = get_numbering(paths, prefix);
  if (!numbering) return IC_MEMORY;
  do {
    int size = snprintf(out, IC_PATH_MAX_BYTES + 1, "%s%llu", prefix,
                        (unsigned long long)++numbering->last);
    if (size > IC_PATH_MAX_BYTES) return IC_INVALID;
  } while (ic_paths_find(paths, out));
  return IC_OK;
}
