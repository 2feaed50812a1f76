// files.c - streams are noted in memory of their own, where no script reaches.

#include "binding/files.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "binding/ending.h"
#include "core/program.h"
#include "core/turn.h"

// A stream, and how the io library closes it.
typedef struct {
  ic_owned owned;
  FILE *file;
  lua_CFunction close;  // NULL: it is a program's
  ic_program program;
} open_file;

// The isolate has been ended by force: nothing may take long.
static void release_file(ic_owned *owned) {
  open_file *opened = (open_file *)owned;
  if (!opened->close) ic_program_kill(opened->program);
  // What is written but not flushed must not wait for a pipe's reader.
  int descriptor = fileno(opened->file);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  fclose(opened->file);
  free(opened);
}

void ic_files_end_programs(ic_lua_body *body) {
  ic_owned *ring = &body->owned;
  for (ic_owned *at = ring->next; at != ring; at = at->next) {
    const open_file *opened = (open_file *)at;
    if (at->release == release_file && !opened->close) {
      ic_program_end(opened->program);
    }
  }
}

// Takes the note of the stream off the body's list; NULL: there is none.
static open_file *take_note(lua_State *L, const luaL_Stream *stream) {
  ic_owned *ring = &ic_ending_body_of(L)->owned;
  for (ic_owned *at = ring->next; at != ring; at = at->next) {
    open_file *opened = (open_file *)at;
    if (at->release != release_file || opened->file != stream->f) continue;
    at->previous->next = at->next;
    at->next->previous = at->previous;
    return opened;
  }
  return NULL;
}

// Closes a program's stream and waits for its end: as io.popen's file:close().
static int close_program(lua_State *L, FILE *file, ic_program program) {
  ic_isolate *isolate = ic_turn_current();
  int status = 0;
  fclose(file);
  bool ended =
      ic_program_wait(program, isolate ? &isolate->killed : NULL, &status);
  if (ended) errno = 0;  // or luaL_execresult takes the status for an error
  return luaL_execresult(L, ended ? status : -1);
}

static int close_stream(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  open_file *opened = take_note(L, stream);
  if (!opened) return 0;
  open_file copy = *opened;
  free(opened);
  return copy.close ? copy.close(L) : close_program(L, copy.file, copy.program);
}

static bool is_noted(const ic_lua_body *body, const luaL_Stream *stream) {
  return stream->closef == close_stream || stream->f == stdin ||
         stream->f == body->output.out.file ||
         stream->f == body->output.err.file;
}

// Calls a function of the io library in its own place, so that its complaints are
// the same, and notes the stream that it opened.
static int open_stream(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  lua_CFunction function = lua_tocfunction(L, lua_upvalueindex(2));
  int results = function(L);
  for (int i = 1; i <= results; i++) {
    luaL_Stream *stream = luaL_testudata(L, -i, LUA_FILEHANDLE);
    if (!stream || !stream->closef || is_noted(body, stream)) continue;
    open_file *opened = malloc(sizeof *opened);
    if (!opened) continue;
    *opened = (open_file){.file = stream->f, .close = stream->closef};
    ic_owned_add(&body->owned, &opened->owned, release_file);
    stream->closef = close_stream;
  }
  return results;
}

// Starts the program for [stream], which is closed until that has worked.
static int start_program(const char *command, bool reads, luaL_Stream *stream,
                         open_file *opened) {
  int descriptor;
  int error =
      ic_program_start(command, reads ? IC_PROGRAM_READ : IC_PROGRAM_WRITTEN,
                       &opened->program, &descriptor);
  if (error != 0) return error;
  stream->f = fdopen(descriptor, reads ? "r" : "w");
  if (stream->f) return 0;
  close(descriptor);
  ic_program_kill(opened->program);
  return ENOMEM;
}

// io.popen(command [, mode]), with the results of Lua's.
static int open_program(lua_State *L) {
  ic_lua_body *body = ic_body_of(L);
  const char *command = luaL_checkstring(L, 1);
  const char *mode = luaL_optstring(L, 2, "r");
  bool reads = strcmp(mode, "r") == 0;
  luaL_argcheck(L, reads || strcmp(mode, "w") == 0, 2, "invalid mode");
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  *stream = (luaL_Stream){.closef = NULL};
  luaL_setmetatable(L, LUA_FILEHANDLE);
  open_file *opened = malloc(sizeof *opened);
  errno = ENOMEM;
  if (!opened) return luaL_fileresult(L, 0, command);
  *opened = (open_file){.close = NULL};
  errno = start_program(command, reads, stream, opened);
  if (!stream->f) {
    free(opened);
    return luaL_fileresult(L, 0, command);
  }
  opened->file = stream->f;
  ic_owned_add(&body->owned, &opened->owned, release_file);
  stream->closef = close_stream;
  return 1;
}

void ic_files_install(lua_State *L, ic_lua_body *body) {
  static const char *const names[] = {"open", "tmpfile", "lines", "input",
                                      "output"};
  lua_getglobal(L, "io");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    lua_pushlightuserdata(L, body);
    lua_getfield(L, -2, names[i]);
    lua_pushcclosure(L, open_stream, 2);
    lua_setfield(L, -2, names[i]);
  }
  lua_pushlightuserdata(L, body);
  lua_pushcclosure(L, open_program, 1);
  lua_setfield(L, -2, "popen");
  lua_pop(L, 1);
}
