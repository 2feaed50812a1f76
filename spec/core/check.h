// check.h - the C tests' frame: named tests, checks that say where they failed.
//
//   static void takes_in_order(void) { CHECK(sum == 3); }
//   int main(void) { RUN(takes_in_order); return check_report("mailbox"); }
//
// A failed check ends its test (not the others). The last line printed is
// "mailbox: N passed, N failed", the exit status 1 where one failed.

#ifndef IC_CHECK_H
#define IC_CHECK_H

#include <stdio.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED 1
#else
#define ADDRESS_SANITIZED 0
#endif
#if ADDRESS_SANITIZED || defined(__SANITIZE_THREAD__) || \
    __has_feature(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static int check_passed, check_failed, check_bad;

#define CHECK(condition)                                                 \
  do {                                                                   \
    if (!(condition)) {                                                  \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
      check_bad = 1;                                                     \
      return;                                                            \
    }                                                                    \
  } while (0)

// In a helper: the test that called it ends there too.
#define CALL(helper)       \
  do {                     \
    helper;                \
    if (check_bad) return; \
  } while (0)

#define RUN(test)                                 \
  do {                                            \
    check_bad = 0;                                \
    test();                                       \
    if (check_bad) printf("FAILED %s\n", #test);  \
    *(check_bad ? &check_failed : &check_passed) += 1; \
  } while (0)

static inline int check_report(const char *name) {
  printf("%s: %d passed, %d failed\n", name, check_passed, check_failed);
  return check_failed ? 1 : 0;
}

#endif
