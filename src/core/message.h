// message.h - what travels: an encoded value with its envelope.
//
// A message that Lua sends is one block: the header below, then its bytes, in
// the ic_buffer that they were encoded into. One that a C program builds keeps
// its bytes in a block of their own.
//
//   bytes  +---------------+------------------+----------------+
//          | value (CBOR)  | correlation id   | type, NUL      |
//          +---------------+------------------+----------------+
//            value_size      correlation_size   type_size
//
// Refs inside the value are written as bytes (ref.c) and, so that the isolate
// can be named by whoever reads them even when it has ended meanwhile, counted
// in [refs].
//
// Threads: one at a time; a sent message belongs to the mailbox, then to the
// receiver. Memory: ic_message_free frees all of it.

#ifndef IC_MESSAGE_H
#define IC_MESSAGE_H

#include "core/block.h"
#include "core/buffer.h"
#include "isolate_cluster.h"

typedef struct ic_isolate ic_isolate;

typedef enum {
  IC_MESSAGE_VALUE,    // a value for onMessage
  IC_MESSAGE_REPLY,    // the answer to a request; status: of the request
  IC_MESSAGE_COMMAND,  // a value from our own Lua code, for a supervisor's
  IC_MESSAGE_LOAD,     // first of all: load the entry on this thread
  IC_MESSAGE_CANCEL,   // first of all: the spawn failed, end at once
  IC_MESSAGE_START,    // registered: run the entry
  IC_MESSAGE_SPAWNED,  // sender: the new isolate; status: of the spawn
  IC_MESSAGE_UP,       // sender: the isolate that came up
  IC_MESSAGE_DOWN,     // sender: the isolate that ended; reason
  IC_MESSAGE_ENDED,    // likewise, of one that was watched under a number
  IC_MESSAGE_DEAD,     // a value that did not reach reply_to, and why; request:
                       // how many were not told since the last one
  IC_MESSAGE_PROBE,    // the sentry asks where it waits; request: how long, ns
  IC_MESSAGE_STUCK,    // sender is stuck: text; reason: how; request: ns
  IC_MESSAGE_TOKEN,    // stands for a value; see bound.h
  IC_MESSAGE_ROOM,     // a value that waited under [request] was sent, or not
  IC_MESSAGE_HANDED,   // sender has handed the request on to reply_to, or, if
                       // that is NULL, to who knows whom
  IC_MESSAGE_SHUTDOWN,    // the isolate is asked to end
  IC_MESSAGE_NODE_EMPTY,  // no isolate is left; sent to ports
  IC_MESSAGE_NODE_DOWN    // the shutdown is complete; sent to ports
} ic_message_kind;

// Isolates that are counted for as long as the list holds them.
typedef struct {
  ic_isolate **items;
  uint32_t count;
  uint32_t capacity;
} ic_ref_list;

// Adds [isolate] and counts it. Errors: IC_MEMORY.
ic_status ic_ref_list_add(ic_ref_list *list, ic_isolate *isolate);
void ic_ref_list_fini(ic_ref_list *list);

typedef struct ic_builder ic_builder;

// What each message needs comes first: the first cache line and that of the value,
// which begins in the second, are all that goes from core to core for a small one.
struct ic_message {
  ic_message *next;    // the mailbox's, then the receiver's queue
  ic_isolate *sender;  // counted, or NULL
  const uint8_t *bytes;
  size_t value_size;
  ic_isolate *reply_to;  // counted, or NULL: the sender
  uint64_t request;      // VALUE: which request of [reply_to] it is, 0: none;
                         // REPLY, SPAWNED, ENDED: which one it answers
  ic_message_kind kind : 8;
  ic_status status : 8;
  bool was_sent;         // so it can't be sent once more
  bool is_weighed;       // as memory of its receiver; see weight.h
  uint32_t block_units;  // of the block that begins with this header
  uint32_t correlation_size;
  uint32_t type_size;  // with its NUL; 0: none
  ic_ref_list refs;
  union {
    uint64_t cluster_key;  // NODE_*, UP, DOWN, DEAD, STUCK: of which cluster
    uint64_t moment;       // others, where the mailbox is dated: of the push
  };
  const char *reason;   // DOWN, ENDED, DEAD, STUCK: static
  char *text;           // SPAWNED, REPLY: why not; STUCK; owned, or NULL
  ic_builder *builder;  // of one that a C program built
};

// A message without a value. Gives; NULL where there is no memory.
ic_message *ic_message_new_event(ic_message_kind kind);

// The message whose bytes [buffer] holds: a value, and behind it [parts]. The
// buffer's headroom is sizeof(ic_message), and it holds at least one byte.
//
// Ownership: takes the buffer's block and the list's items; both are empty then.
typedef struct {
  uint32_t correlation_size;
  uint32_t type_size;
} ic_message_parts;
ic_message *ic_message_wrap(ic_buffer *buffer, ic_message_parts parts,
                            ic_ref_list *refs);

// Completes a message that a C program built, to be sent now; [correlation] are
// encoded bytes, [type] a string or NULL. May be called again as long as the
// message was not sent.
// Errors: IC_INVALID - no value, something left open, or sent already.
//         IC_MEMORY.
ic_status ic_message_finish(ic_message *message, const uint8_t *correlation,
                            size_t correlation_size, const char *type);

// The buffer of a message that is being built, for one more item to be written
// into; [done] says that it was.
// Errors: IC_INVALID - no item may stand here.
ic_status ic_message_place(ic_message *message, ic_buffer **out);
void ic_message_placed(ic_message *message);

// A message with the same value and refs, and no envelope.
// Errors: IC_INVALID - [message] is incomplete; IC_MEMORY.
ic_status ic_message_copy(const ic_message *message, ic_message **out);

// What it takes besides its block.
size_t ic_message_bytes_apart(const ic_message *message);

static inline size_t ic_message_block_bytes(const ic_message *message) {
  return (size_t)message->block_units * IC_BLOCK_UNIT;
}

// Whether it has nothing besides its block.
static inline bool ic_message_is_one_block(const ic_message *message) {
  return !message->builder && message->refs.capacity == 0;
}

// How much memory it takes, its block as a whole.
static inline size_t ic_message_weight(const ic_message *message) {
  bool is_one_block = ic_message_is_one_block(message);
  return ic_message_block_bytes(message) +
         (is_one_block ? 0 : ic_message_bytes_apart(message));
}

// Frees every message of a chain.
void ic_message_free_chain(ic_message *chain);

static inline const char *ic_message_type_bytes(const ic_message *message) {
  return (const char *)message->bytes + message->value_size +
         message->correlation_size;
}

#endif
