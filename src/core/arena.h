// arena.h - the memory of one isolate: counted to the byte, dropped at once.
//
// Small blocks are cut from the arena's home, and from chunks (chunks.h) where that is
// not enough, and reused by size class. Large blocks are those of block.h, on a list.
//
// Threads: an arena has no lock; one thread at a time. Different arenas are
//          independent of each other.
// Memory:  a block belongs to the arena that made it and ends with it.

#ifndef IC_ARENA_H
#define IC_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ic_arena ic_arena;

// NULL: no memory.
ic_arena *ic_arena_new(void);

// The same in a [home] that is not of the store, whose bytes may be any. Such an
// arena is not to be freed. NULL: in this build arenas have no homes.
ic_arena *ic_arena_new_in(void *home);

// True if all of [arena] lies in its home, in the [used_bytes] from [home] on.
bool ic_arena_is_at_home(const ic_arena *arena, void **home,
                         size_t *used_bytes);

// Drops [arena] with all of its blocks, whether they were freed or not; it does
// not visit the small ones. NULL is allowed.
void ic_arena_free(ic_arena *arena);

// Makes, resizes and frees blocks, by the contract of lua_Alloc: a new block
// where [block] is NULL ([old_size] says nothing then); [new_size] 0 frees it,
// and NULL is returned. [old_size] is what was last asked for it. Blocks are
// aligned to 16 bytes.
//
// Errors: NULL - the system has no memory; [block] is as it was. A block that
//         shrinks always succeeds.
void *ic_arena_realloc(ic_arena *arena, void *block, size_t old_size,
                       size_t new_size);

// How much an arena may hold (ic_arena_held_bytes). At what would make it more
// than [hard_bytes] ic_arena_realloc fails, as if the system had none.
// [on_threshold] is called before it holds more than [threshold_bytes], once until
// that is set again.
typedef struct {
  size_t hard_bytes;  // 0: no limit at all
  size_t threshold_bytes;
  void (*on_threshold)(void *context);
  // What others have of the same limit, and where they see what the arena holds;
  // or NULL, both.
  size_t (*other_bytes)(void *context);
  _Atomic size_t *held_bytes;
  void *context;
} ic_arena_limit;
void ic_arena_set_limit(ic_arena *arena, const ic_arena_limit *limit);
void ic_arena_set_threshold(ic_arena *arena, size_t threshold_bytes);

// What others have of the limit has grown: false if with it there is more than
// [hard_bytes]. May call [on_threshold].
bool ic_arena_may_stay(ic_arena *arena);

// How much more the arena may hold, whatever others have; SIZE_MAX without a limit.
size_t ic_arena_room(const ic_arena *arena);

// Gives back what the arena holds and does not use, as far as that can be found.
void ic_arena_tidy(ic_arena *arena);

// The sum of the sizes asked for, of all blocks there are.
size_t ic_arena_bytes(const ic_arena *arena);

// What the arena has taken from the system for them; address space, of which
// the part never written to is not resident.
size_t ic_arena_held_bytes(const ic_arena *arena);

#endif
