// large.h - blocks that are mappings of their own: some stay warm for the next one of
// their size, as fresh memory is slow.
//
// Threads: any. Memory: a block is whose it was given to, until that gives it back and
// says its size.

#ifndef IC_LARGE_H
#define IC_LARGE_H

#include <stddef.h>

// No block is smaller.
#define IC_LARGE_LEAST ((size_t)64 << 10)

// What the process keeps resident of blocks that nobody uses, at most.
#define IC_LARGE_WARM_BYTES ((size_t)32 << 20)

// A block of at least [size] bytes, aligned to a page. NULL: no memory.
void *ic_large_take(size_t size);

// [size]: what was last asked for.
void ic_large_give(void *block, size_t size);

// A block with the first bytes of [block], which is given back. NULL: no memory;
// [block] is as it was. One that shrinks always succeeds.
void *ic_large_resize(void *block, size_t old_size, size_t new_size);

// The largest size for which ic_large_take gives the same block as for [size].
size_t ic_large_fit(size_t size);

// What is kept now.
size_t ic_large_warm_bytes(void);

#endif
