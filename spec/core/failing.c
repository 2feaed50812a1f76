// failing.c - what the linker's --wrap puts before the C library's functions.

#define _GNU_SOURCE
#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__real_ic_block_take(size_t size);
void *__real_ic_block_resize(void *block, size_t old_size, size_t new_size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);

void *__real_mmap(void *wanted, size_t size, int access, int flags, int file,
                  off_t offset);
void *__real_mremap(void *old, size_t old_size, size_t size, int flags, ...);
FILE *__real_fopencookie(void *cookie, const char *mode,
                         cookie_io_functions_t functions);
int __real_eventfd(unsigned count, int flags);

void *__wrap_mmap(void *wanted, size_t size, int access, int flags, int file,
                  off_t offset);
void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, ...);
FILE *__wrap_fopencookie(void *cookie, const char *mode,
                         cookie_io_functions_t functions);
int __wrap_eventfd(unsigned count, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_ic_block_take(size_t size);
void *__wrap_ic_block_resize(void *block, size_t old_size, size_t new_size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);

static _Thread_local bool is_on, has_failed;
static _Thread_local int calls_left;

static _Atomic int all_calls_left = -1;  // below 0: not on, or past
static _Atomic bool all_is_on, all_have_failed, all_from_there_on;

static _Atomic bool no_thread_starts;

static bool fails_everywhere(void) {
  if (!atomic_load(&all_is_on)) return false;
  int left = atomic_fetch_sub(&all_calls_left, 1);
  bool fails = left == 0 || (left < 0 && atomic_load(&all_from_there_on));
  if (fails) atomic_store(&all_have_failed, true);
  return fails;
}

void failing_everywhere(int n, bool from_there_on) {
  atomic_store(&all_from_there_on, from_there_on);
  atomic_store(&all_have_failed, false);
  atomic_store(&all_calls_left, n);
  atomic_store(&all_is_on, true);
}

void failing_threads(bool can_start) {
  atomic_store(&no_thread_starts, !can_start);
}

bool failing_everywhere_stop(void) {
  atomic_store(&all_is_on, false);
  return atomic_load(&all_have_failed);
}

static bool fails(void) {
  if (fails_everywhere()) return true;
  if (!is_on || calls_left-- != 0) return false;
  has_failed = true;
  return true;
}

bool failing_at(int n) {
  if (n > 0 && !has_failed) return false;
  is_on = true;
  has_failed = false;
  calls_left = n;
  return true;
}

bool failing_stop(void) {
  is_on = false;
  return has_failed;
}

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
  return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text) {
  return fails() ? NULL : __real_strdup(text);
}

void *__wrap_ic_block_take(size_t size) {
  return fails() ? NULL : __real_ic_block_take(size);
}

void *__wrap_ic_block_resize(void *block, size_t old_size, size_t new_size) {
  return fails() ? NULL : __real_ic_block_resize(block, old_size, new_size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument) {
  if (fails() || atomic_load(&no_thread_starts)) return EAGAIN;
  return __real_pthread_create(thread, attributes, run, argument);
}

// Whoever asks for these may do without, so that they fail only where nobody
// counts how many do.

void *__wrap_mmap(void *wanted, size_t size, int access, int flags, int file,
                  off_t offset) {
  if (!fails_everywhere()) {
    return __real_mmap(wanted, size, access, flags, file, offset);
  }
  errno = ENOMEM;
  return MAP_FAILED;
}

void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, ...) {
  if (!fails_everywhere()) return __real_mremap(old, old_size, size, flags);
  errno = ENOMEM;
  return MAP_FAILED;
}

FILE *__wrap_fopencookie(void *cookie, const char *mode,
                         cookie_io_functions_t functions) {
  return fails_everywhere() ? NULL
                            : __real_fopencookie(cookie, mode, functions);
}

int __wrap_eventfd(unsigned count, int flags) {
  if (!fails_everywhere()) return __real_eventfd(count, flags);
  errno = EMFILE;
  return -1;
}
