// value.h - Lua values as CBOR and back.
//
// nil, booleans, integers, floats, strings and tables are written as codec.h
// says. Userdata that stand for something travel through the hooks. Tables that
// are met twice keep their identity by tags 28 and 29.
//
//   Lua                                     CBOR
//   nil                                     null; undefined is read as nil too
//   table whose keys are exactly 1..n       array; so is the empty table
//   any other table                         map
//   string of well-formed UTF-8             text; any other: a byte string
//
// Read, but never written: other widths of floats, indefinite lengths, unknown
// tags (their content is taken, big numbers' bytes too), simple values without
// a meaning (their number, an integer), text that is no UTF-8 (as it is), maps
// with nil for a value (the pair is left out), arrays with nil (a hole).
//
// Both directions keep what they need in C memory that belongs to the scratch,
// so that no error that Lua raises can strand any of it.
//
// Threads: one at a time for a scratch and its lua_State.

#ifndef IC_VALUE_H
#define IC_VALUE_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/buffer.h"
#include "core/codec.h"
#include "isolate_cluster.h"

enum { IC_VALUE_TEXT_SIZE = 688 };

// Items of one size that grow; the type is their user's.
typedef struct {
  void *items;
  size_t count;
  size_t capacity;
  size_t bytes;
} ic_value_list;

// Memory that is used again by each call. [text] tells of the last error.
typedef struct {
  uint32_t epoch;               // of the slots: older ones are empty
  bool decoding;                // a decode runs, or was left by an error
  ic_value_list encode_frames;  // tables that are being written
  ic_value_list tables;         // visited tables, in the order of their bytes
  ic_value_list slots;          // from a table's address to its place there
  ic_value_list references;     // where visited tables were met again
  ic_value_list decode_frames;  // arrays, maps and tags that are being read
  ic_value_list buckets;        // their keys, as Lua will spread them
  ic_codec_sizes sizes;         // of maps of indefinite length
  ic_buffer joined;             // the chunks of a string
  ic_buffer encoded;            // IsolateCluster.encode's bytes, to be copied
  char text[IC_VALUE_TEXT_SIZE];
} ic_value_scratch;

// What the caller knows of userdata. A NULL pointer to hooks, or a NULL hook:
// no userdata can be sent; tag 27 is as unknown as others.
typedef struct {
  void *context;

  // Of the isolate whose code calls, or NULL. Looked at again and again, as a value
  // can be huge, and the code be condemned meanwhile.
  const _Atomic(const char *) *killed;

  // Appends the item that stands for the userdata at [index] (absolute). It has
  // no tags 28 or 29.
  //
  // Stack:  [-0, +0], 16 free slots. Must not raise, run Lua code or encode.
  // Errors: IC_UNSENDABLE - the userdata stands for nothing; IC_MEMORY.
  ic_status (*encode_ref)(void *context, lua_State *L, int index,
                          ic_buffer *out);

  // Replaces the content of a tag 27 by what it stands for, or leaves it.
  //
  // Stack: [-1, +1], 16 free slots. May raise.
  void (*revive)(void *context, lua_State *L);
} ic_value_hooks;

// So many values are written or read between two looks, at most.
enum { IC_VALUE_ROUND = 4096 };

static inline bool ic_value_is_for_none(const ic_value_hooks *hooks) {
  return hooks && hooks->killed &&
         atomic_load_explicit(hooks->killed, memory_order_relaxed);
}

void ic_value_scratch_init(ic_value_scratch *scratch);
void ic_value_scratch_fini(ic_value_scratch *scratch);

// What it keeps.
size_t ic_value_scratch_bytes(const ic_value_scratch *scratch);

// Tells that no call uses the scratch now, whatever errors went by. Without it,
// after an error that was raised in the middle of a decode, later decodes take
// memory of their own, as those do that run inside another (in a finalizer).
void ic_value_scratch_reset(ic_value_scratch *scratch);

// Appends the value at the top of [L] to [out] and pops it. [name] is what the
// errors call the value: "message.items[3].cb: a function (app.lua:12) can't be
// sent".
//
// Stack:  [-1, +0]. Never raises, runs no Lua code.
// Errors: IC_UNSENDABLE, IC_MEMORY, IC_GONE - [out] has the size it had; text in
//         the scratch. IC_GONE: the caller's isolate is condemned.
ic_status ic_value_encode(lua_State *L, ic_value_scratch *scratch,
                          const ic_value_hooks *hooks, const char *name,
                          ic_buffer *out);

// As ic_value_encode, of the value at [index], which stays. Stack: [-0, +0], one free
// slot.
ic_status ic_value_encode_at(lua_State *L, int index, ic_value_scratch *scratch,
                             const ic_value_hooks *hooks, const char *name,
                             ic_buffer *out);

// Pushes the value that is encoded in [bytes]: exactly one item.
//
// Stack:  [-0, +1] on IC_OK, else [-0, +0]. Raises only memory errors, and what
//         the hook raises.
// Errors: IC_MALFORMED - not one well-formed item, or a map whose keys are nil,
//         NaN or come twice, or a reference to what was not marked before.
//         IC_RANGE - well-formed, but an integer of more than 64 signed bits,
//         or deeper than IC_CODEC_DEPTH. IC_MEMORY, IC_GONE. Text in the scratch.
ic_status ic_value_decode(lua_State *L, ic_value_scratch *scratch,
                          const ic_value_hooks *hooks, const uint8_t *bytes,
                          size_t size);

#endif
