// test_cluster.h - what most tests of a cluster need one of.

#ifndef TEST_CLUSTER_H
#define TEST_CLUSTER_H

#include "core/cluster.h"
#include "test_body.h"

static ic_cluster *cluster;
static test_script play;

static inline void set_up(void) {
  script_init(&play);
  cluster = NULL;
  ic_cluster_new(NULL, &cluster);
}

static inline void tear_down(void) {
  ic_cluster_free(cluster);
  script_fini(&play);
}

static inline ic_status try_start(const char *path, ic_isolate **out,
                                  char **text) {
  ic_start start = {.path = path, .body = test_body_new(&play)};
  return ic_cluster_start(cluster, &start, out, text);
}

// A running isolate, or NULL.
static inline ic_isolate *start(const char *path) {
  ic_isolate *isolate = NULL;
  return try_start(path, &isolate, NULL) == IC_OK ? isolate : NULL;
}

static inline ic_isolate *new_outsider(void) {
  ic_isolate *outsider = NULL;
  return ic_isolate_new("(outsider)", &outsider) == IC_OK ? outsider : NULL;
}

static inline ic_status send_integer(ic_isolate *to, ic_isolate *sender,
                                     uint64_t request) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return IC_MEMORY;
  ic_message_add_integer(message, 7);
  message->request = request;
  ic_send_options options = {.sender = sender};
  ic_status status = ic_ref_send(to, message, &options);
  if (status != IC_OK) ic_message_free(message);
  return status;
}

static inline ic_status find_status(const char *path) {
  ic_ref *ref = NULL;
  ic_status status = ic_cluster_lookup(cluster, path, &ref);
  ic_ref_release(ref);
  return status;
}

static inline ic_totals totals(void) {
  ic_totals totals;
  size_t live;
  ic_cluster_totals(cluster, &totals, &live);
  return totals;
}

#endif
