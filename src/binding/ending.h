// ending.h - code that is ended in the middle: by a kill, at its limit of memory,
// at the end of its stack.
//
// A state that was left by a jump is dropped: none of its code runs any more, and
// its memory goes back as it is.

#ifndef IC_ENDING_H
#define IC_ENDING_H

#include "binding/body.h"

// Runs [part] of the body's work, which runs the state's code; false if that was
// left in the middle. The state is gone then, and base.reason says why.
// Threads: the body's own, or whoever loads it.
bool ic_ending_run(ic_lua_body *body, void (*part)(ic_lua_body *body));

// Names the end by force in [base.reason] and as the error that the isolate ends
// by, if it has been condemned; false if it has not.
bool ic_ending_name(ic_lua_body *body);

// Remembers which line [L] is at as the one that is ended; the first one stays.
// Allocates nothing. Stack: [-0, +0].
void ic_ending_note_line(ic_lua_body *body, lua_State *L);

// Frees the state without running any code of it.
void ic_ending_drop_state(ic_lua_body *body);

// The allocator of a body's state, and what it obeys: the limits of the isolate.
void *ic_ending_allocate(void *body, void *block, size_t old_size,
                         size_t new_size);
void ic_ending_set_limits(ic_lua_body *body);

// The memory is at its threshold: the next step of [L] collects garbage, and
// raises an error if that is not enough.
void ic_ending_press(ic_lua_body *body, lua_State *L);

// Weighs what the body holds outside of the state's arena for its code; where that is
// too much, the isolate is to end. To be called where it may have grown. Neither
// raises nor leaves the code.
void ic_ending_weigh(ic_lua_body *body);

// How many bytes more than its state has its limit allows; SIZE_MAX: there is none.
size_t ic_ending_room(const ic_lua_body *body);

// The turn is over: where the code has had an error for its memory, and is past its
// limit still, the isolate ends. Stack: [-0, +0]. May raise, in a finalizer's place.
void ic_ending_review(ic_lua_body *body, lua_State *L);

// Ends the isolate here if its stack is nearly at its end.
void ic_ending_check_stack(ic_lua_body *body);

// Makes functions of C that are not ours known where they are loaded, as their code
// is not to be left. Stack: [-0, +0]. Raises memory errors.
void ic_ending_install(ic_lua_body *body, lua_State *L);

// Pushes the loader of a C module that the program has registered. Stack: [-0, +1].
void ic_ending_push_foreign(lua_State *L, ic_lua_body *body,
                            lua_CFunction open);

// The body of an isolate's state, in a hook; NULL: a host script's.
// Stack: [-0, +0], one free slot.
ic_lua_body *ic_ending_body_of(lua_State *L);

#endif
