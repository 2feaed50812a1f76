// dead_letters.h - values that reach nobody: counted, and told to who listens.
//
// A dead letter is a value or a reply whose receiver had ended, or ended before it
// read it. Each is counted. Where somebody watches for them (IC_WATCH_DEAD), it is
// made an event of kind DEAD, and goes there instead of being freed; so while nobody
// does, they cost a count. Events are no values, so they never become dead letters.
//
// How many wait for the listener at once is limited, in number and bytes; those
// beyond are counted, and the next event says how many there were.

#ifndef IC_DEAD_LETTERS_H
#define IC_DEAD_LETTERS_H

#include "core/registry.h"

// Reasons; static.
#define IC_LETTER_GONE "gone"      // sent to one that had ended
#define IC_LETTER_UNREAD "unread"  // its receiver ended before it read it

enum { IC_LETTERS_MAX = 1000, IC_LETTERS_BYTES_MAX = 8 << 20 };

// The messages of [chain] reached nobody: [to] had ended, or ends now. Takes
// [chain]; what of it is no value is only freed. Threads: any.
void ic_dead_letters_add(ic_registry *registry, ic_isolate *to,
                         ic_message *chain, const char *reason);

// As ic_dead_letters_add, of messages that [to] ends without having read; the
// requests among them are answered.
void ic_dead_letters_drop(ic_registry *registry, ic_isolate *to,
                          ic_message *chain);

// An event of kind DEAD has come to its listener. Threads: any.
void ic_dead_letters_read(ic_registry *registry, const ic_message *event);

#endif
