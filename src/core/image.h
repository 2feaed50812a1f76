// image.h - an arena as it is, to be copied again and again.
//
// What is built in an arena once can be had again by copying its bytes and
// moving its pointers: a few microseconds for what may take a hundred to build.
// The blocks of the arena must be such that this is sound: pointers to them lie
// aligned and as they are, not packed, encoded or counted from elsewhere, and
// nothing depends on what an address is.
//
// Threads: an image is read by any thread; each copy is its taker's.

#ifndef IC_IMAGE_H
#define IC_IMAGE_H

#include "core/arena.h"

typedef struct ic_image ic_image;

// An arena whose address no other bytes resemble, for an image to be made of.
// It lives as long as the process. NULL: there can be no image here.
ic_arena *ic_image_new_arena(void);

// The image of an arena of ic_image_new_arena, which must not change any more.
// It lives as long as the process. NULL: the arena has outgrown its home, or
// there is no memory.
ic_image *ic_image_new(const ic_arena *arena);

// A copy of all blocks and of the arena that has them. NULL: no memory.
ic_arena *ic_image_copy(const ic_image *image);

// Where in the arena [copy] the block is that the original has at [block].
void *ic_image_moved(const ic_image *image, const ic_arena *copy, void *block);

#endif
