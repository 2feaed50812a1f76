// path_test.c - which names isolates may have.

#include "core/path.h"

#include <string.h>

#include "check.h"

static bool is_path(const char *path) {
  return ic_path_complaint(path, false) == NULL;
}

static bool is_prefix(const char *path) {
  return ic_path_complaint(path, true) == NULL;
}

static bool complains(const char *path, const char *complaint) {
  const char *text = ic_path_complaint(path, false);
  return text && strcmp(text, complaint) == 0;
}

// "/" and [size] letters, as often as [segments] says.
static const char *make_path(size_t size, int segments) {
  static char path[4096];
  char *at = path;
  for (int i = 0; i < segments; i++) {
    *at++ = '/';
    memset(at, 'a', size);
    at += size;
  }
  *at = '\0';
  return path;
}

static void takes_unreserved_characters(void) {
  CHECK(is_path("/a"));
  CHECK(is_path("/workers/7"));
  CHECK(is_path("/AZaz09-._~/x"));
  CHECK(is_path("/..."));
  CHECK(is_path("/.hidden"));
  CHECK(is_path("/..x/x.."));
}

static void must_begin_with_a_slash(void) {
  CHECK(complains("", "it must begin with '/'"));
  CHECK(complains("a/b", "it must begin with '/'"));
  CHECK(ic_path_complaint("a/", true) != NULL);
}

static void has_no_empty_segment(void) {
  CHECK(complains("/", "a segment is empty"));
  CHECK(complains("/a//b", "a segment is empty"));
  CHECK(complains("/a/", "a segment is empty"));
  CHECK(!is_prefix("//"));
}

static void has_no_segment_of_dots(void) {
  CHECK(complains("/.", "a segment is '.'"));
  CHECK(complains("/a/../b", "a segment is '..'"));
  CHECK(!is_prefix("/../"));
}

static void has_no_other_byte(void) {
  for (int byte = 1; byte < 256; byte++) {
    char path[] = {'/', (char)byte, 'x', '\0'};
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    bool mark = byte == '-' || byte == '.' || byte == '_' || byte == '~';
    bool expected = letter || digit || mark;
    CHECK(is_path(path) == expected);
  }
}

static void has_segments_of_at_most_255_bytes(void) {
  CHECK(is_path(make_path(255, 1)));
  CHECK(complains(make_path(256, 1), "a segment has more than 255 bytes"));
}

static void has_at_most_1024_bytes(void) {
  CHECK(strlen(make_path(255, 4)) == 1024);
  CHECK(is_path(make_path(255, 4)));
  CHECK(complains(make_path(204, 5), "it has more than 1,024 bytes"));
}

static void prefixes_end_in_a_slash(void) {
  CHECK(is_prefix("/"));
  CHECK(is_prefix("/workers/"));
  CHECK(is_prefix("/a/b/"));
  CHECK(!is_prefix("/workers"));
  CHECK(ic_path_is_prefix("/workers/"));
  CHECK(!ic_path_is_prefix("/workers"));
  CHECK(!ic_path_is_prefix(""));
}

int main(void) {
  RUN(takes_unreserved_characters);
  RUN(must_begin_with_a_slash);
  RUN(has_no_empty_segment);
  RUN(has_no_segment_of_dots);
  RUN(has_no_other_byte);
  RUN(has_segments_of_at_most_255_bytes);
  RUN(has_at_most_1024_bytes);
  RUN(prefixes_end_in_a_slash);
  return check_report("path");
}
