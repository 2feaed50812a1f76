// giving_up_test.c - our own functions that take long look by themselves whether their
// isolate has been condemned: here no interrupt reaches it meanwhile.

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "isolate_cluster.h"

enum { PATIENCE_MS = 60000 };  // only a failure waits so long

static ic_cluster *cluster;
static bool was_called, has_returned;

// condemned(function): calls that when its isolate is condemned, with the interrupt
// held back.
static int call_condemned(lua_State *L) {
  sigset_t all, before;
  ic_ref *own;
  if (ic_cluster_lookup(cluster, "/doomed", &own) != IC_OK) return 0;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  was_called = ic_ref_kill(own) == IC_OK;
  has_returned = lua_pcall(L, 0, 0, 0) == LUA_OK;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  ic_ref_release(own);
  return 0;
}

static int open_condemned(lua_State *L) {
  lua_pushcfunction(L, call_condemned);
  return 1;
}

// [prepare] is Lua code that ends in "return function": what is to give up.
static void call(const char *prepare) {
  static char source[2048];
  snprintf(source, sizeof source,
           "local context = ...\n"
           "local IC = require 'isolate_cluster'\n"
           "local MANY = 100000\n"
           "local function fill(value)\n"
           "  local t = {}\n"
           "  for i = 1, MANY do t[i] = value end\n"
           "  return t\n"
           "end\n"
           "local fn = (function() %s end)()\n"
           "context:onMessage(function() require 'condemned' (fn) end)\n"
           "context.isolateRef:send(1)\n",
           prepare);
  was_called = has_returned = false;
  ic_spawn_options options = {.path = "/doomed", .source = source};
  char *text = NULL;
  CHECK(ic_cluster_new(NULL, &cluster) == IC_OK);
  CHECK(ic_cluster_register_module(cluster, "condemned", open_condemned) ==
        IC_OK);
  ic_status status = ic_cluster_spawn(cluster, &options, NULL, &text);
  if (text) printf("%s\n", text);
  CHECK(status == IC_OK);
  CHECK(ic_cluster_wait(cluster, PATIENCE_MS) == IC_OK);
  ic_cluster_free(cluster);
  CHECK(was_called);
}

#define GIVES_UP(name, prepare) \
  static void name(void) {      \
    CALL(call(prepare));        \
    CHECK(!has_returned);       \
  }

// Otherwise what follows would show nothing.
static void short_work_is_done(void) {
  CALL(call("return function() IC.encode {1, {2}, x = 3} end"));
  CHECK(has_returned);
  CALL(call("return function() IC.decode '\\x82\\x01\\x80' end"));
  CHECK(has_returned);
}

GIVES_UP(writing_floats,
         "local t = fill(0.5) return function() IC.encode(t) end")
GIVES_UP(writing_integers,
         "local t = fill(1 << 40) return function() IC.encode(t) end")
GIVES_UP(writing_strings,
         "local t = fill 'text' return function() IC.encode(t) end")
GIVES_UP(writing_long_strings,
         "local t = fill(('x'):rep(1000)) return function() IC.encode(t) end")
GIVES_UP(writing_tables,
         "local t = {} for i = 1, MANY do t[i] = {} end\n"
         "return function() IC.encode(t) end")
GIVES_UP(writing_a_map,
         "local t = {} for i = 1, MANY do t[i + 0.5] = i end\n"
         "return function() IC.encode(t) end")
GIVES_UP(writing_shared_tables,
         "local t = fill {} return function() IC.encode(t) end")
GIVES_UP(counting_pairs,
         "local t = {[{}] = 1} for i = 1, MANY do t[-i] = i end\n"
         "return function() IC.encode(t) end")
GIVES_UP(looking_at_a_sequence,
         "local t = fill(1) t[1] = {} return function() IC.encode(t) end")
GIVES_UP(sending,
         "local t = fill(0.5) return function() context.isolateRef:send(t) end")
GIVES_UP(requesting,
         "local t = fill(0.5)\n"
         "return function() context.isolateRef:request(t) end")
GIVES_UP(spawning_with_properties,
         "local t = fill(0.5)\n"
         "return function() context:spawnIsolate(print, {t}) end")
GIVES_UP(spawning_a_supervisor,
         "local child = {entry = function() end, properties = {fill(0.5)}}\n"
         "local plan = IC.supervisor {children = {child}}\n"
         "return function() context:spawnIsolate(plan) end")
GIVES_UP(reading_arrays,
         "local b = '\\x9a' .. ('>I4'):pack(MANY) .. ('\\x80'):rep(MANY)\n"
         "return function() IC.decode(b) end")
GIVES_UP(reading_tags,
         "local b = ('\\xc1'):rep(MANY) .. '\\x01'\n"
         "return function() IC.decode(b) end")
GIVES_UP(reading_chunks,
         "local b = '\\x7f' .. ('\\x61a'):rep(MANY) .. '\\xff'\n"
         "return function() IC.decode(b) end")
GIVES_UP(checking_maps,
         "local b = '\\x82\\xbf\\xff' .. '\\x9a' .. ('>I4'):pack(MANY) ..\n"
         "  ('\\x01'):rep(MANY)\n"
         "return function() IC.decode(b) end")
GIVES_UP(checking_chunks,
         "local b = '\\x82\\xbf\\xff\\x7f' .. ('\\x61a'):rep(MANY) .. '\\xff'\n"
         "return function() IC.decode(b) end")

int main(void) {
  RUN(short_work_is_done);
  RUN(writing_floats);
  RUN(writing_integers);
  RUN(writing_strings);
  RUN(writing_long_strings);
  RUN(writing_tables);
  RUN(writing_a_map);
  RUN(writing_shared_tables);
  RUN(counting_pairs);
  RUN(looking_at_a_sequence);
  RUN(sending);
  RUN(requesting);
  RUN(spawning_with_properties);
  RUN(spawning_a_supervisor);
  RUN(reading_arrays);
  RUN(reading_tags);
  RUN(reading_chunks);
  RUN(checking_maps);
  RUN(checking_chunks);
  return check_report("giving_up");
}
