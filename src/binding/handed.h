// handed.h - requests that are handed on with a message, and who is told.
//
// While a value is encoded, the refs in it that stand for requests are noted. When
// it has been sent, those who asked are told where their answer may come from now.
//
// Threads: the state's own.

#ifndef IC_HANDED_H
#define IC_HANDED_H

#include "core/isolate.h"

typedef struct {
  ic_ref_list askers;
  uint64_t *requests;
  size_t capacity;
} ic_handed;

// Notes request [request] of [asker]. Errors: IC_MEMORY.
ic_status ic_handed_add(ic_handed *handed, ic_isolate *asker, uint64_t request);

// Tells all that was noted that [self] has handed it on to [to]; NULL: to who knows
// whom. Nothing is noted then. Where there is no memory for it, they are not told.
void ic_handed_tell(ic_handed *handed, ic_isolate *self, ic_isolate *to);

// Nothing is noted then.
void ic_handed_forget(ic_handed *handed);

void ic_handed_fini(ic_handed *handed);

#endif
