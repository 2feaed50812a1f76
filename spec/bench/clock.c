// clock.c - the Lua module `clock`: what Lua can't ask the system for.
//
// Every Lua program of the benchmark measures with it, in whatever thread it
// runs. A floor of the machine's own noise is not taken off anywhere.

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>

int luaopen_clock(lua_State *L);

static double seconds_of(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// now() -> seconds of a clock that all processes share and that only goes on.
static int clock_now(lua_State *L) {
  lua_pushnumber(L, seconds_of(CLOCK_MONOTONIC));
  return 1;
}

// cpu() -> seconds of CPU that all threads of this process have used.
static int clock_cpu(lua_State *L) {
  lua_pushnumber(L, seconds_of(CLOCK_PROCESS_CPUTIME_ID));
  return 1;
}

// childrenCpu() -> seconds of CPU that processes waited for have used.
static int clock_children_cpu(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  lua_pushnumber(
      L, (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
  return 1;
}

// sleeps() -> how often a thread of this process has gone to sleep: each time
// it was also woken.
static int clock_sleeps(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  lua_pushinteger(L, usage.ru_nvcsw);
  return 1;
}

// rss() -> KiB of memory that this process has resident.
static int clock_rss(lua_State *L) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1) {
    return luaL_error(L, "can't read /proc/self/statm");
  }
  fclose(file);
  lua_pushinteger(L, pages * (sysconf(_SC_PAGESIZE) / 1024));
  return 1;
}

int luaopen_clock(lua_State *L) {
  static const luaL_Reg functions[] = {{"now", clock_now},
                                       {"cpu", clock_cpu},
                                       {"childrenCpu", clock_children_cpu},
                                       {"sleeps", clock_sleeps},
                                       {"rss", clock_rss},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
