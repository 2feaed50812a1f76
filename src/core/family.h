// family.h - what a confined isolate spawns, and what that spawns in turn: a family,
// of which so many may live at once.
//
// Threads: any. Memory: counted; each member, and who began it, is a user.

#ifndef IC_FAMILY_H
#define IC_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ic_family ic_family;

// A family without members, with one user. NULL: no memory.
ic_family *ic_family_new(size_t most);

ic_family *ic_family_hold(ic_family *family);

// NULL is allowed.
void ic_family_release(ic_family *family);

// Takes a place for a member; false: there is none left.
bool ic_family_enter(ic_family *family);
void ic_family_leave(ic_family *family);

#endif
