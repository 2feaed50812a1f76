// registry.h - who is there: paths to isolates, and who hears of ups and downs.
//
// One mutex guards all of it. Under it an isolate becomes findable in the same
// moment in which its up is put into the watchers' mailboxes, and loses its path
// in the same moment as its down is, so every watcher sees up and down of one
// path in the order in which they happened, and who hears of a down can have
// the path at once. Pushing does not wait; the wake-ups follow the unlock. An
// event that there is no memory for is left out.

#ifndef IC_REGISTRY_H
#define IC_REGISTRY_H

#include "core/changes.h"
#include "core/paths.h"
#include "core/watch.h"

typedef enum { IC_NODE_UP, IC_NODE_STOPPING, IC_NODE_DOWN } ic_node_state;

// What all isolates together did, those that have ended included.
typedef struct {
  uint64_t spawned;
  uint64_t ended;
  uint64_t sent;
  uint64_t received;
  uint64_t late_replies;
  uint64_t dropped;
  uint64_t dead_letters;
} ic_totals;

typedef struct {
  ic_isolate *isolate;  // counted; may be of no cluster, as a host script's
  unsigned watches;     // IC_WATCH_ flags, at least one
} ic_watcher;

typedef struct {
  ic_mutex mutex;
  ic_condition changed;  // isolates, node, or a user's own matter has changed
  // Guard of all that follows: mutex.
  ic_node_state node;
  uint64_t cluster_key;
  size_t isolates;  // reserved and live; ports not counted
  size_t most;      // of them; 0: any number
  ic_paths paths;
  uint64_t version;  // the moment of the last up or down
  ic_watcher *watchers;
  size_t watcher_count;
  size_t watcher_capacity;
  ic_changes changes;  // not heard yet by those that start
  ic_totals totals;    // of those that have ended
  size_t letters;      // events of dead letters that wait to be heard
  size_t letter_bytes;
  uint64_t letters_missed;  // since the last one that was told
} ic_registry;

void ic_registry_init(ic_registry *registry, uint64_t cluster_key);
void ic_registry_fini(ic_registry *registry);

// Makes an isolate that has its path and is not to be found yet. [path] may be
// a prefix: a number is put behind it. NULL, for ports only: no path at all.
//
// Ownership: copies [path]; gives [out], whose one user is the registry until
//            ic_registry_remove. Threads: any.
// Errors: IC_IN_USE, IC_DOWN, IC_INVALID (malformed), IC_MEMORY; IC_FULL - there are
// as many isolates as may be.
ic_status ic_registry_reserve(ic_registry *registry, const char *path,
                              bool is_port, ic_isolate **out);

// Makes [isolate] findable and tells those who watch. [start], which may be
// NULL, becomes its first message. Until an isolate has said what it wants
// (ic_registry_watch) ups and downs are noted for it, so that none is missed.
//
// Ownership: takes [start] on IC_OK. Errors: IC_DOWN - too late; so it is for an
// isolate whose supervisor has ended. IC_MEMORY.
ic_status ic_registry_publish(ic_registry *registry, ic_isolate *isolate,
                              ic_message *start);

// Ends the life of [isolate]: frees the path, tells those who watch; the one
// way in which a death is told. Does nothing the second time. A port without a
// path is forgotten likewise. For one that supervises others it does so when the
// last of them is removed, so that who starts it again finds their paths free.
// Ownership: takes the registry's user of [isolate], which may free it, and
//            [error], which may be NULL.
void ic_registry_remove(ic_registry *registry, ic_isolate *isolate,
                        const char *reason, ic_error *error);

// Whether [isolate] has been published, and not removed.
bool ic_registry_has(ic_registry *registry, const ic_isolate *isolate);

// Sets what [isolate] hears of; 0: nothing more. At the first time, if that is ups or
// downs, [missed] gets all of both since it was published, the oldest first. Each is
// to come behind the messages in its mailbox with a lower [moment] than its own
// ([request]), and before all others. Else it gets NULL. It may be NULL for who does
// not start, or wants nothing.
// Ownership: gives [missed]. Errors: IC_MEMORY.
ic_status ic_registry_watch(ic_registry *registry, ic_isolate *isolate,
                            unsigned watches, ic_message **missed);

// Gives the live isolate or port with [path].
// Errors: IC_NOT_FOUND, IC_DOWN, IC_INVALID.
ic_status ic_registry_find(ic_registry *registry, const char *path,
                           ic_isolate **out);

// Gives the live isolates and ports beneath [prefix], sorted by path.
// Errors: IC_DOWN, IC_INVALID, IC_MEMORY.
ic_status ic_registry_list(ic_registry *registry, const char *prefix,
                           ic_ref_list *out);

// The figures of those that have ended, and of those that have not.
void ic_registry_stats(ic_registry *registry, ic_stats *out);

// A number that rises with each up and down.
uint64_t ic_registry_version(ic_registry *registry);

// Sends an event to every live isolate but those that a live one supervises.
void ic_registry_tell_all(ic_registry *registry, ic_message_kind kind);

// Gives [event] to the first that watches for [watch]; takes it.
void ic_registry_tell(ic_registry *registry, unsigned watch, ic_message *event);

// Waits until no isolate is left. [deadline_ns] is read again at each change,
// under the mutex: whoever lowers it broadcasts. Errors: IC_TIMEOUT.
ic_status ic_registry_wait_empty(ic_registry *registry,
                                 const int64_t *deadline_ns);

void ic_registry_set_node(ic_registry *registry, ic_node_state node);

#endif
