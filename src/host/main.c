// main.c - the isolate-cluster command: runs a Lua file as a host script.
//
// The main thread runs the script. A second one waits for SIGINT and SIGTERM:
// on the first it shuts all clusters down, on the second the process ends at
// once, in the signal handler.

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "binding/module.h"
#include "core/shutdown.h"
#include "host/doctor.h"

enum { EXIT_USAGE = 2, SIGNAL_BASE = 128 };

// After a signal: for the isolates to end, then for the script to end by
// itself, then for it to end when interrupted.
enum { SHUTDOWN_MS = 5000, SCRIPT_MS = 200, INTERRUPT_MS = 500 };

static const char usage[] =
    "usage: isolate-cluster run [options] FILE.lua [arguments...]\n"
    "       isolate-cluster doctor | --version | --help\n";

static const char help[] =
    "\n"
    "Runs FILE.lua as the host script of clusters of Lua isolates, with the\n"
    "arguments in the global 'arg'. It ends when the script is done and no\n"
    "isolate is left, or when the script shuts the cluster down.\n"
    "\n"
    "The options hold for what the script, or a spawn, does not say:\n"
    "  --thread own|shared  own, the default: each isolate has its own "
    "thread;\n"
    "                       shared: a pool of threads runs them\n"
    "  --threads N          isolates that the pool runs at once\n"
    "  --isolates N         isolates that may live at once\n"
    "  --sandbox safe|none  what isolates may use\n"
    "  --memory SIZE        of each isolate, in bytes or such as 64MB\n"
    "  --cpu SECONDS        of CPU time, for each message\n"
    "  --cpu-total SECONDS  of CPU time, for each isolate\n"
    "  --mailbox N          messages that may wait for each isolate\n"
    "  --mailbox-bytes SIZE likewise, of all together\n"
    "  --stuck-after SECONDS until an isolate that does not get on is told\n"
    "  --when-full WAY      fail, wait, dropOldest or dropNewest\n"
    "\n"
    "doctor tells which Lua library this uses, what is wrong with it, and "
    "what\n"
    "can be promised with it. Its exit status is 1 if something is wrong.\n"
    "\n"
    "SIGINT and SIGTERM ask all isolates to end, and stop those that are left\n"
    "after 5 seconds; a second signal ends the process at once.\n"
    "\n"
    "Exit status: 0; 1 for an error in the script; 2 for a wrong command "
    "line;\n"
    "128 and the signal's number if a signal ended it without a cluster.\n";

// --- Signals ----------------------------------------------------------------

static sem_t first_signal;
static volatile sig_atomic_t signals_seen;
static volatile sig_atomic_t which_signal;
static sem_t script_ended;
static size_t
    clusters_shut_down;  // by a signal; read once its thread is joined

static void on_signal(int signal) {
  if (signals_seen++ > 0) _exit(SIGNAL_BASE + signal);
  which_signal = signal;
  int saved = errno;
  sem_post(&first_signal);
  errno = saved;
}

static void handle_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static bool script_ends_within(long milliseconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += milliseconds * 1000000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  return sem_clockwait(&script_ended, CLOCK_MONOTONIC, &until) == 0;
}

static int status_after_signal(void) {
  return clusters_shut_down > 0 ? EXIT_SUCCESS : SIGNAL_BASE + which_signal;
}

// Guard of what interrupts the script: it must not be closed then.
static pthread_mutex_t script_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool script_runs;  // guard: script_mutex

static void interrupt_script(ic_host *host) {
  pthread_mutex_lock(&script_mutex);
  if (script_runs) ic_module_interrupt(host);
  pthread_mutex_unlock(&script_mutex);
}

static void set_script_runs(bool runs) {
  pthread_mutex_lock(&script_mutex);
  script_runs = runs;
  pthread_mutex_unlock(&script_mutex);
}

// Lives until the script's state is closed, which may take long: it waits for
// isolates, and for programs that the script has started.
static void *wait_for_signal(void *argument) {
  ic_host *host = argument;
  while (sem_wait(&first_signal) != 0) {
  }
  if (!which_signal) return NULL;  // the script has ended
  clusters_shut_down = ic_cluster_shutdown_all(SHUTDOWN_MS);
  if (clusters_shut_down > 0 && script_ends_within(SCRIPT_MS)) return NULL;
  interrupt_script(host);
  if (script_ends_within(INTERRUPT_MS)) return NULL;
  fflush(stdout);
  _exit(status_after_signal());
}

// --- The script -------------------------------------------------------------

static int add_traceback(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (!text) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) return 1;
    text =
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  lua_Debug caller;  // of who raised it; none where the script does not load
  if (lua_getstack(L, 2, &caller)) luaL_traceback(L, L, text, 1);
  return 1;
}

// The global arg, as lua.c has it: the script is arg[0].
static void set_arguments(lua_State *L, int argc, char **argv, int script) {
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int push_script_arguments(lua_State *L) {
  lua_getglobal(L, "arg");
  int count = (int)luaL_len(L, -1);
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, -i, i);
  lua_remove(L, -(count + 1));
  return count;
}

// When the script is done, the isolates go on.
static void wait_for_isolates(lua_State *L) {
  ic_module_require_in_host(L, "isolate_cluster.cluster");
  lua_getfield(L, -1, "waitForAll");
  lua_call(L, 0, 0);
}

static int run_script(lua_State *L) {
  const char *file = lua_tostring(L, 1);
  if (luaL_loadfile(L, file) != LUA_OK) return lua_error(L);
  lua_call(L, push_script_arguments(L), 0);
  wait_for_isolates(L);
  return 0;
}

static void report(const char *text) {
  fflush(stdout);
  flockfile(stderr);
  fprintf(stderr, "isolate-cluster: %s\n", text);
  funlockfile(stderr);
}

static void open_libraries(lua_State *L) {
  luaL_openlibs(L);
  luaL_requiref(L, "isolate_cluster", luaopen_isolate_cluster, 0);
  lua_pop(L, 1);
}

// (argc, argv) -> the script's place among the arguments | nil, complaint
static int read_options(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  ic_module_require_in_host(L, "isolate_cluster.command");
  lua_getfield(L, -1, "read");
  lua_newtable(L);
  for (int i = 2; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_call(L, 1, 2);
  return 2;
}

static int wrong_usage(const char *complaint, const char *what) {
  fprintf(stderr, "isolate-cluster: %s%s\n%s", complaint, what, usage);
  return EXIT_USAGE;
}

// EXIT_SUCCESS, and the [script]'s place in argv; or the status of a failure.
static int choose(lua_State *L, int argc, char **argv, int *script) {
  lua_pushcfunction(L, read_options);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  if (lua_pcall(L, 2, 2, 0) != LUA_OK) {
    report(lua_tostring(L, -1));
    return EXIT_FAILURE;
  }
  if (lua_isnil(L, -2)) return wrong_usage(lua_tostring(L, -1), "");
  *script = (int)lua_tointeger(L, -2) + 1;
  lua_pop(L, 2);
  set_arguments(L, argc, argv, *script);
  return EXIT_SUCCESS;
}

// Runs the script; the exit status.
static int run(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) {
    report("not enough memory");
    return EXIT_FAILURE;
  }
  open_libraries(L);
  int script;
  int choice = choose(L, argc, argv, &script);
  if (choice != EXIT_SUCCESS) {
    lua_close(L);
    return choice;
  }
  ic_host *host = ic_module_adopt(L);
  pthread_t signal_thread;
  set_script_runs(true);
  bool has_thread =
      pthread_create(&signal_thread, NULL, wait_for_signal, host) == 0;
  if (has_thread) handle_signals();
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, run_script);
  lua_pushstring(L, argv[script]);
  int status = lua_pcall(L, 1, 0, 1);
  set_script_runs(false);
  bool interrupted = ic_module_is_interrupted(host);
  if (status != LUA_OK && !interrupted) report(lua_tostring(L, -1));
  ic_module_disown(host);
  lua_close(L);
  sem_post(&script_ended);
  sem_post(&first_signal);
  if (has_thread) pthread_join(signal_thread, NULL);
  if (interrupted) return status_after_signal();
  return status == LUA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
  if (argc < 2) return wrong_usage("what is to be done?", "");
  if (strcmp(argv[1], "--version") == 0) {
    printf("isolate-cluster %s (%s)\n", IC_VERSION, LUA_RELEASE);
    return EXIT_SUCCESS;
  }
  if (strcmp(argv[1], "--help") == 0) {
    printf("%s%s", usage, help);
    return EXIT_SUCCESS;
  }
  if (strcmp(argv[1], "doctor") == 0) return ic_doctor();
  if (strcmp(argv[1], "run") != 0) {
    return wrong_usage("unknown command: ", argv[1]);
  }
  // Whoever reads a pipe sees each line when it is printed.
  setvbuf(stdout, NULL, _IOLBF, 0);
  sem_init(&first_signal, 0, 0);
  sem_init(&script_ended, 0, 0);
  return run(argc, argv);
}
