// process.c - what of the os library would concern all isolates of the process.

#include "binding/process.h"

#include <errno.h>
#include <lauxlib.h>
#include <locale.h>
#include <stdbool.h>
#include <unistd.h>

#include "core/program.h"
#include "core/turn.h"

// Runs the command to its end; false: [errno] tells why not. For whom it may concern
// that this takes long, it is noted.
static bool run_shell(const char *command, int *status) {
  ic_isolate *isolate = ic_turn_current();
  ic_program program;
  int descriptor;
  errno = ic_program_start(command, IC_PROGRAM_ALONE, &program, &descriptor);
  if (errno != 0) return false;
  if (isolate) atomic_store(&isolate->post.c_function, "os.execute");
  bool ended =
      ic_program_wait(program, isolate ? &isolate->killed : NULL, status);
  if (isolate) atomic_store(&isolate->post.c_function, NULL);
  return ended;
}

// os.execute([command]), with the results of Lua's.
static int execute(lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  if (!command) {
    lua_pushboolean(L, access("/bin/sh", X_OK) == 0);
    return 1;
  }
  int status = 0;
  if (!run_shell(command, &status)) return luaL_execresult(L, -1);
  errno = 0;  // or luaL_execresult takes the status for an error
  return luaL_execresult(L, status);
}

// os.setlocale([locale [, category]]): tells the locale, but sets none.
static int set_locale(lua_State *L) {
  static const int numbers[] = {LC_ALL,      LC_COLLATE, LC_CTYPE,
                                LC_MONETARY, LC_NUMERIC, LC_TIME};
  static const char *const names[] = {"all",     "collate", "ctype", "monetary",
                                      "numeric", "time",    NULL};
  const char *wanted = luaL_optstring(L, 1, NULL);
  int category = luaL_checkoption(L, 2, "all", names);
  if (wanted) {
    luaL_pushfail(L);
  } else {
    lua_pushstring(L, setlocale(numbers[category], NULL));
  }
  return 1;
}

void ic_process_install(lua_State *L) {
  lua_getglobal(L, "os");
  lua_pushcfunction(L, execute);
  lua_setfield(L, -2, "execute");
  lua_pop(L, 1);
}

void ic_process_protect(lua_State *L) {
  lua_getglobal(L, "os");
  lua_pushcfunction(L, set_locale);
  lua_setfield(L, -2, "setlocale");
  lua_pop(L, 1);
}
