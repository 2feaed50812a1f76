// output.h - an isolate's stdout and stderr: whole lines, never mixed.
//
// What Lua code writes to its streams is kept until its line is complete, and then
// goes to the process's stream in one piece. A flush, or the end of the isolate, lets
// an unfinished line go too.
//
// Threads: the isolate's. Memory: ic_output_fini closes both.

#ifndef IC_OUTPUT_H
#define IC_OUTPUT_H

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/capture.h"

typedef struct {
  FILE *file;           // what Lua code writes to; NULL before it is opened
  luaL_Stream *handle;  // the same to Lua
  FILE *target;         // the process's stream
  ic_capture *capture;  // takes what comes in its place; NULL: none
  ic_captured_kind kind;
  bool is_own;       // [file] is; else it is that of all isolates
  const char *path;  // the isolate's
  char *line;        // the beginning of a line that is not complete
  size_t size;
  size_t capacity;
} ic_output_stream;

typedef struct {
  ic_output_stream out;
  ic_output_stream err;
} ic_output;

// Makes print, io.write, io.stdout and io.stderr of the state write here. The
// standard libraries are open. Nothing may be written before ic_output_open.
// Stack: [-0, +0]. Raises where there is no memory.
void ic_output_install(ic_output *output, lua_State *L);

// Opens the streams. Lines go to [capture] as those of [path], which it borrows,
// or, where that is NULL, to the process's streams.
// Stack: [-0, +0]. Raises where there is no memory.
void ic_output_open(ic_output *output, lua_State *L, ic_capture *capture,
                    const char *path);

// From now on, what the calling thread writes to the streams of isolates is of
// [output]; NULL: of none. Returns what it was.
ic_output *ic_output_enter(ic_output *output);

// Makes print write whole lines to the file of [stream], which outlives the
// state.
// Stack: [-0, +0]. Raises where there is no memory.
void ic_output_install_print(lua_State *L, ic_output_stream *stream);

// Lets go of what is left and closes. The state is closed, or will not print.
void ic_output_fini(ic_output *output);

#endif
