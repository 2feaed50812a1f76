// capture.h - what isolates print and report, kept for a test that looks at it.
//
// Threads: any. Memory: what there is no memory for is left out.

#ifndef IC_CAPTURE_H
#define IC_CAPTURE_H

#include "core/buffer.h"
#include "core/sync.h"

typedef enum {
  IC_CAPTURED_OUTPUT,  // lines for stdout
  IC_CAPTURED_ERRORS,  // lines for stderr
  IC_CAPTURED_REPORT   // an uncaught error, an end by a limit, a stuck isolate
} ic_captured_kind;

typedef struct {
  ic_mutex mutex;
  ic_buffer records;  // guard: mutex
} ic_capture;

// Gives. NULL: no memory.
ic_capture *ic_capture_new(void);

// NULL is allowed.
void ic_capture_free(ic_capture *capture);

// Keeps a copy of the [size] bytes of [text], which the isolate at [path] wrote.
void ic_capture_add(ic_capture *capture, ic_captured_kind kind,
                    const char *path, const char *text, size_t size);

// How many bytes ic_capture_copy gives, at least.
size_t ic_capture_size(ic_capture *capture);

// Copies all records, the oldest first, as far as [size] bytes hold whole ones;
// how many bytes those are.
size_t ic_capture_copy(ic_capture *capture, void *bytes, size_t size);

// One record of such a copy; what it points to is in the copy.
typedef struct {
  ic_captured_kind kind;
  const char *path;
  const char *text;
  size_t size;
} ic_captured;

// Reads the record at [*at], and moves that behind it; false at the end.
bool ic_capture_read(const void *bytes, size_t size, size_t *at,
                     ic_captured *out);

#endif
