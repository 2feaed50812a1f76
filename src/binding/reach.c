// reach.c - a few prefixes, looked at one after the other.

#include "binding/reach.h"

#include <stdlib.h>
#include <string.h>

static bool covers(const char *prefix, size_t length, const char *path) {
  if (length > 0 && prefix[length - 1] == '/') {
    return strncmp(path, prefix, length) == 0;
  }
  return strcmp(path, prefix) == 0;
}

bool ic_reach_covers(const ic_reach *reach, const char *path) {
  if (!reach->prefixes) return true;
  const char *end = reach->prefixes + reach->size;
  for (const char *at = reach->prefixes; at < end;) {
    size_t length = strlen(at);
    if (covers(at, length, path)) return true;
    at += length + 1;
  }
  return false;
}

void ic_reach_fini(ic_reach *reach) {
  free(reach->prefixes);
  *reach = (ic_reach){0};
}
