// doctor.c - a self-test of the Lua library, each part in a process of its own,
// as a defect may end it.
//
// The defects are those of the list of Lua's bugs that scripts can meet and that
// show from outside. A library without them may have others, so the best promise
// needs a release in which nothing is known that a script can use.

#include "host/doctor.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate_cluster.h"

// The first release of 5.4 in which none of the known bugs is left.
enum { BEST_RELEASE = 8 };

enum { PROBE_SECONDS = 60, PROBE_STACK_BYTES = 8 << 20 };

// The code returns true where the library is right. [is_unsafe]: where it is not,
// memory is damaged, so a hostile script may do more than to crash.
typedef struct {
  const char *name;
  bool is_unsafe;
  const char *code;
} probe;

static const probe probes[] = {
    {"__concat while the stack grows", true,
     "local object = setmetatable({}, { __concat = function()\n"
     "  local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end\n"
     "  deep(1000)\n"
     "  return 'c'\n"
     "end })\n"
     "return coroutine.wrap(function() return 'a'..'b'..object end)() == 'ac'"},
    {"nested calls of coroutine.close", true,
     "local chain = {}\n"
     "for i = 1, 100000 do\n"
     "  chain[i] = coroutine.create(function()\n"
     "    local _ <close> = setmetatable({}, { __close = function()\n"
     "      if chain[i + 1] then coroutine.close(chain[i + 1]) end\n"
     "    end })\n"
     "    coroutine.yield()\n"
     "  end)\n"
     "  coroutine.resume(chain[i])\n"
     "end\n"
     "pcall(coroutine.close, chain[1])\n"
     "return true"},
    {"names of values in deep expressions", true,
     "local code = { 'local x = {} return x' }\n"
     "for i = 2, 200 do code[i] = '._ENV' end\n"
     "pcall(load(table.concat(code) .. '.y + 1'))\n"
     "return true"},
    {"assigning by a metatable that is weak", true,
     "local meta = setmetatable({ __newindex = {} }, { __mode = 'v' })\n"
     "local t = setmetatable({}, meta)\n"
     "for i = 1, 10 do\n"
     "  collectgarbage()\n"
     "  t[i] = 1\n"
     "end\n"
     "return true"},
    {"break out of a loop with a value to be closed", false,
     "local closed = false\n"
     "local object = setmetatable({}, { __close = function()\n"
     "  closed = true\n"
     "end })\n"
     "local function run()\n"
     "  for k in next, {}, nil, object do\n"
     "    local function f() return k end\n"
     "    break\n"
     "  end\n"
     "  for k in next, { 1 }, nil, object do\n"
     "    local function f() return k end\n"
     "    break\n"
     "  end\n"
     "  return closed\n"
     "end\n"
     "return run()"},
    {"bitwise operators behind many constants", false,
     "local code = { 'local x = {' }\n"
     "for i = 1, 257 do code[#code + 1] = i .. '.1,' end\n"
     "code[#code + 1] = '}; return 1 | (2 or 3)'\n"
     "return load(table.concat(code))() == 1 | 2"},
    {"a comparison as an index of globals", false,
     "_ENV[true] = 10\n"
     "return load('return _ENV[1 < 2]')() == 10"},
    {"utf8.codes of malformed text", false,
     "return not pcall(function()\n"
     "  for _ in utf8.codes('x\\x80y') do end\n"
     "end)"},
};

enum { PROBES = sizeof probes / sizeof probes[0] };

// What a probe's process ends with.
enum { IS_RIGHT = 0, IS_WRONG = 1 };

typedef enum { RIGHT, WRONG, CRASHES, UNKNOWN } outcome;

// --- Probing ----------------------------------------------------------------

static void keep_quiet(void) {
  int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  struct rlimit stack;
  getrlimit(RLIMIT_STACK, &stack);
  if (stack.rlim_cur > PROBE_STACK_BYTES) stack.rlim_cur = PROBE_STACK_BYTES;
  setrlimit(RLIMIT_STACK, &stack);
  alarm(PROBE_SECONDS);
}

static int run(const probe *which) {
  lua_State *L = luaL_newstate();
  if (!L) return IS_WRONG;
  luaL_openlibs(L);
  bool is_right =
      luaL_dostring(L, which->code) == LUA_OK && lua_toboolean(L, -1);
  lua_close(L);
  return is_right ? IS_RIGHT : IS_WRONG;
}

static outcome try(const probe *which) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) return UNKNOWN;
  if (child == 0) {
    keep_quiet();
    _exit(run(which));
  }
  int status;
  if (waitpid(child, &status, 0) != child) return UNKNOWN;
  if (WIFEXITED(status) && WEXITSTATUS(status) == IS_RIGHT) return RIGHT;
  if (WIFEXITED(status) && WEXITSTATUS(status) == IS_WRONG) return WRONG;
  return CRASHES;
}

// --- Telling ----------------------------------------------------------------

// "5.4.4" of the library that is in use, which may not be the header's.
static const char *release(char *out, size_t size) {
  const char *begin = strstr(lua_ident, "Lua 5.");
  if (!begin) return LUA_RELEASE;
  snprintf(out, size, "%.*s", (int)strcspn(begin + 4, " "), begin + 4);
  return out;
}

static void tell_where(void) {
  Dl_info lua = {0}, own = {0};
  dladdr((void *)(size_t)lua_newstate, &lua);
  dladdr((void *)(size_t)ic_doctor, &own);
  if (!lua.dli_fname) {
    printf("  from an unknown place\n");
  } else if (lua.dli_fbase == own.dli_fbase) {
    printf("  built into the command (%s)\n", lua.dli_fname);
  } else {
    printf("  from %s\n", lua.dli_fname);
  }
}

static const char *word_of(outcome what) {
  static const char *const words[] = {"right", "wrong result", "crashes",
                                      "not tried"};
  return words[what];
}

static void tell_promise(int wrong, int unsafe, const char *version) {
  int newest = atoi(version + strlen("5.4."));
  if (unsafe > 0) {
    printf("promise: contains accidents, not hostile code\n");
  } else if (wrong > 0 || newest < BEST_RELEASE) {
    printf(
        "promise: contains accidents, not hostile code (no defect that "
        "damages\n  memory was found, but the release has others)\n");
  } else {
    printf("promise: contains hostile code, as far as is known\n");
  }
  if (wrong > 0 || newest < BEST_RELEASE) {
    printf(
        "to do: get the source of Lua 5.4.%d or newer from lua.org, and "
        "build with\n  cmake -DIC_LUA_SOURCE=DIRECTORY\n",
        BEST_RELEASE);
  }
}

int ic_doctor(void) {
  char text[32];
  const char *version = release(text, sizeof text);
  int wrong = 0, unsafe = 0;
  printf("isolate-cluster %s\nLua %s\n", IC_VERSION, version);
  tell_where();
  for (int i = 0; i < PROBES; i++) {
    outcome found = try(&probes[i]);
    printf("  %s: %s\n", probes[i].name, word_of(found));
    if (found == RIGHT) continue;
    wrong++;
    if (probes[i].is_unsafe) unsafe++;
  }
  tell_promise(wrong, unsafe, version);
  printf(
      "The Lua module has the Lua of the program that loads it, which this "
      "does not\ntest.\n");
  return wrong > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
