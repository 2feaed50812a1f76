// ref.c - making refs, their way through values, and what is called on them.

#include "binding/ref.h"

#include <lauxlib.h>

#include "binding/ending.h"
#include "binding/request.h"
#include "binding/sending.h"
#include "core/outsiders.h"
#include "core/path.h"
#include "core/ref.h"

#define REF_TYPE "isolate_cluster.ref"

static const char ref_type;  // its address is in each ref

// --- Making -----------------------------------------------------------------

static ic_lua_ref *new_ref(lua_State *L) {
  ic_lua_ref *ref = lua_newuserdatauv(L, sizeof *ref, 1);
  *ref = (ic_lua_ref){.type = &ref_type};
  luaL_setmetatable(L, REF_TYPE);
  return ref;
}

static void release_ref(ic_owned *owned) {
  ic_lua_ref *ref = (ic_lua_ref *)((char *)owned - offsetof(ic_lua_ref, owned));
  ic_isolate_release(ref->isolate);
  ref->isolate = NULL;
  *ref->weighed -= ref->kept_bytes;
}

// Gives the ref its isolate, which is counted for it. What that keeps of it counts as
// memory of the state's, as it may be kept by nothing else.
static void set_isolate(ic_lua_body *body, ic_lua_ref *ref,
                        ic_isolate *isolate) {
  ref->isolate = isolate;
  ref->weighed = &body->kept_bytes;
  ref->kept_bytes = ic_isolate_identity_bytes(isolate);
  body->kept_bytes += ref->kept_bytes;
  ic_owned_add(&body->owned, &ref->owned, release_ref);
  ic_ending_weigh(body);
}

// The cache is on the top; the ref comes above it.
static void push_cached(lua_State *L, ic_lua_body *body, ic_isolate *isolate) {
  if (lua_rawgetp(L, -1, isolate) == LUA_TNIL) {
    lua_pop(L, 1);
    ic_lua_ref *ref = new_ref(L);
    set_isolate(body, ref, ic_isolate_hold(isolate));
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, isolate);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, 1);
  body->last_ref = isolate;
}

void ic_lua_ref_push(lua_State *L, ic_lua_body *body, ic_isolate *isolate,
                     uint64_t request) {
  luaL_checkstack(L, 4, "a ref");
  if (request != 0) {
    ic_lua_ref *ref = new_ref(L);
    set_isolate(body, ref, ic_isolate_hold(isolate));
    ref->request = request;
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, body->ref_cache);
  // A conversation is with the same one all the time.
  bool is_last = body->last_ref == isolate;
  if (is_last && lua_rawgeti(L, -1, 1) == LUA_TNIL) {
    lua_pop(L, 1);
    is_last = false;
  }
  if (!is_last) push_cached(L, body, isolate);
  lua_replace(L, -2);
}

void ic_lua_ref_push_counted(lua_State *L, ic_lua_body *body,
                             ic_isolate *isolate) {
  ic_isolate_release(body->pinned);
  body->pinned = isolate;
  ic_lua_ref_push(L, body, isolate, 0);
  body->pinned = NULL;
  ic_isolate_release(isolate);
}

// By the userdata's size and first word: to look the metatable up would cost a
// message as much as the rest of its way.
ic_lua_ref *ic_lua_ref_test(lua_State *L, int index) {
  ic_lua_ref *ref = lua_touserdata(L, index);
  // Of a light userdata the length is 0.
  if (!ref || lua_rawlen(L, index) != sizeof(ic_lua_ref)) return NULL;
  return ref->type == &ref_type && ref->isolate ? ref : NULL;
}

static int free_ref(lua_State *L) {
  ic_lua_ref *ref = lua_touserdata(L, 1);
  if (!ic_body_of(L)->is_closing) ic_owned_release(&ref->owned);
  return 0;
}

// The ref that a method was called on.
static ic_lua_ref *check_self(lua_State *L, const char *method) {
  ic_lua_ref *ref = ic_lua_ref_test(L, 1);
  if (!ref) {
    luaL_error(L, "ref:%s wants a ref before the colon, got %s", method,
               luaL_typename(L, 1));
  }
  return ref;
}

int ic_lua_ref_fail(lua_State *L, ic_status status, const char *text) {
  lua_pushnil(L);
  lua_pushstring(L, text);
  lua_pushstring(L, ic_status_name(status));
  return 3;
}

int ic_lua_ref_fail_value(lua_State *L, ic_lua_body *body, ic_status status) {
  if (status == IC_GONE) ic_body_give_up(body, L);
  return ic_lua_ref_fail(L, status, body->scratch.text);
}

// --- In values --------------------------------------------------------------

static ic_status encode_ref(void *context, lua_State *L, int index,
                            ic_buffer *out) {
  ic_lua_body *body = context;
  ic_lua_ref *ref = ic_lua_ref_test(L, index);
  if (!ref) return IC_UNSENDABLE;
  size_t size = out->size;
  ic_status status = ic_ref_encode(ref->isolate, ref->request, out);
  if (status == IC_OK) status = ic_ref_list_add(&body->refs, ref->isolate);
  if (status == IC_OK && ref->request != 0) {
    status = ic_handed_add(&body->handed, ref->isolate, ref->request);
  }
  if (status != IC_OK) out->size = size;
  return status;
}

// The isolate that a ref's bytes name, counted: from the message that they came
// in, from the cluster, from those that have no path, or, if nobody knows it any
// more, one that has ended.
static ic_isolate *resolve(const ic_message *message, uint64_t key, uint64_t id,
                           const char *path) {
  ic_isolate *isolate = message ? ic_ref_in_message(message, id) : NULL;
  if (isolate) return ic_isolate_hold(isolate);
  ic_cluster *cluster = ic_cluster_find(key);
  if (cluster) {
    if (ic_registry_find(&cluster->registry, path, &isolate) != IC_OK) {
      isolate = NULL;
    }
    ic_cluster_release(cluster);
  }
  if (isolate && isolate->id == id) return isolate;
  ic_isolate_release(isolate);
  isolate = ic_outsiders_find(id);
  if (isolate && isolate->cluster_key == key) return isolate;
  ic_isolate_release(isolate);
  if (ic_isolate_new(path, &isolate) != IC_OK) return NULL;
  ic_mailbox_close(&isolate->mailbox);
  isolate->id = id;
  isolate->cluster_key = key;
  isolate->stage = IC_STAGE_ENDED;
  return isolate;
}

// Reads field [i] of the array on the top as an integer that is not negative.
static bool read_number(lua_State *L, int i, uint64_t *out) {
  lua_rawgeti(L, -1, i);
  bool fits = lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0;
  *out = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return fits;
}

static void revive(void *context, lua_State *L) {
  ic_lua_body *body = context;
  uint64_t key, id, request;
  // Bytes that a sandboxed isolate has made up, to name whom it was not given.
  if (body->is_confined && !body->decoding) return;
  if (!lua_istable(L, -1) || lua_rawlen(L, -1) != 5) return;
  lua_rawgeti(L, -1, 1);
  const char *name = lua_tostring(L, -1);
  bool is_ref =
      lua_type(L, -1) == LUA_TSTRING && strcmp(name, IC_REF_TYPE_NAME) == 0;
  lua_pop(L, 1);
  if (!is_ref || !read_number(L, 2, &key) || !read_number(L, 3, &id) ||
      !read_number(L, 5, &request)) {
    return;
  }
  lua_rawgeti(L, -1, 4);
  // No isolate has a longer path, which is memory outside of the state.
  if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) > IC_PATH_MAX_BYTES) {
    lua_pop(L, 1);
    return;
  }
  // The userdata is made first: it owns the isolate in the same moment in which
  // that is counted.
  ic_lua_ref *ref = new_ref(L);
  ref->request = request;
  const char *path = lua_tostring(L, -2);
  ic_isolate *isolate = resolve(body->decoding, key, id, path);
  if (!isolate) luaL_error(L, "not enough memory for a ref");
  set_isolate(body, ref, isolate);
  if (request == 0) {
    ic_lua_ref_push(L, body, ref->isolate, 0);
    lua_remove(L, -2);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

ic_value_hooks ic_lua_ref_hooks(ic_lua_body *body) {
  return (ic_value_hooks){
      .context = body, .encode_ref = encode_ref, .revive = revive};
}

// --- Methods ----------------------------------------------------------------

// What the options of a send say: indexes of their values on the stack, or 0.
typedef struct {
  ic_extras extras;
  ic_lua_ref *reply_to;
} send_options;

static int option_error(lua_State *L, const char *name, const char *wanted) {
  return luaL_error(L, "option '%s' wants %s, got %s", name, wanted,
                    luaL_typename(L, -1));
}

// Takes one option, whose key and value are on the top, and leaves both there,
// below a copy of the key for lua_next.
static void take_option(lua_State *L, send_options *options) {
  if (lua_type(L, -2) != LUA_TSTRING) {
    luaL_error(L, "an option's name is a string, got %s", luaL_typename(L, -2));
  }
  const char *name = lua_tostring(L, -2);
  if (strcmp(name, "type") == 0) {
    if (lua_type(L, -1) != LUA_TSTRING) option_error(L, name, "a string");
    options->extras.type = lua_gettop(L);
  } else if (strcmp(name, "correlationId") == 0) {
    options->extras.correlation = lua_gettop(L);
  } else if (strcmp(name, "replyTo") == 0) {
    options->reply_to = ic_lua_ref_test(L, -1);
    if (!options->reply_to) option_error(L, name, "a ref");
  } else {
    luaL_error(L,
               "unknown option '%s'; a send takes type, correlationId and "
               "replyTo",
               name);
  }
  lua_pushvalue(L, -2);
}

// Reads the table at [index]; the values that count stay on the stack.
static send_options check_options(lua_State *L, int index) {
  send_options options = {0};
  if (lua_isnoneornil(L, index)) return options;
  if (!lua_istable(L, index)) {
    luaL_error(L, "the options are a table, got %s", luaL_typename(L, index));
  }
  lua_pushnil(L);
  while (lua_next(L, index))
    take_option(L, &options);
  return options;
}

// Makes [message] one from [body]; the host script is nobody's sender.
static void set_sender(ic_lua_body *body, ic_message *message,
                       const send_options *options) {
  if (!body->is_host) {
    message->sender = ic_body_hold_isolate(body);
  }
  if (options->reply_to) {
    message->reply_to = ic_isolate_hold(options->reply_to->isolate);
    message->request = options->reply_to->request;
  }
}

// A message to a ref that stands for a request is that request's answer.
static void address(const ic_lua_ref *to, ic_message *message) {
  if (to->request == 0) return;
  message->kind = IC_MESSAGE_REPLY;
  message->request = to->request;
}

// ref:send(value, options) -> true | nil, message, code
static int send(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref *to = check_self(L, "send");
  if (lua_isnone(L, 2)) {
    return luaL_error(L, "ref:send wants a value to send, got nothing");
  }
  ic_isolate_fetch_mailbox(to->isolate);
  send_options options = check_options(L, 3);
  ic_message *message;
  ic_status status =
      ic_sending_encode_with(L, body, 2, &options.extras, &message);
  if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  set_sender(body, message, &options);
  if (message->request != 0) {
    status = ic_handed_add(&body->handed, message->reply_to, message->request);
  }
  if (status != IC_OK) {
    ic_message_free(message);
    return ic_lua_ref_fail(L, status, ic_status_text(status));
  }
  address(to, message);
  return ic_sending_send(L, body, to->isolate, message);
}

// sendRequest(ref, value, number, type | nil, isCommand) -> as send
static int send_request(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref *to = check_self(L, "request");
  uint64_t request = (uint64_t)luaL_checkinteger(L, 3);
  ic_extras behind = {.type = lua_isnoneornil(L, 4) ? 0 : 4};
  ic_message *message;
  ic_status status = ic_sending_encode_with(L, body, 2, &behind, &message);
  if (status != IC_OK) return ic_lua_ref_fail_value(L, body, status);
  set_sender(body, message, &(send_options){0});
  message->reply_to = ic_body_hold_isolate(body);
  message->request = request;
  if (lua_toboolean(L, 5)) message->kind = IC_MESSAGE_COMMAND;
  return ic_sending_send(L, body, to->isolate, message);
}

// kill(ref) -> true | nil, message, code: ends it by force
static int kill_isolate(lua_State *L) {
  ic_lua_ref *to = check_self(L, "kill");
  ic_status status = ic_ref_kill(to->isolate);
  if (status == IC_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (status != IC_GONE) {
    return ic_lua_ref_fail(L, status, ic_status_text(status));
  }
  lua_pushfstring(L, "the isolate %s has ended", to->isolate->path);
  return ic_lua_ref_fail(L, status, lua_tostring(L, -1));
}

// askToEnd(ref) -> true | nil, message, code: as a shutdown asks all
static int ask_to_end(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref *to = check_self(L, "askToEnd");
  ic_message *message = ic_message_new_event(IC_MESSAGE_SHUTDOWN);
  if (!message) {
    return ic_lua_ref_fail(L, IC_MEMORY, ic_status_text(IC_MEMORY));
  }
  return ic_sending_send(L, body, to->isolate, message);
}

// Pushes the isolate's properties: decoded once for each ref.
static void push_properties(lua_State *L, ic_lua_ref *ref, int index) {
  if (lua_getiuservalue(L, index, 1) == LUA_TTABLE) return;
  lua_pop(L, 1);
  ic_lua_body *body = ic_body_of(L);
  const ic_message *properties = ref->isolate->properties;
  if (!properties) {
    lua_newtable(L);
  } else {
    const ic_message *outer = body->decoding;
    body->decoding = properties;
    ic_status status =
        ic_value_decode(L, &body->scratch, &body->hooks, properties->bytes,
                        properties->value_size);
    body->decoding = outer;
    if (status != IC_OK) luaL_error(L, "%s", body->scratch.text);
  }
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, index, 1);
}

// ref:property(key) -> value | nil
static int property(lua_State *L) {
  ic_lua_ref *ref = check_self(L, "property");
  luaL_argexpected(L, !lua_isnoneornil(L, 2), 2, "key");
  lua_settop(L, 2);
  push_properties(L, ref, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

// The index of refs: methods (the second upvalue), path and alive. The two that
// conversations need are told by their names' addresses: of a short string there is one
// in a state.
static int get_field(lua_State *L) {
  const char *key = lua_tostring(L, 2);
  const ic_lua_body *body = ic_body_of(L);
  if (key && key == body->send_key) {
    lua_pushcfunction(L, send);
    return 1;
  }
  if (key && key == body->request_key) {
    lua_pushcfunction(L, ic_request_call);
    return 1;
  }
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  ic_lua_ref *ref = ic_lua_ref_test(L, 1);
  luaL_argexpected(L, ref, 1, REF_TYPE);
  const char *name = lua_tostring(L, 2);
  if (name && strcmp(name, "path") == 0) {
    lua_pushstring(L, ref->isolate->path);
  } else if (name && strcmp(name, "alive") == 0) {
    lua_pushboolean(L, ic_ref_is_alive(ref->isolate));
  } else {
    return luaL_error(L, "a ref has no field '%s'", luaL_tolstring(L, 2, NULL));
  }
  return 1;
}

static int equals(lua_State *L) {
  ic_lua_ref *a = ic_lua_ref_test(L, 1);
  ic_lua_ref *b = ic_lua_ref_test(L, 2);
  lua_pushboolean(L, a && b && a->isolate->id == b->isolate->id &&
                         a->isolate->cluster_key == b->isolate->cluster_key);
  return 1;
}

static int to_string(lua_State *L) {
  ic_lua_ref *ref = ic_lua_ref_test(L, 1);
  luaL_argexpected(L, ref, 1, REF_TYPE);
  lua_pushfstring(L, "isolate %s", ref->isolate->path);
  return 1;
}

// self() -> the ref of the isolate that runs
static int self(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  ic_lua_ref_push(L, body, body->base.isolate, 0);
  return 1;
}

// properties(ref) -> its table
static int properties(lua_State *L) {
  push_properties(L, check_self(L, "property"), 1);
  return 1;
}

bool ic_lua_ref_push_own(lua_State *L, const char *field) {
  if (strcmp(field, "path") == 0) {
    lua_pushstring(L, ic_body_of(L)->base.isolate->path);
  } else if (strcmp(field, "isolateRef") == 0) {
    self(L);
  } else if (strcmp(field, "properties") == 0) {
    self(L);
    push_properties(L, lua_touserdata(L, -1), lua_gettop(L));
    lua_remove(L, -2);
  } else {
    return false;
  }
  return true;
}

// own(field) -> what a context says of its isolate, or nil
static int own(lua_State *L) {
  const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
  if (!ic_lua_ref_push_own(L, name)) lua_pushnil(L);
  return 1;
}

// isRef(value) -> boolean
static int is_ref(lua_State *L) {
  lua_pushboolean(L, ic_lua_ref_test(L, 1) != NULL);
  return 1;
}

static void make_cache(lua_State *L, ic_lua_body *body) {
  lua_createtable(L, 1, 4);  // more than that few isolates know
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  body->ref_cache = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void make_type(lua_State *L, int body, int methods) {
  static const luaL_Reg metamethods[] = {
      {"__eq", equals}, {"__tostring", to_string}, {NULL, NULL}};
  luaL_newmetatable(L, REF_TYPE);
  luaL_setfuncs(L, metamethods, 0);
  ic_body_push_function(L, body, free_ref);
  lua_setfield(L, -2, "__gc");
  lua_pushvalue(L, body);
  lua_pushvalue(L, methods);
  lua_pushcclosure(L, get_field, 2);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "isolate ref");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

// The methods keep the names. In a host script's state they are not told by their
// addresses: there a method knows the body, and tests may replace it.
static void note_names(lua_State *L, ic_lua_body *body) {
  if (body->is_host) return;
  lua_pushliteral(L, "send");
  body->send_key = lua_tostring(L, -1);
  lua_pushliteral(L, "request");
  body->request_key = lua_tostring(L, -1);
  lua_pop(L, 2);
}

void ic_lua_ref_install(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"send", send}, {"property", property}, {NULL, NULL}};
  int body = lua_gettop(L);
  lua_createtable(L, 0, 4);
  int own_methods = lua_gettop(L);
  ic_body_set_functions(L, body, methods);
  ic_request_install(L, body, own_methods);
  note_names(L, lua_touserdata(L, body));
  make_cache(L, lua_touserdata(L, body));
  make_type(L, body, own_methods);
  lua_settop(L, body);
}

void ic_lua_ref_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"sendRequest", send_request},
                                       {"askToEnd", ask_to_end},
                                       {"kill", kill_isolate},
                                       {"self", self},
                                       {"properties", properties},
                                       {"own", own},
                                       {"isRef", is_ref},
                                       {NULL, NULL}};
  ic_body_set_functions(L, -2, functions);
  ic_request_open(L);
  luaL_getmetatable(L, REF_TYPE);
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, 2);  // of get_field: the methods
  lua_setfield(L, -4, "refMethods");
  lua_pop(L, 2);
}
