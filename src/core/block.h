// block.h - memory that one thread takes and another gives back: messages, and
// the large blocks of arenas.
//
// The C library's malloc is slow at just this: what a receiver frees goes back
// to the sender's heap, under that heap's lock, and what a queue needs anew is
// faulted in page by page. Here each thread keeps blocks that it was given, by
// size class, and moves them from and to the process's depot in batches; fresh
// memory is made resident with one call for many pages; and large blocks stay
// warm for the next one of their size.
//
// Blocks have no header: who gives one back says its size, as with lua_Alloc.
// Under AddressSanitizer all are malloc's, so that it sees each of them.
//
// Threads: any. A thread that ends gives its blocks back by itself.

#ifndef IC_BLOCK_H
#define IC_BLOCK_H

#include <stddef.h>

#include "core/large.h"

// A block of at least [size] bytes, aligned to 16. NULL: no memory.
void *ic_block_take(size_t size);

// Gives back a block of which [size] bytes were last asked for. NULL is allowed.
void ic_block_give(void *block, size_t size);

// A block with the first bytes of [block], which is given back. NULL: no memory;
// [block] is as it was. One of IC_BLOCK_LARGE bytes or more that shrinks, but
// not below that, always succeeds.
void *ic_block_resize(void *block, size_t old_size, size_t new_size);

// The largest size for which ic_block_take gives the same block as for [size]; a
// multiple of IC_BLOCK_UNIT, but for malloc's.
size_t ic_block_fit(size_t size);
#define IC_BLOCK_UNIT ((size_t)64)

// From here on a block is a mapping of its own (large.h).
#define IC_BLOCK_LARGE IC_LARGE_LEAST

// Gives all that the calling thread keeps back to the process: whoever is about
// to sleep does not know for how long.
void ic_block_rest(void);

#endif
