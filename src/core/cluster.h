// cluster.h - a node's isolates together: spawning, looking up, counting.

#ifndef IC_CLUSTER_H
#define IC_CLUSTER_H

#include "core/capture.h"
#include "core/registry.h"
#include "core/sentry.h"
#include "core/watchdog.h"

typedef struct ic_module {
  struct ic_module *next;
  ic_open_function open;
  char name[];
} ic_module;

// Bytes that somebody owns; no data: none.
typedef struct {
  char *data;
  size_t size;
} ic_bytes;

// Copies bytes, if there are any; false: no memory.
bool ic_bytes_copy(const char *data, size_t size, ic_bytes *out);

struct ic_cluster {
  _Atomic uint32_t users;
  uint64_t key;  // random, 63 bits: tells refs of this cluster from others
  ic_registry registry;
  ic_scheduler scheduler;
  ic_watchdog watchdog;
  ic_sentry sentry;
  bool shared;       // where a spawn does not say
  ic_limits limits;  // likewise
  ic_report_function report;
  void *report_context;
  ic_capture
      *capture;  // of what isolates print and report; NULL: none. Written
                 // once, before the first isolate
  // What confines an isolate whose spawn does not say; bytes that only the body
  // understands. Written once, before the first spawn.
  ic_bytes sandbox;

  // Guard: the registry's mutex.
  int64_t shutdown_deadline_ns;
  bool all_agreed;
  bool was_asked;              // by a shutdown: its isolates, to end
  bool shutdown_thread_known;  // started, and to be joined
  ic_thread shutdown_thread;
  ic_module *modules;  // only ever grows, at its head

  // Guard: the mutex of the process's list.
  ic_cluster *next_in_process;
};

ic_cluster *ic_cluster_hold(ic_cluster *cluster);

// The last user frees it; isolates that run are users.
void ic_cluster_release(ic_cluster *cluster);

// The cluster of this process with [key], counted for the caller; NULL if none.
ic_cluster *ic_cluster_find(uint64_t key);

// Calls [visit] for each cluster of the process, with the mutex of their list held.
void ic_cluster_visit_all(void (*visit)(ic_cluster *cluster, void *context),
                          void *context);

typedef struct {
  const char *path;  // as ic_registry_reserve
  ic_message *properties;
  ic_body *body;
  // False: the body is loaded by the calling thread. True: by the isolate's own;
  // the outcome then comes to [spawner] as a SPAWNED message with [request].
  bool load_later;
  bool shared;      // run by the pool
  bool supervised;  // by [spawner]: see supervision.h
  ic_limits limits;
  ic_isolate *spawner;
  // Of a confined spawner: see family.h; 0: it is not confined.
  size_t family_most;
  uint64_t request;
} ic_start;

// Starts an isolate. On IC_OK it is registered, or, with load_later, will be.
//
// Ownership: takes the properties and the body, whatever comes; copies the
//            path; gives [out], and [message], which may be NULL, where the body
//            does not load or there is no place for one more.
// Errors: IC_IN_USE, IC_DOWN, IC_INVALID, IC_LOAD, IC_MEMORY; IC_FULL - the
//         cluster, or the spawner's family, has as many as it may.
ic_status ic_cluster_start(ic_cluster *cluster, ic_start *start,
                           ic_isolate **out, char **message);

// Ends [isolate] of [cluster] by force, whatever it does, with [reason], one of
// IC_REASON_. It is told of like any other end. Threads: any; does not wait.
// Errors: IC_MEMORY - there is no thread to see it through.
ic_status ic_cluster_kill(ic_cluster *cluster, ic_isolate *isolate,
                          const char *reason);

// Reports [text] about the isolate at [path] to whoever was named to hear of it; false:
// nobody.
bool ic_cluster_report(ic_cluster *cluster, const char *path, const char *text);

// The cluster's figures. What isolates sent and received is in them only once
// they have ended; [live] counts the others, those that still load included.
void ic_cluster_totals(ic_cluster *cluster, ic_totals *out, size_t *live);

#endif
