// chunks.h - memory that arenas are made of, of the whole process: so an isolate that
// begins on one thread takes over the warm memory of one that ended on another.
//
// Threads: any. Memory: a chunk is whose it was given to, until that gives it back.

#ifndef IC_CHUNKS_H
#define IC_CHUNKS_H

#include <stddef.h>

enum { IC_CHUNK_BYTES = 64 << 10 };  // and aligned to them

// In front of each chunk, and of each home.
typedef struct ic_chunk {
  void *owner;  // the store's; that of a home is homes.c's
  struct ic_chunk *next;
  size_t touched;  // no page is resident behind as many bytes
} ic_chunk;

// What the store keeps resident for the next ones, at most.
#define IC_CHUNK_STORE_BYTES ((size_t)32 << 20)

// Gives. NULL: no memory.
ic_chunk *ic_chunk_take(void);

// Takes the list [chunks], linked by next; its last is the first that is taken again.
void ic_chunk_give_all(ic_chunk *chunks);

// What the store keeps resident.
size_t ic_chunk_stored_bytes(void);

#endif
