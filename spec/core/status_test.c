// status_test.c - each status has a name and a text of its own.

#include <string.h>

#include "check.h"
#include "isolate_cluster.h"

enum { COUNT = IC_DENIED + 1 };

static void each_has_its_own_name(void) {
  for (int i = 0; i < COUNT; i++) {
    CHECK(ic_status_name((ic_status)i)[0] != '\0');
    for (int k = 0; k < i; k++) {
      const char *name = ic_status_name((ic_status)k);
      CHECK(strcmp(ic_status_name((ic_status)i), name) != 0);
    }
  }
}

static void each_has_its_own_text(void) {
  for (int i = 0; i < COUNT; i++) {
    CHECK(ic_status_text((ic_status)i)[0] != '\0');
    for (int k = 0; k < i; k++) {
      const char *text = ic_status_text((ic_status)k);
      CHECK(strcmp(ic_status_text((ic_status)i), text) != 0);
    }
  }
}

// API.md's codes.
static void names_are_those_that_lua_gets(void) {
  CHECK(strcmp(ic_status_name(IC_GONE), "gone") == 0);
  CHECK(strcmp(ic_status_name(IC_TIMEOUT), "timeout") == 0);
  CHECK(strcmp(ic_status_name(IC_FULL), "full") == 0);
  CHECK(strcmp(ic_status_name(IC_IN_USE), "in use") == 0);
  CHECK(strcmp(ic_status_name(IC_NOT_FOUND), "not found") == 0);
  CHECK(strcmp(ic_status_name(IC_DOWN), "down") == 0);
  CHECK(strcmp(ic_status_name(IC_DEADLOCK), "deadlock") == 0);
  CHECK(strcmp(ic_status_name(IC_MEMORY), "memory") == 0);
  CHECK(strcmp(ic_status_name(IC_CPU), "cpu") == 0);
  CHECK(strcmp(ic_status_name(IC_UNSENDABLE), "unsendable") == 0);
  CHECK(strcmp(ic_status_name(IC_LOAD), "load") == 0);
  CHECK(strcmp(ic_status_name(IC_MALFORMED), "malformed") == 0);
  CHECK(strcmp(ic_status_name(IC_RANGE), "range") == 0);
  CHECK(strcmp(ic_status_name(IC_DENIED), "denied") == 0);
}

static void down_says_what_people_are_promised(void) {
  CHECK(strcmp(ic_status_text(IC_DOWN), "the node is down") == 0);
}

static void what_is_no_status_is_an_error(void) {
  CHECK(ic_status_name((ic_status)COUNT) == ic_status_name(IC_ERROR));
  CHECK(ic_status_text((ic_status)-1) == ic_status_text(IC_ERROR));
}

int main(void) {
  RUN(each_has_its_own_name);
  RUN(each_has_its_own_text);
  RUN(names_are_those_that_lua_gets);
  RUN(down_says_what_people_are_promised);
  RUN(what_is_no_status_is_an_error);
  return check_report("status");
}
