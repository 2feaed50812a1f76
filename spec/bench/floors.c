// floors.c - what C alone needs for the same: nothing of Lua's or of this
// machine's can be faster, but by not doing it.
//
//   floors PROGRAM SECONDS
//
// Prints "measurement value unit". Lua is linked in statically, as in the
// isolate-cluster command, and allocates with malloc.

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

// --- Measuring ---------------------------------------------------------------

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Seconds that one call of work takes, when it is called for that long; the
// first quarter warms up.
static double measure(double seconds, void (*work)(void *), void *argument) {
  double start = now();
  while (now() - start < seconds / 4)
    work(argument);
  long count = 0;
  double elapsed;
  start = now();
  do {
    work(argument);
    count++;
    elapsed = now() - start;
  } while (elapsed < seconds);
  return elapsed / (double)count;
}

static void silence(double seconds) {
  struct timespec time = {(time_t)seconds,
                          (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&time, NULL);
}

static pthread_t start_thread(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument) != 0) {
    fputs("floors: can't start a thread\n", stderr);
    exit(1);
  }
  return thread;
}

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  return L;
}

// --- Two threads that talk ---------------------------------------------------

// A ball that two threads pass on: each waits until it is on its side.
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t moved;
  int side;
} ball;

static void pass(ball *ball, int from) {
  pthread_mutex_lock(&ball->lock);
  ball->side = 1 - from;
  pthread_cond_signal(&ball->moved);
  pthread_mutex_unlock(&ball->lock);
}

static void await(ball *ball, int side) {
  pthread_mutex_lock(&ball->lock);
  while (ball->side != side)
    pthread_cond_wait(&ball->moved, &ball->lock);
  pthread_mutex_unlock(&ball->lock);
}

static void *ponger(void *argument) {
  for (;;) {
    await(argument, 1);
    pass(argument, 1);
  }
  return NULL;
}

static void round_trip(void *argument) {
  pass(argument, 0);
  await(argument, 0);
}

static ball *start_ponger(void) {
  static ball ball = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
  start_thread(ponger, &ball);
  return &ball;
}

static void pingpong(double seconds) {
  printf("pingpong %g us\n",
         measure(seconds, round_trip, start_ponger()) * 1e6);
}

static int compare(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

// Each round trip comes after a silence in which both fall asleep.
static void cold(double seconds) {
  ball *ball = start_ponger();
  int count = (int)(seconds / 0.02);
  double *times = calloc((size_t)count, sizeof *times);
  for (int i = 0; i < count; i++) {
    silence(0.02);
    double start = now();
    round_trip(ball);
    times[i] = now() - start;
  }
  qsort(times, (size_t)count, sizeof *times, compare);
  printf("cold %g us\n", times[count / 2] * 1e6);
}

static void *spinning_ponger(void *argument) {
  int *side = argument;
  for (;;) {
    while (__atomic_load_n(side, __ATOMIC_ACQUIRE) != 1) {
    }
    __atomic_store_n(side, 0, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void spinning_round_trips(void *argument) {
  int *side = argument;
  for (int i = 0; i < 100; i++) {
    __atomic_store_n(side, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(side, __ATOMIC_ACQUIRE) != 0) {
    }
  }
}

static void spin(double seconds) {
  static int side;
  start_thread(spinning_ponger, &side);
  double each = measure(seconds, spinning_round_trips, &side) / 100;
  printf("spin %g us\n", each * 1e6);
}

// --- Threads and states ------------------------------------------------------

static void *nothing(void *argument) {
  return argument;
}

static void create_and_join(void *argument) {
  pthread_join(start_thread(nothing, argument), NULL);
}

static void thread(double seconds) {
  printf("thread %g us\n", measure(seconds, create_and_join, NULL) * 1e6);
}

static void open_and_close(void *argument) {
  (void)argument;
  lua_close(new_state());
}

// One state that is opened and closed, whose memory is used again; and 1,000
// that are kept, as those of 1,000 isolates are.
static void state(double seconds) {
  double start = now();
  for (int i = 0; i < 1000; i++)
    new_state();
  printf("state_kept %g us\n", (now() - start) / 1000 * 1e6);
  printf("state %g us\n", measure(seconds, open_and_close, NULL) * 1e6);
}

static pthread_barrier_t all_wait;

static void *idler(void *argument) {
  pthread_barrier_wait(&all_wait);
  pause();
  return argument;
}

static long rss_kib(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1) exit(1);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void idle(double seconds) {
  int count = seconds < 0.5 ? (int)(20000 * seconds) : 10000;
  pthread_barrier_init(&all_wait, NULL, (unsigned)count + 1);
  long before = rss_kib();
  for (int i = 0; i < count; i++)
    start_thread(idler, new_state());
  pthread_barrier_wait(&all_wait);
  printf("rss %g KiB\n", (double)(rss_kib() - before) / count);
}

// --- Memory and Lua ----------------------------------------------------------

enum { TEXT_BYTES = 1024 * 1024 };

static void copy(void *argument) {
  char *texts = argument;
  memcpy(texts, texts + TEXT_BYTES, TEXT_BYTES);
  __asm__ volatile("" : : "r"(texts) : "memory");  // it is wanted
}

static void text(double seconds) {
  char *texts = malloc(2 * TEXT_BYTES);
  memset(texts, 'x', 2 * TEXT_BYTES);
  double each = measure(seconds, copy, texts);
  printf("text %g GB/s\n", TEXT_BYTES / each / 1e9);
}

static void call_1000_times(void *argument) {
  lua_State *L = argument;
  for (int i = 0; i < 1000; i++) {
    lua_pushvalue(L, 1);
    lua_pushinteger(L, i);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) exit(1);
  }
}

static void callback(double seconds) {
  lua_State *L = new_state();
  if (luaL_dostring(L, "local n = 0 return function(v) n = n + v end")) exit(1);
  double each = measure(seconds, call_1000_times, L) / 1000;
  printf("callback %g ns\n", each * 1e9);
}

// Reads the array at the top of the stack and builds one that is equal. From
// one state to another it would need something between: this is less.
static void copy_floats(lua_State *L) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -2, i);
    lua_Number number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    lua_pushnumber(L, number);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
}

// Pushes a value equal to the one at [index], without knowing what it is.
static void push_equal(lua_State *L, int index) {
  size_t len;
  const char *bytes;
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      bytes = lua_tolstring(L, index, &len);
      lua_pushlstring(L, bytes, len);
      break;
    case LUA_TBOOLEAN:
      lua_pushboolean(L, lua_toboolean(L, index));
      break;
    default:
      if (lua_isinteger(L, index)) {
        lua_pushinteger(L, lua_tointeger(L, index));
      } else {
        lua_pushnumber(L, lua_tonumber(L, index));
      }
  }
}

static void copy_record(lua_State *L) {
  int record = lua_gettop(L);
  lua_createtable(L, 0, 4);
  lua_pushnil(L);
  while (lua_next(L, record)) {  // copy, key, value
    push_equal(L, -2);
    push_equal(L, -2);
    lua_rawset(L, record + 1);
    lua_pop(L, 1);
  }
}

static void copy_records(lua_State *L) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -2, i);
    copy_record(L);
    lua_rawseti(L, -3, i);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void copy_floats_of(void *argument) {
  copy_floats(argument);
}
static void copy_records_of(void *argument) {
  copy_records(argument);
}

static lua_State *state_with(const char *value) {
  lua_State *L = new_state();
  lua_getglobal(L, "require");
  lua_pushliteral(L, "values");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, value);
  lua_call(L, 0, 1);
  return L;
}

static void floats(double seconds) {
  double each = measure(seconds, copy_floats_of, state_with("floats"));
  printf("floats %g ms\n", each * 1e3);
}

static void records(double seconds) {
  double each = measure(seconds, copy_records_of, state_with("records"));
  printf("records %g ms\n", each * 1e3);
}

// --- Start -------------------------------------------------------------------

static const struct {
  const char *name;
  void (*run)(double seconds);
} programs[] = {{"pingpong", pingpong}, {"cold", cold},
                {"spin", spin},         {"thread", thread},
                {"state", state},       {"idle", idle},
                {"text", text},         {"floats", floats},
                {"records", records},   {"callback", callback}};

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    if (strcmp(programs[i].name, argv[1]) != 0) continue;
    programs[i].run(atof(argv[2]));
    fflush(stdout);
    _exit(0);  // without waiting for threads that talk for ever
  }
  return 2;
}
