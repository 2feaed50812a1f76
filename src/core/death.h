// death.h - being told of the end of one isolate, wherever that is or was.
//
// The event is a message of kind ENDED: its sender is the isolate that has
// ended, its reason and error are that isolate's. It comes once, and behind all
// that the isolate had sent to the watcher. Where the isolate has ended already
// it comes at once; and where nobody knows why any more, as its ref was read
// from bytes that came later than its end, the reason is NULL.

#ifndef IC_DEATH_H
#define IC_DEATH_H

#include "core/watch.h"

// Makes [watcher] hear of the end of [watched] under [number].
//
// Ownership: gives [out], to be ended by ic_death_forget.
// Threads: any. Errors: IC_MEMORY - it hears of nothing.
ic_status ic_death_watch(ic_isolate *watched, ic_isolate *watcher,
                         uint64_t number, ic_watch **out);

// [message] could not be pushed to [to], which had ended: it is a dead letter of the
// cluster of [to], or, where that is gone, of [own], which may be NULL. Takes
// [message]. Threads: any.
void ic_death_bury(ic_isolate *to, ic_message *message, ic_cluster *own);

// Likewise of a value that its sender has kept: it is only counted. Threads: any.
void ic_death_count(const ic_isolate *to);

// Ends a watch; an event that has been told stays told. Takes [watch]; NULL is
// allowed. Threads: any.
void ic_death_forget(ic_watch *watch);

#endif
