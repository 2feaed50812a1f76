// watch.h - who waits for the end of one isolate: a list on that isolate.
//
// The message that tells of the end is made when the watch begins, so no lack of
// memory keeps it from coming. A watch is its maker's, who frees it, told or not.
//
// Threads: a watch has one owner. The list, and whether a watch is in it, are
//          guarded by the mutex of the registry that the watched isolate is in.

#ifndef IC_WATCH_H
#define IC_WATCH_H

#include "core/isolate.h"

struct ic_watch {
  uint64_t cluster_key;  // of the watched isolate
  ic_isolate *watcher;   // counted: whose mailbox the event goes to
  // Guard: the mutex of that cluster's registry.
  ic_message *event;  // NULL once it was told
  ic_watch *next;
  ic_watch **link;  // what points to it in the list; NULL: in none
};

// A watch that is in no list. The event has the number [number], and counts the
// watched isolate as its sender. Gives [out]. Errors: IC_MEMORY.
ic_status ic_watch_new(ic_isolate *watched, ic_isolate *watcher,
                       uint64_t number, ic_watch **out);

// It is in no list. NULL is allowed.
void ic_watch_free(ic_watch *watch);

void ic_watch_link_locked(ic_watch *watch, ic_isolate *watched);

// Does nothing where it is in no list.
void ic_watch_unlink_locked(ic_watch *watch);

// Takes the next watch out of the list: its event, for the caller to push to
// [watcher], which lives as long as the lock is held. NULL: none is left.
ic_message *ic_watch_take_locked(ic_isolate *watched, ic_isolate **watcher);

#endif
