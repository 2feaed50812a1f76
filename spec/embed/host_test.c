// host_test.c - a host script, whose state is this program's, where no thread starts.

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "core/check.h"
#include "core/failing.h"

int luaopen_isolate_cluster(lua_State *L);

// letThreadsStart(boolean)
static int let_threads_start(lua_State *L) {
  failing_threads(lua_toboolean(L, 1));
  return 0;
}

static void run(const char *script) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "isolate_cluster", luaopen_isolate_cluster, 0);
  lua_register(L, "letThreadsStart", let_threads_start);
  int status = luaL_dostring(L, script);
  if (status != LUA_OK) printf("%s\n", lua_tostring(L, -1));
  failing_threads(true);
  lua_close(L);
  CHECK(status == LUA_OK);
}

static void a_host_script_shuts_down_by_itself(void) {
  CALL(run(
      "local IC = require 'isolate_cluster'\n"
      "local cluster = IC.singleNode()\n"
      "cluster:spawnIsolate('/own', function(c) c:onMessage(print) end)\n"
      "cluster:spawnIsolate('/shared', function(c) c:onMessage(print) end,\n"
      "  nil, { thread = 'shared' })\n"
      "letThreadsStart(false)\n"
      "local agreed, text = cluster:shutdown(60)\n"
      "assert(agreed == true, text)\n"
      "assert(not cluster.up and cluster:stats().live == 0)\n"));
}

static void an_isolate_is_told_that_it_can_not(void) {
  CALL(
      run("local IC = require 'isolate_cluster'\n"
          "local cluster = IC.singleNode()\n"
          "local ref = cluster:spawnIsolate(function(context)\n"
          "  context:onMessage(function(value, message)\n"
          "    message:reply { context:shutdownNode(1) }\n"
          "  end)\n"
          "end)\n"
          "letThreadsStart(false)\n"
          "local reply = assert(ref:request(1, { timeout = 60 }))\n"
          "letThreadsStart(true)\n"
          "assert(reply[1] == nil and reply[3] == 'memory')\n"
          "assert(cluster.up and ref.alive)\n"
          "assert(cluster:shutdown(60) == true)\n"));
}

int main(void) {
  RUN(a_host_script_shuts_down_by_itself);
  RUN(an_isolate_is_told_that_it_can_not);
  return check_report("host");
}
