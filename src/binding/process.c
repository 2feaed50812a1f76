// process.c - runs the shell and waits, as system() does but for the signals.

#include "binding/process.h"

#include <errno.h>
#include <lauxlib.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/turn.h"

#define SHELL "/bin/sh"

// Runs the command to its end; false: [errno] tells why not.
static bool run_shell(const char *command, int *status) {
  char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)command, NULL};
  pid_t child;
  errno = posix_spawn(&child, SHELL, NULL, NULL, arguments, environ);
  if (errno != 0) return false;
  pid_t waited;
  do {
    waited = waitpid(child, status, 0);
  } while (waited < 0 && errno == EINTR);
  return waited == child;
}

// For whom it may concern that this takes long.
static bool run_noted(const char *command, int *status) {
  ic_isolate *isolate = ic_turn_current();
  if (isolate) atomic_store(&isolate->post.c_function, "os.execute");
  bool ran = run_shell(command, status);
  if (isolate) atomic_store(&isolate->post.c_function, NULL);
  return ran;
}

// os.execute([command]), with the results of Lua's.
static int execute(lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  if (!command) {
    lua_pushboolean(L, access(SHELL, X_OK) == 0);
    return 1;
  }
  int status = 0;
  bool ran = run_noted(command, &status);
  if (!ran) return luaL_execresult(L, -1);
  errno = 0;  // or luaL_execresult takes the status for an error
  return luaL_execresult(L, status);
}

void ic_process_install(lua_State *L) {
  lua_getglobal(L, "os");
  lua_pushcfunction(L, execute);
  lua_setfield(L, -2, "execute");
  lua_pop(L, 1);
}
