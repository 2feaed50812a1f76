// template.c - makes one state, looks whether it can be copied, and copies it.
//
// A body, its state and all that this has lie in one arena, which core/image.c
// copies: a memcpy and a thousand additions instead of opening ten libraries
// and running code. This is sound for every Lua 5.4, whatever its structs look
// like, as Lua keeps aligned, absolute pointers and nothing else that tells of an
// address, but for two things:
//
// - A table finds keys that are tables, functions, coroutines or full userdata by
//   their address. The template has no such key: make_template looks at every
//   table that can be reached, and gives up where it finds one. Keys that are
//   strings are found by a hash of their bytes and a seed, which all states of a
//   process share, as it is copied; another process has another.
// - What is not in the arena: the C streams of stdout and stderr, and all that
//   the isolate is itself. The template has none of it; ic_load_body adds it, to
//   copies and to states that were made on their own, with the same code.
//
// Where there can be no template, each state is made on its own: in builds with
// AddressSanitizer or ThreadSanitizer, so the tests meet both ways.

#include "binding/template.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>

#include "binding/ending.h"
#include "binding/load.h"
#include "core/draft.h"
#include "core/homes.h"
#include "core/image.h"

// --- Looking through the template -------------------------------------------

// What has been seen; a state just made has some hundred such things.
enum { SEEN_MAX = 1024, DEPTH_MAX = 32 };

typedef struct {
  const void *seen[SEEN_MAX];
  size_t count;
  const ic_arena *arena;  // at the beginning of its home
  bool is_sound;
} inspection;

static bool is_first_sight(inspection *of, const void *what) {
  for (size_t i = 0; i < of->count; i++) {
    if (of->seen[i] == what) return false;
  }
  if (of->count == SEEN_MAX) {
    of->is_sound = false;
    return false;
  }
  of->seen[of->count++] = what;
  return true;
}

static bool is_at_home(const inspection *of, const void *address) {
  return (uintptr_t)address - (uintptr_t)of->arena < IC_HOME_BYTES;
}

// Whether the key on the top of the stack is found by an address that moves.
static bool moves(const inspection *of, lua_State *L) {
  int type = lua_type(L, -1);
  return type != LUA_TSTRING && type != LUA_TNUMBER &&
         is_at_home(of, lua_topointer(L, -1));
}

static void inspect(inspection *of, lua_State *L, int depth);

static void inspect_table(inspection *of, lua_State *L, int depth) {
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    inspect(of, L, depth);
    if (moves(of, L)) of->is_sound = false;
  }
}

static void inspect_upvalues(inspection *of, lua_State *L, int depth) {
  for (int i = 1; lua_getupvalue(L, -1, i); i++)
    inspect(of, L, depth);
}

// Pops the value on the top, after a look at it and at all that it leads to.
static void inspect(inspection *of, lua_State *L, int depth) {
  int type = lua_type(L, -1);
  const void *address = lua_topointer(L, -1);
  bool leads_on = type == LUA_TTABLE || type == LUA_TFUNCTION ||
                  type == LUA_TUSERDATA || type == LUA_TTHREAD;
  if (leads_on && is_at_home(of, address) && is_first_sight(of, address)) {
    if (depth == DEPTH_MAX || !lua_checkstack(L, 8)) {
      of->is_sound = false;
    } else {
      if (lua_getmetatable(L, -1)) inspect(of, L, depth + 1);
      if (type == LUA_TTABLE) inspect_table(of, L, depth + 1);
      if (type == LUA_TFUNCTION) inspect_upvalues(of, L, depth + 1);
      if (type == LUA_TUSERDATA) {
        for (int i = 1; lua_getiuservalue(L, -1, i) != LUA_TNONE; i++)
          inspect(of, L, depth + 1);
        lua_pop(L, 1);
      }
    }
  }
  lua_pop(L, 1);
}

// The registry leads to all that there is, but for strings' metatable.
static int inspect_all(lua_State *L) {
  inspection *of = lua_touserdata(L, 1);
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  inspect(of, L, 0);
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) inspect(of, L, 0);
  return 0;
}

static bool is_sound(lua_State *L, const ic_arena *arena) {
  inspection *of = calloc(1, sizeof *of);
  if (!of) return false;
  of->arena = arena;
  of->is_sound = true;
  lua_pushcfunction(L, inspect_all);
  lua_pushlightuserdata(L, of);
  bool is_sound = lua_pcall(L, 1, 0, 0) == LUA_OK && of->is_sound;
  free(of);
  return is_sound;
}

// --- Making and copying -----------------------------------------------------

typedef struct {
  ic_image *image;
  ic_lua_body *body;
} template;

static ic_mutex making = {PTHREAD_MUTEX_INITIALIZER};
static bool was_tried;  // guard: making
static template the_template;
static _Atomic(template *) made;  // NULL: not yet, or there is none

static ic_lua_body *copy(const template *from) {
  const ic_arena *arena = ic_image_copy(from->image);
  return arena ? ic_image_moved(from->image, arena, from->body) : NULL;
}

// With a look at a copy, as that makes the state's stack grow.
static bool can_be_copied(const template *from) {
  ic_lua_body *copied = copy(from);
  if (!copied) return false;
  bool can_be = is_sound(copied->L, copied->arena);
  ic_arena_free(copied->arena);
  return can_be;
}

// Makes the state with [draft]'s blocks. Where it fails, [body] may have one all
// the same.
static bool build(ic_lua_body *body, ic_draft *draft) {
  if (ic_load_state(body, ic_draft_allocate, draft) != IC_OK) return false;
  lua_gc(body->L, LUA_GCCOLLECT);
  return true;
}

static bool rehearse(ic_draft *draft) {
  ic_arena *arena = ic_arena_new();
  ic_lua_body *body = arena ? ic_body_new_in(arena) : NULL;
  ic_draft_rehearse(draft);
  bool is_built = body && build(body, draft);
  ic_draft_note(draft);
  if (body && body->L) lua_close(body->L);
  if (body) ic_body_fini(body);
  ic_arena_free(arena);
  return is_built;
}

// What was begun in vain stays as it is: it happens once at most.
static bool perform(ic_draft *draft, ic_arena *arena) {
  ic_lua_body *body = ic_body_new_in(arena);
  ic_draft_perform(draft, arena);
  if (!body || !build(body, draft) || !ic_draft_is_whole(draft)) return false;
  lua_setallocf(body->L, ic_ending_allocate, body);
  the_template = (template){ic_image_new(arena), body};
  return the_template.image && can_be_copied(&the_template);
}

static bool make_template(void) {
  ic_arena *arena = ic_image_new_arena();
  ic_draft *draft = arena ? ic_draft_new() : NULL;
  bool is_made = draft && rehearse(draft) && perform(draft, arena);
  if (is_made) ic_draft_free(draft);
  return is_made;
}

static template *find_template(void) {
  template *found = atomic_load_explicit(&made, memory_order_acquire);
  if (found) return found;
  ic_mutex_lock(&making);
  if (!was_tried) {
    was_tried = true;
    if (make_template()) {
      atomic_store_explicit(&made, &the_template, memory_order_release);
    }
  }
  ic_mutex_unlock(&making);
  return atomic_load_explicit(&made, memory_order_acquire);
}

ic_lua_body *ic_template_copy(void) {
  const template *from = find_template();
  return from ? copy(from) : NULL;
}
