// capture.c - records in one buffer.
//
//   record  +------+-----------+-----------+-----------+------+
//           | kind | path_size | text_size | path, NUL | text |
//           +------+-----------+-----------+-----------+------+

#include "core/capture.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  ic_captured_kind kind;
  size_t path_size;  // with its NUL
  size_t text_size;
} head;

ic_capture *ic_capture_new(void) {
  ic_capture *capture = calloc(1, sizeof *capture);
  if (!capture) return NULL;
  ic_mutex_init(&capture->mutex);
  ic_buffer_init(&capture->records, 0);
  return capture;
}

void ic_capture_free(ic_capture *capture) {
  if (!capture) return;
  ic_buffer_fini(&capture->records);
  ic_mutex_fini(&capture->mutex);
  free(capture);
}

static void add_locked(ic_capture *capture, const head *record,
                       const char *path, const char *text) {
  ic_buffer *records = &capture->records;
  size_t size = sizeof *record + record->path_size + record->text_size;
  if (ic_buffer_reserve(records, size) != IC_OK) return;
  ic_buffer_append(records, record, sizeof *record);
  ic_buffer_append(records, path, record->path_size);
  ic_buffer_append(records, text, record->text_size);
}

void ic_capture_add(ic_capture *capture, ic_captured_kind kind,
                    const char *path, const char *text, size_t size) {
  head record = {
      .kind = kind, .path_size = strlen(path) + 1, .text_size = size};
  ic_mutex_lock(&capture->mutex);
  add_locked(capture, &record, path, text);
  ic_mutex_unlock(&capture->mutex);
}

size_t ic_capture_size(ic_capture *capture) {
  ic_mutex_lock(&capture->mutex);
  size_t size = capture->records.size;
  ic_mutex_unlock(&capture->mutex);
  return size;
}

// Records are only ever added, so those that [size] was made for are all there.
size_t ic_capture_copy(ic_capture *capture, void *bytes, size_t size) {
  ic_mutex_lock(&capture->mutex);
  if (size > capture->records.size) size = capture->records.size;
  if (size > 0) memcpy(bytes, capture->records.bytes, size);
  ic_mutex_unlock(&capture->mutex);
  return size;
}

bool ic_capture_read(const void *bytes, size_t size, size_t *at,
                     ic_captured *out) {
  head record;
  if (size - *at < sizeof record) return false;
  const char *from = (const char *)bytes + *at;
  memcpy(&record, from, sizeof record);
  size_t left = size - *at - sizeof record;
  if (record.path_size > left || record.text_size > left - record.path_size) {
    return false;
  }
  const char *path = from + sizeof record;
  *out = (ic_captured){.kind = record.kind,
                       .path = path,
                       .text = path + record.path_size,
                       .size = record.text_size};
  *at += sizeof record + record.path_size + record.text_size;
  return true;
}
