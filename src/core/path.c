// path.c - checks a path segment by segment.

#include "core/path.h"

#include <string.h>

static bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static const char *segment_complaint(const char *segment, size_t size) {
  if (size == 0) return "a segment is empty";
  if (size > IC_SEGMENT_MAX_BYTES) return "a segment has more than 255 bytes";
  if (strncmp(segment, "..", size) == 0) {
    return size == 1 ? "a segment is '.'" : "a segment is '..'";
  }
  for (size_t i = 0; i < size; i++) {
    if (!is_unreserved(segment[i])) {
      return "a segment may have letters, digits and -._~ only";
    }
  }
  return NULL;
}

bool ic_path_is_prefix(const char *path) {
  size_t size = strlen(path);
  return size > 0 && path[size - 1] == '/';
}

const char *ic_path_complaint(const char *path, bool prefix) {
  if (path[0] != '/') return "it must begin with '/'";
  if (strlen(path) > IC_PATH_MAX_BYTES) return "it has more than 1,024 bytes";
  if (prefix && path[1] == '\0') return NULL;
  for (const char *at = path; *at == '/';) {
    const char *segment = at + 1;
    if (prefix && *segment == '\0') return NULL;
    size_t size = strcspn(segment, "/");
    const char *complaint = segment_complaint(segment, size);
    if (complaint) return complaint;
    at = segment + size;
  }
  return prefix ? "a prefix must end in '/'" : NULL;
}
