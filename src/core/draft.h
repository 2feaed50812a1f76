// draft.h - an allocator that puts into an arena only what will stay.
//
// Whoever builds something frees much of what it makes on the way: tables that
// grow, texts, code that runs once. In an arena that leaves gaps, and core/image.c
// would copy them. So what is to be built is built twice, by the same steps. The
// first time the draft notes which blocks are not freed; the second time those
// lie in the arena, one behind the other, and all others elsewhere.
//
// A second time that takes other blocks than the first does no harm; but what
// was built then does not lie in the arena as a whole.
//
// Threads: a draft has no lock; one thread at a time.

#ifndef IC_DRAFT_H
#define IC_DRAFT_H

#include "core/arena.h"

typedef struct ic_draft ic_draft;

// NULL: no memory.
ic_draft *ic_draft_new(void);

// NULL is allowed. All blocks that lie elsewhere are freed before.
void ic_draft_free(ic_draft *draft);

// Begins a first time, with nothing noted. Its blocks are all elsewhere.
void ic_draft_rehearse(ic_draft *draft);

// Ends it: what has not been freed stays.
void ic_draft_note(ic_draft *draft);

// Begins the second time: what stays, by the notes, is made in [arena], which is
// new, and lies in its home.
void ic_draft_perform(ic_draft *draft, ic_arena *arena);

// True if no block lies elsewhere.
bool ic_draft_is_whole(const ic_draft *draft);

// Makes, resizes and frees blocks, by the contract of lua_Alloc; a block that is
// resized is a new one, where it shrinks too. [draft] is an ic_draft.
//
// Errors: NULL - no memory; [block] is as it was.
void *ic_draft_allocate(void *draft, void *block, size_t old_size,
                        size_t new_size);

#endif
