// isolate_cluster.h - run clusters of Lua isolates from C.
//
// A cluster runs isolates: independent Lua 5.4 states, each on a thread of its
// own, that share nothing and talk by copied messages. A C program starts a
// cluster, spawns isolates, sends them values without having a lua_State, and
// receives through ports.
//
//   ic_cluster *cluster;
//   ic_cluster_new(NULL, &cluster);
//   ic_spawn_options spawn = {.path = "/echo", .file = "echo.lua"};
//   ic_ref *echo;
//   char *message = NULL;
//   if (ic_cluster_spawn(cluster, &spawn, &echo, &message) != IC_OK) ...
//
// Ownership, in the words used below: a function *takes* an argument when it
// is no longer the caller's afterwards, *copies* or *borrows* it when it is
// (borrows says until when), and *gives* a result that the caller must free or
// release. Handles are opaque. NULL is an allowed argument of every _free and
// _release.
//
// Threads: each function says from which threads it may be called. "any" means
// from any thread at any time, also at once on the same object.
//
// Errors: what can fail returns an ic_status; results come through the last
// parameters, which stay untouched on error. Text is UTF-8 and ends in NUL.

#ifndef ISOLATE_CLUSTER_H
#define ISOLATE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IC_VERSION "0.1.0"

#if defined(__GNUC__)
#define IC_API __attribute__((visibility("default")))
#else
#define IC_API
#endif

// --- Statuses --------------------------------------------------------------

typedef enum {
  IC_OK = 0,
  IC_GONE,        // the isolate has ended
  IC_TIMEOUT,     // the time is up
  IC_FULL,        // a mailbox, or the cluster, is at its limit
  IC_IN_USE,      // a living isolate has this path
  IC_NOT_FOUND,   // nothing has this path
  IC_DOWN,        // the node is down, or about to be
  IC_DEADLOCK,    // requests wait for each other
  IC_MEMORY,      // out of memory, or of threads
  IC_CPU,         // over the budget of CPU time
  IC_UNSENDABLE,  // the value holds what can't be sent
  IC_LOAD,        // the entry does not load
  IC_MALFORMED,   // not one well-formed CBOR item
  IC_RANGE,       // well-formed, but more than 64 signed bits or 10,000 levels
  IC_INVALID,     // an argument is wrong: a malformed path, an unclosed array
  IC_ERROR,       // an error in an isolate's code
  IC_DENIED       // a sandbox does not allow it
} ic_status;

// The status's short name, the same that Lua gets: "gone", "in use". Static.
// Threads: any.
IC_API const char *ic_status_name(ic_status status);

// A sentence for people. Static. Threads: any.
IC_API const char *ic_status_text(ic_status status);

// Frees a text that a function of this library gave. Threads: any.
IC_API void ic_free(void *text);

// --- Handles ---------------------------------------------------------------

typedef struct ic_cluster ic_cluster;
typedef struct ic_isolate
    ic_ref;  // counted: what stands for one isolate's life
typedef struct ic_message ic_message;  // a value to send, or one that came
typedef struct ic_port ic_port;        // a mailbox that a C program reads

// A place in a message's value; copy it to remember the place.
typedef struct {
  const ic_message *message;
  const uint8_t *at;
  const uint8_t *end;
} ic_reader;

// --- Clusters --------------------------------------------------------------

// Hears of an uncaught error, with its traceback, of an end by a limit, or of a stuck
// isolate: [text], and the [path] of the isolate. Both are borrowed until the call
// returns. Called on the isolate's thread, of one that is stuck on another; it must not
// wait for the isolate.
typedef void (*ic_report_function)(void *context, const char *path,
                                   const char *text);

// What becomes of a message for a mailbox that is at its limit.
typedef enum {
  IC_WHEN_FULL_FAIL,         // the sender gets IC_FULL
  IC_WHEN_FULL_WAIT,         // the sender waits
  IC_WHEN_FULL_DROP_OLDEST,  // it takes the place of the oldest
  IC_WHEN_FULL_DROP_NEWEST   // it is thrown away
} ic_when_full;

// What an isolate may use; 0 is no limit.
typedef struct {
  size_t memory_bytes;   // of its state and of what waits in its mailbox
  int64_t cpu_ns;        // of CPU time, for one message
  int64_t cpu_total_ns;  // of CPU time, in its whole life
  size_t mailbox_messages;
  size_t mailbox_bytes;
  ic_when_full when_full;
} ic_limits;

typedef struct {
  ic_report_function report;  // NULL: one block on stderr
  void *report_context;
  bool shared;  // isolates are run by the pool, unless a spawn says else
  size_t pool_threads;  // isolates that the pool runs at once; 0: one a core
  ic_limits limits;     // of isolates whose spawn does not say
  // Isolates that are stuck for so long are reported; 0: 5 seconds; negative:
  // never.
  int64_t stuck_after_ms;
  size_t isolates;  // so many may live at once; 0: any number
} ic_cluster_options;

// Starts a cluster of one node; it is up when this returns.
//
// Ownership: borrows [options] (NULL: all defaults) until it returns; gives the
//            cluster, to be freed with ic_cluster_free.
// Threads:   any.
// Errors:    IC_MEMORY.
IC_API ic_status ic_cluster_new(const ic_cluster_options *options,
                                ic_cluster **out);

// Shuts the cluster down if it is up (with a timeout of 5 seconds) and lets go
// of it. Refs, messages and ports may outlive it.
//
// Ownership: takes [cluster].
// Threads:   any but an isolate's own; nobody may use [cluster] afterwards.
IC_API void ic_cluster_free(ic_cluster *cluster);

// Makes a C module known: `require(name)` in every isolate spawned from now on
// finds it in package.preload. An isolate's extra space (lua_getextraspace) is ours.
//
// Ownership: copies [name].
// Threads:   any; [open] is called on isolates' threads, several at once.
// Errors:    IC_MEMORY.
struct lua_State;
typedef int (*ic_open_function)(struct lua_State *L);
IC_API ic_status ic_cluster_register_module(ic_cluster *cluster,
                                            const char *name,
                                            ic_open_function open);

// What to spawn. Exactly one of module, file and source is set.
typedef struct {
  const char *path;    // NULL: generated below "/"; "/a/": generated below it
  const char *module;  // a module name, which must return a function
  const char *file;    // a Lua file, called with the context as `...`
  const char *source;  // Lua text, called with the context as `...`
  size_t source_size;  // its bytes; 0: up to its NUL
  const char *source_name;  // for messages; NULL: "=source"
  ic_message *properties;   // a map, or NULL; copied
  enum { IC_THREAD_DEFAULT, IC_THREAD_OWN, IC_THREAD_SHARED } thread;
  const ic_limits *limits;   // in place of the cluster's; NULL: those
  const char *package_path;  // NULL: Lua's default
  const char *package_cpath;
  // What confines the isolate, as the option of Lua's spawnIsolate: the string "safe"
  // or "none", or a map that builds on "safe". NULL: the cluster's, if it has one;
  // copied.
  const ic_message *sandbox;
} ic_spawn_options;

// Spawns a Lua isolate. When this returns it is registered and its entry is
// loaded, and may already run.
//
// Ownership: borrows [options] until it returns, the properties and the sandbox
//            stay the caller's; gives [out] (release it), and [message] on error where
//            there is more to say than the status (free it with ic_free).
//            Either may be NULL.
// Threads:   any but an isolate's own. Waits while a module loads.
// Errors:    IC_INVALID - a malformed path, not exactly one entry, or incomplete
//                         properties or sandbox.
//            IC_IN_USE  - a living isolate has the path.
//            IC_FULL    - the cluster has as many isolates as it may.
//            IC_LOAD    - the entry does not load, or the sandbox is none; [message]
//                         says why, with the traceback.
//            IC_DOWN    - the cluster is shutting down.
//            IC_MEMORY.
IC_API ic_status ic_cluster_spawn(ic_cluster *cluster,
                                  const ic_spawn_options *options, ic_ref **out,
                                  char **message);

// Looks up the isolate that has [path] now.
//
// Ownership: copies [path]; gives [out].
// Threads:   any.
// Errors:    IC_NOT_FOUND, IC_DOWN, IC_INVALID.
IC_API ic_status ic_cluster_lookup(ic_cluster *cluster, const char *path,
                                   ic_ref **out);

// All isolates beneath [prefix] ("/workers/"; "/" is all), sorted by path.
//
// Ownership: copies [prefix]; gives [out], an array of [count] refs: release
//            each, and ic_free the array.
// Threads:   any.
// Errors:    IC_DOWN, IC_INVALID, IC_MEMORY.
IC_API ic_status ic_cluster_lookup_all(ic_cluster *cluster, const char *prefix,
                                       ic_ref ***out, size_t *count);

// Waits until no isolate is left (ports do not count), at most [timeout_ms]
// milliseconds; negative: for ever.
//
// Threads: any but an isolate's own.
// Errors:  IC_TIMEOUT.
IC_API ic_status ic_cluster_wait(ic_cluster *cluster, int64_t timeout_ms);

// Waits until every isolate is idle, no message is on its way to one and no timer
// is due, at most [timeout_ms] milliseconds; negative: for ever. It is exact: at
// one moment before it returns all of that was so. Who waits for a reply or for a
// later time is idle, who loads or ends is not. What ports hold, and what other
// threads of the program send, does not count.
//
// Threads: any but an isolate's own.
// Errors:  IC_TIMEOUT.
IC_API ic_status ic_cluster_settle(ic_cluster *cluster, int64_t timeout_ms);

// Asks every isolate to end, waits for it at most [timeout_ms] milliseconds,
// then ends those left by force. Spawning is refused from the first moment, and
// everything else once it is down. Several calls at once are one shutdown.
//
// Returns IC_OK if all isolates agreed, IC_TIMEOUT if some had to be stopped.
// An isolate that sits in a C function that does not return is left behind: its
// thread ends when that function does.
// Threads: any but an isolate's own.
IC_API ic_status ic_cluster_shutdown(ic_cluster *cluster, int64_t timeout_ms);

// True from ic_cluster_new until a shutdown is complete. Threads: any.
IC_API bool ic_cluster_is_up(ic_cluster *cluster);

// What all isolates together did, those that have ended included; ports are none.
typedef struct {
  uint64_t live;  // at the moment, those that load included
  uint64_t spawned;
  uint64_t ended;
  uint64_t sent;          // values, by isolates
  uint64_t received;      // values, by isolates
  uint64_t late_replies;  // thrown away, as their request had timed out
  uint64_t dropped;       // values for a full mailbox, thrown away
  uint64_t dead_letters;  // values that reached nobody: IC_GONE, or never read
} ic_stats;

// Threads: any.
IC_API void ic_cluster_stats(ic_cluster *cluster, ic_stats *out);

// --- Refs ------------------------------------------------------------------

// Counts one more, or one fewer, user of [ref]. Threads: any.
IC_API ic_ref *ic_ref_hold(ic_ref *ref);
IC_API void ic_ref_release(ic_ref *ref);

// The path; lives as long as the ref. Threads: any.
IC_API const char *ic_ref_path(const ic_ref *ref);

// False once the isolate has ended. Threads: any.
IC_API bool ic_ref_is_alive(const ic_ref *ref);

// Whether both stand for the same life of the same isolate. Threads: any.
IC_API bool ic_ref_equals(const ic_ref *ref, const ic_ref *other);

// A reader at the properties, a map that was given at the spawn; at its end where
// there are none. Valid as long as the ref. Threads: any.
IC_API ic_reader ic_ref_properties(const ic_ref *ref);

// Ends the isolate by force, whatever it does: its code is given up in the middle,
// and nothing more of it runs, finalizers and `<close>` variables included. It is
// told of like any other end, with the reason "killed". Returns before that.
//
// A C function of a module that does not call Lua can't be left in the middle: the
// isolate ends when it returns.
// Threads: any.
// Errors:  IC_GONE - it has ended; IC_INVALID - it is a port; IC_MEMORY - there is
//          no thread to see it through.
IC_API ic_status ic_ref_kill(ic_ref *ref);

typedef struct {
  const char *type;            // NULL: none
  ic_ref *sender;              // NULL: none; usually ic_port_ref(port)
  ic_ref *reply_to;            // NULL: the sender
  const char *correlation_id;  // NULL: none
} ic_send_options;

// Sends [message] to the isolate [to] and returns at once.
//
// Messages from one thread to one isolate arrive in the order they were sent.
// IC_OK means queued, not read: the receiver may end first.
//
// Ownership: takes [message] on IC_OK; on any error the caller still owns it.
//            Borrows [options] (NULL: none) until it returns.
// Threads:   any. Never waits for the receiver's code.
// Errors:    IC_GONE    - [to] has ended; that counts as a dead letter.
//            IC_FULL    - its mailbox is, and drops nothing.
//            IC_INVALID - [message] has no value, or an open array or map, or
//                         was received (a message is sent once).
//            IC_MEMORY.
IC_API ic_status ic_ref_send(ic_ref *to, ic_message *message,
                             const ic_send_options *options);

// --- Values to send --------------------------------------------------------

// A message's value is built from left to right: one item, or an array or map
// that is opened, filled and closed. A map takes its keys and values in turn.
//
//   ic_message_open_map(m);                     // { id = 7 }
//   ic_message_add_string(m, "id", 2);
//   ic_message_add_integer(m, 7);
//   ic_message_close(m);
//
// Ownership: ic_message_new gives. Strings are copied, refs counted.
// Threads:   one at a time.
// Errors:    IC_MEMORY; IC_INVALID - one item too many, a close without an
//            open, or a map closed behind a key; IC_RANGE - nested deeper than
//            10,000. The message is as it was before the call.
IC_API ic_status ic_message_new(ic_message **out);
IC_API ic_status ic_message_add_nil(ic_message *message);
IC_API ic_status ic_message_add_boolean(ic_message *message, bool boolean);
IC_API ic_status ic_message_add_integer(ic_message *message, int64_t integer);
IC_API ic_status ic_message_add_number(ic_message *message, double number);
IC_API ic_status ic_message_add_string(ic_message *message, const void *bytes,
                                       size_t size);
IC_API ic_status ic_message_add_ref(ic_message *message, ic_ref *ref);
IC_API ic_status ic_message_open_array(ic_message *message);
IC_API ic_status ic_message_open_map(ic_message *message);
IC_API ic_status ic_message_close(ic_message *message);

// Ownership: takes [message], sent or received. Threads: any, one at a time.
IC_API void ic_message_free(ic_message *message);

// --- Values received -------------------------------------------------------

typedef enum {
  IC_NIL,
  IC_BOOLEAN,  // boolean
  IC_INTEGER,  // integer
  IC_NUMBER,   // number
  IC_STRING,   // bytes, size: not NUL-terminated, any bytes
  IC_ARRAY,    // size items follow
  IC_MAP,      // size pairs follow, key before value
  IC_END,      // closes an array or map whose size is IC_OPEN
  IC_SHARED,  // integer: once more the array or map marked as number n (from 0)
  IC_REF      // ref, borrowed from the message; NULL if unknown
} ic_item_type;

#define IC_OPEN SIZE_MAX

typedef struct {
  ic_item_type type;
  bool marked;  // an array or map that IC_SHARED items may name; counted from 0
  bool boolean;
  int64_t integer;
  double number;
  const char *bytes;  // borrowed from the message
  size_t size;
  ic_ref *ref;
} ic_item;

// A reader at the beginning of the message's value; valid as long as the
// message. Threads: any.
IC_API ic_reader ic_message_reader(const ic_message *message);

// Reads the next item and moves on; on an error the reader stays where it is.
//
// Threads: one at a time for each reader.
// Errors:  IC_NOT_FOUND - the end of the value.
//          IC_MALFORMED - bytes that no item begins with.
//          IC_RANGE     - an integer of more than 64 signed bits.
IC_API ic_status ic_reader_next(ic_reader *reader, ic_item *out);

// The sender, or whom to answer: borrowed from the message, NULL if none.
// Threads: any.
IC_API ic_ref *ic_message_sender(const ic_message *message);
IC_API ic_ref *ic_message_reply_to(const ic_message *message);

// The type that the sender gave, or NULL; borrowed from the message.
// Threads: any.
IC_API const char *ic_message_type(const ic_message *message);

// A reader at the correlation id, any value, that the sender gave, or, in an answer,
// whoever asked; at its end where there is none. Valid as long as the message.
// Threads: any.
IC_API ic_reader ic_message_correlation(const ic_message *message);

// Sends [reply] to whom [message] names: the waiting `request`, or the replyTo,
// or the sender.
//
// Ownership: takes [reply] on IC_OK; borrows the rest. [sender] may be NULL.
// Threads:   any.
// Errors:    as ic_ref_send; IC_NOT_FOUND - [message] names nobody.
IC_API ic_status ic_message_reply(const ic_message *message, ic_ref *sender,
                                  ic_message *reply);

// --- News ------------------------------------------------------------------

// What a port is told of isolates, if it asked for it (ic_port_options,
// ic_port_monitor) comes as a message without a value, whose sender is the isolate.

typedef enum {
  IC_NEWS_NONE,  // it is a value
  IC_NEWS_UP,    // the isolate has come up, and can be looked up
  IC_NEWS_DOWN,  // it has ended: nothing of it is left, and its path is free
  IC_NEWS_ENDED  // likewise, and the port monitors it
} ic_news_kind;

typedef struct {
  ic_news_kind kind;
  // Of an end: "done", "shutdown", "error", "killed", "memory", "cpu", "stack"; "gone"
  // where nobody knows any more. Static; else NULL.
  const char *reason;
  // The error that it ended by, and that with its traceback; borrowed from the message.
  // NULL: none.
  const char *error;
  const char *traceback;
} ic_news;

// Threads: any.
IC_API ic_news ic_message_news(const ic_message *message);

// --- Ports -----------------------------------------------------------------

// Receives [message] on the port's thread. Ownership: takes [message].
typedef void (*ic_port_function)(void *context, ic_message *message);

typedef struct {
  const char *path;          // NULL: not to be found by a path
  ic_port_function receive;  // NULL: messages wait for ic_port_take
  void *context;
  bool ups;    // news of all isolates, and ports with a path, that come up
  bool downs;  // likewise of those that end
} ic_port_options;

// Opens a mailbox for the C program. With [receive] a thread of the port's own
// calls it for one message after the other.
//
// Ownership: borrows [options] (NULL: none); gives [out].
// Threads:   any.
// Errors:    IC_INVALID, IC_IN_USE, IC_DOWN, IC_MEMORY.
IC_API ic_status ic_port_open(ic_cluster *cluster,
                              const ic_port_options *options, ic_port **out);

// Closes the port: later sends to it give IC_GONE, messages that wait are
// thrown away, its thread has ended when this returns.
//
// Ownership: takes [port]. Threads: any but the port's own.
IC_API void ic_port_close(ic_port *port);

// The ref that isolates answer to. Borrowed from the port. Threads: any.
IC_API ic_ref *ic_port_ref(ic_port *port);

// Makes news of [ref]'s end come to the port, once: when it ends, or, where it has
// ended, at once, and behind all that it has sent to the port. It may be of another
// cluster, and a port. Closing the port takes that back.
//
// Ownership: counts [ref].
// Threads:   any.
// Errors:    IC_MEMORY - no news will come.
IC_API ic_status ic_port_monitor(ic_port *port, ic_ref *ref);

// A descriptor that is readable while messages wait, and now and then where the
// next take finds none; for poll() and its kin, not to be read or closed. -1 for
// a port with [receive], or where the process has no descriptor left.
//
// Ownership: borrowed from the port. Threads: one at a time, with take.
IC_API int ic_port_descriptor(ic_port *port);

// Takes the next message, waiting for it at most [timeout_ms] milliseconds;
// 0: not at all, negative: for ever.
//
// Ownership: gives [out]; free it with ic_message_free.
// Threads:   one at a time.
// Errors:    IC_TIMEOUT; IC_DOWN - the cluster is down and the port is empty;
//            IC_INVALID - the port has a function.
IC_API ic_status ic_port_take(ic_port *port, int64_t timeout_ms,
                              ic_message **out);

#ifdef __cplusplus
}
#endif

#endif
