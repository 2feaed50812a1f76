// paths_test.c - isolates are found by their paths; numbers are given once.

#include "core/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "failing.h"

enum { MANY = 3000 };

static ic_isolate *put(ic_paths *paths, const char *path) {
  ic_isolate *isolate = NULL;
  if (ic_paths_reserve(paths) != IC_OK) return NULL;
  if (ic_isolate_new(path, &isolate) != IC_OK) return NULL;
  ic_paths_put(paths, isolate);
  return isolate;
}

static void finds_each_of_many(void) {
  static ic_isolate *isolates[MANY];
  ic_paths paths = {0};
  CHECK(!ic_paths_find(&paths, "/0"));
  char path[32];
  for (int i = 0; i < MANY; i++) {
    snprintf(path, sizeof path, "/%d", i);
    CHECK((isolates[i] = put(&paths, path)) != NULL);
  }
  for (int i = 0; i < MANY; i++) {
    snprintf(path, sizeof path, "/%d", i);
    CHECK(ic_paths_find(&paths, path) == isolates[i]);
    CHECK(isolates[i]->in_map);
  }
  for (int i = 0; i < MANY; i += 2) {
    ic_paths_drop(&paths, isolates[i]);
    CHECK(!ic_paths_find(&paths, isolates[i]->path) && !isolates[i]->in_map);
  }
  for (int i = 1; i < MANY; i += 2) {
    CHECK(ic_paths_find(&paths, isolates[i]->path) == isolates[i]);
    ic_paths_drop(&paths, isolates[i]);
  }
  CHECK(paths.count == 0);
  for (int i = 0; i < MANY; i++)
    ic_isolate_release(isolates[i]);
  ic_paths_fini(&paths);
}

static void a_number_is_given_once_beneath_each_prefix(void) {
  ic_paths paths = {0};
  char prefix[32], path[IC_PATH_MAX_BYTES + 1], wanted[64];
  for (int round = 1; round <= 3; round++) {
    for (int i = 0; i < MANY; i++) {
      snprintf(prefix, sizeof prefix, "/p%d/", i);
      CHECK(ic_paths_generate(&paths, prefix, path) == IC_OK);
      snprintf(wanted, sizeof wanted, "%s%d", prefix, round);
      CHECK(strcmp(path, wanted) == 0);
    }
  }
  ic_paths_fini(&paths);
}

// As one does that means to fill the memory.
static void what_is_remembered_is_bounded(void) {
  ic_paths paths = {0};
  char prefix[1024], path[IC_PATH_MAX_BYTES + 1];
  for (int i = 0; i < 3; i++)
    CHECK(ic_paths_generate(&paths, "/a/", path) == IC_OK);
  CHECK(strcmp(path, "/a/3") == 0);
  for (int i = 0; i < 20000; i++) {
    snprintf(prefix, sizeof prefix, "/%0900d/", i);
    CHECK(ic_paths_generate(&paths, prefix, path) == IC_OK);
    CHECK(paths.numbering_bytes <= IC_PATHS_NUMBERING_BYTES + sizeof prefix);
  }
  CHECK(ic_paths_generate(&paths, "/a/", path) == IC_OK);
  CHECK(atoi(path + strlen("/a/")) > 3);
  ic_paths_fini(&paths);
}

static void a_path_in_use_is_passed_over(void) {
  ic_paths paths = {0};
  ic_isolate *first = put(&paths, "/a/1"), *second = put(&paths, "/a/2");
  CHECK(first && second);
  char path[IC_PATH_MAX_BYTES + 1];
  CHECK(ic_paths_generate(&paths, "/a/", path) == IC_OK);
  CHECK(strcmp(path, "/a/3") == 0);
  ic_paths_drop(&paths, first);
  ic_paths_drop(&paths, second);
  ic_isolate_release(first);
  ic_isolate_release(second);
  ic_paths_fini(&paths);
}

static void no_memory_leaves_it_as_it_was(void) {
  ic_paths paths = {0};
  char path[IC_PATH_MAX_BYTES + 1] = "";
  for (int n = 0; failing_at(n); n++) {
    ic_status status = ic_paths_generate(&paths, "/a/", path);
    bool failed = failing_stop();
    CHECK(status == (failed ? IC_MEMORY : IC_OK));
    if (!failed) break;
  }
  CHECK(strcmp(path, "/a/1") == 0);
  failing_at(0);
  ic_status status = ic_paths_reserve(&paths);
  CHECK(failing_stop() && status == IC_MEMORY);
  CHECK(ic_paths_reserve(&paths) == IC_OK);
  ic_paths_fini(&paths);
}

int main(void) {
  RUN(finds_each_of_many);
  RUN(a_number_is_given_once_beneath_each_prefix);
  RUN(what_is_remembered_is_bounded);
  RUN(a_path_in_use_is_passed_over);
  RUN(no_memory_leaves_it_as_it_was);
  return check_report("paths");
}
