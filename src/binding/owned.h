// owned.h - what userdata of a state own outside of it.
//
// A state that is ended by force runs no finalizer: its memory is dropped. So what
// its userdata hold is on a list of the body, which releases it then.
//
// Threads: the state's own.

#ifndef IC_OWNED_H
#define IC_OWNED_H

typedef struct ic_owned ic_owned;

// A member of such a userdata.
struct ic_owned {
  ic_owned *previous, *next;  // in a ring; NULL: owns nothing
  void (*release)(ic_owned *owned);
};

static inline void ic_owned_init(ic_owned *ring) {
  *ring = (ic_owned){ring, ring, 0};
}

// [owned] owns something from now on, which [release] lets go of. Both are one
// step for interrupts, with what the caller does before and behind it: no function
// of Lua is called in between.
static inline void ic_owned_add(ic_owned *ring, ic_owned *owned,
                                void (*release)(ic_owned *owned)) {
  *owned = (ic_owned){ring, ring->next, release};
  ring->next->previous = owned;
  ring->next = owned;
}

// Lets go of it, if it owns anything.
static inline void ic_owned_release(ic_owned *owned) {
  if (!owned->next) return;
  owned->previous->next = owned->next;
  owned->next->previous = owned->previous;
  owned->previous = owned->next = 0;
  owned->release(owned);
}

static inline void ic_owned_release_all(ic_owned *ring) {
  while (ring->next != ring)
    ic_owned_release(ring->next);
}

#endif
