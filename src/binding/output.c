// output.c - a stream of Lua's io library whose bytes come to write_lines().
//
// glibc's fopencookie gives a FILE, so every function of the io library works
// on it as on the real stdout. The process has one FILE for the stdout of all
// isolates, and one for their stderr: they have no buffer, so there is nothing of
// an isolate in them, and what is written goes to the one whose code the thread
// runs. A script that sets how its stream is buffered gets a FILE of its own.

#include "binding/output.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "core/sync.h"

// A line that grows beyond this is let go in pieces.
enum { LONGEST_LINE = 1 << 20 };

static int keep(ic_output_stream *stream, const char *bytes, size_t size) {
  size_t needed = stream->size + size;
  if (needed > LONGEST_LINE) return 0;
  if (needed > stream->capacity) {
    char *line = realloc(stream->line, needed * 2);
    if (!line) return 0;
    stream->line = line;
    stream->capacity = needed * 2;
  }
  memcpy(stream->line + stream->size, bytes, size);
  stream->size = needed;
  return 1;
}

// The whole line in one piece, where there is memory to put it together.
static void emit_captured(ic_output_stream *stream, const char *bytes,
                          size_t size) {
  bool has_both = stream->size > 0 && size > 0;
  if (has_both && keep(stream, bytes, size)) size = 0;
  ic_capture *capture = stream->capture;
  if (stream->size > 0) {
    ic_capture_add(capture, stream->kind, stream->path, stream->line,
                   stream->size);
  }
  if (size > 0) {
    ic_capture_add(capture, stream->kind, stream->path, bytes, size);
  }
  stream->size = 0;
}

static void emit(ic_output_stream *stream, const char *bytes, size_t size) {
  if (stream->capture) {
    emit_captured(stream, bytes, size);
    return;
  }
  flockfile(stream->target);
  errno = 0;  // fwrite takes for written what it could not flush
  if (stream->size > 0) fwrite(stream->line, 1, stream->size, stream->target);
  if (size > 0) fwrite(bytes, 1, size, stream->target);
  int error = errno;
  funlockfile(stream->target);
  stream->size = 0;
  if (error == EPIPE) ic_thread_admit_broken_pipe();
}

static ssize_t write_lines(void *cookie, const char *bytes, size_t size) {
  ic_output_stream *stream = cookie;
  const char *newline = memrchr(bytes, '\n', size);
  size_t complete = newline ? (size_t)(newline - bytes) + 1 : 0;
  if (complete > 0) emit(stream, bytes, complete);
  size_t rest = size - complete;
  if (rest > 0 && !keep(stream, bytes + complete, rest)) {
    emit(stream, bytes + complete, rest);
  }
  return (ssize_t)size;
}

// --- The FILEs ----------------------------------------------------------------

// Of the isolate whose code the thread runs.
static _Thread_local ic_output *current;

ic_output *ic_output_enter(ic_output *output) {
  ic_output *outer = current;
  current = output;
  return outer;
}

static struct {
  ic_mutex mutex;
  FILE *files[2];  // guard: mutex; by ic_captured_kind, once they are made
} shared = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

static ssize_t write_out(void *cookie, const char *bytes, size_t size) {
  (void)cookie;
  if (current) return write_lines(&current->out, bytes, size);
  return (ssize_t)fwrite(bytes, 1, size,
                         stdout);  // a thread of the script's own
}

static ssize_t write_err(void *cookie, const char *bytes, size_t size) {
  (void)cookie;
  if (current) return write_lines(&current->err, bytes, size);
  return (ssize_t)fwrite(bytes, 1, size, stderr);
}

// Unbuffered: it is we who keep a line's parts together, and an exit() of the
// process flushes every FILE, on a thread that is not the stream's. NULL: no memory.
static FILE *new_file(ic_output_stream *stream,
                      cookie_write_function_t *write) {
  FILE *file =
      fopencookie(stream, "w", (cookie_io_functions_t){.write = write});
  if (file) setvbuf(file, NULL, _IONBF, 0);
  return file;
}

static FILE *shared_file(ic_captured_kind kind) {
  FILE **file = &shared.files[kind];
  ic_mutex_lock(&shared.mutex);
  if (!*file) {
    *file = new_file(NULL, kind == IC_CAPTURED_OUTPUT ? write_out : write_err);
  }
  FILE *found = *file;
  ic_mutex_unlock(&shared.mutex);
  return found;
}

static void set_file(lua_State *L, ic_output_stream *stream, FILE *file) {
  if (!file) luaL_error(L, "not enough memory for a stream");
  stream->file = stream->handle->f = file;
}

static void make_own(lua_State *L, ic_output_stream *stream) {
  if (stream->is_own) return;
  set_file(L, stream, new_file(stream, write_lines));
  stream->is_own = true;
}

static void let_go(ic_output_stream *stream) {
  if (stream->is_own) fflush(stream->file);
  if (stream->size > 0) emit(stream, NULL, 0);
  if (fflush(stream->target) != 0 && errno == EPIPE) {
    ic_thread_admit_broken_pipe();
  }
}

static void close_stream(ic_output_stream *stream) {
  if (!stream->file) return;
  let_go(stream);
  if (stream->is_own) fclose(stream->file);
  free(stream->line);
  *stream = (ic_output_stream){0};
}

void ic_output_fini(ic_output *output) {
  close_stream(&output->out);
  close_stream(&output->err);
}

// --- For Lua ----------------------------------------------------------------

// io.stdout and io.stderr are not closed by Lua code, as in the io library.
static int keep_open(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  stream->closef = keep_open;
  luaL_pushfail(L);
  lua_pushliteral(L, "cannot close standard file");
  return 2;
}

// print(...), but the whole line is written in one piece.
static int print(lua_State *L) {
  ic_output_stream *stream = lua_touserdata(L, lua_upvalueindex(1));
  int count = lua_gettop(L);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= count; i++) {
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_addchar(&line, '\n');
  luaL_pushresult(&line);
  size_t size;
  const char *bytes = lua_tolstring(L, -1, &size);
  if (stream->is_own) {
    fwrite(bytes, 1, size, stream->file);
  } else {
    write_lines(stream, bytes, size);
  }
  return 0;
}

static void let_go_of(ic_output *output, FILE *file) {
  if (file == output->out.file) let_go(&output->out);
  if (file == output->err.file) let_go(&output->err);
}

// file:flush() and io.flush(): as the io library's, which is the second upvalue;
// then an unfinished line goes out too.
static int flush(lua_State *L) {
  ic_output *output = lua_touserdata(L, lua_upvalueindex(1));
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  FILE *file = stream && stream->closef ? stream->f : NULL;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  if (file) {
    let_go_of(output, file);
  } else if (!stream) {
    // io.flush() is for the default output, which may be either of ours.
    let_go(&output->out);
    let_go(&output->err);
  }
  return lua_gettop(L);
}

// file:setvbuf(...): as the io library's, which is the second upvalue.
static int set_buffer(lua_State *L) {
  ic_output *output = lua_touserdata(L, lua_upvalueindex(1));
  const luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (stream == output->out.handle) make_own(L, &output->out);
  if (stream == output->err.handle) make_own(L, &output->err);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

// Replaces [name] in the table on the top by [function] over the old one.
static void wrap(lua_State *L, ic_output *output, const char *name,
                 lua_CFunction function) {
  lua_pushlightuserdata(L, output);
  lua_getfield(L, -2, name);
  lua_pushcclosure(L, function, 2);
  lua_setfield(L, -2, name);
}

// Pushes a file handle for a stream whose lines go to [target]; it is of no use
// before ic_output_open.
static void push_stream(lua_State *L, ic_output_stream *stream, FILE *target,
                        ic_captured_kind kind) {
  stream->kind = kind;
  stream->handle = lua_newuserdatauv(L, sizeof *stream->handle, 0);
  *stream->handle = (luaL_Stream){.closef = keep_open};
  stream->target = target;
  luaL_setmetatable(L, LUA_FILEHANDLE);
}

void ic_output_install_print(lua_State *L, ic_output_stream *stream) {
  lua_pushlightuserdata(L, stream);
  lua_pushcclosure(L, print, 1);
  lua_setglobal(L, "print");
}

void ic_output_install(ic_output *output, lua_State *L) {
  lua_getglobal(L, "io");
  push_stream(L, &output->out, stdout, IC_CAPTURED_OUTPUT);
  lua_getfield(L, -2, "output");
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
  lua_setfield(L, -2, "stdout");
  ic_output_install_print(L, &output->out);
  push_stream(L, &output->err, stderr, IC_CAPTURED_ERRORS);
  lua_setfield(L, -2, "stderr");
  wrap(L, output, "flush", flush);
  lua_pop(L, 1);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_getfield(L, -1, "__index");
  wrap(L, output, "flush", flush);
  wrap(L, output, "setvbuf", set_buffer);
  lua_pop(L, 2);
}

void ic_output_open(ic_output *output, lua_State *L, ic_capture *capture,
                    const char *path) {
  output->out.capture = output->err.capture = capture;
  output->out.path = output->err.path = path;
  set_file(L, &output->out, shared_file(IC_CAPTURED_OUTPUT));
  set_file(L, &output->err, shared_file(IC_CAPTURED_ERRORS));
}
