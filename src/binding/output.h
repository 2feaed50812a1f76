// output.h - an isolate's stdout and stderr: whole lines, never mixed.
//
// Each state has two C streams of its own. What Lua code writes to them is kept
// until its line is complete, and then goes to the process's stream in one
// piece. A flush, or the end of the isolate, lets an unfinished line go too.
//
// Threads: the isolate's. Memory: ic_output_fini closes both.

#ifndef IC_OUTPUT_H
#define IC_OUTPUT_H

#include <lua.h>
#include <stdio.h>

typedef struct {
  FILE *file;    // what Lua code writes to; NULL before the install
  FILE *target;  // the process's stream
  char *line;    // the beginning of a line that is not complete
  size_t size;
  size_t capacity;
} ic_output_stream;

typedef struct {
  ic_output_stream out;
  ic_output_stream err;
} ic_output;

// Makes print, io.write, io.stdout and io.stderr of the state write here. The
// standard libraries are open.
// Stack: [-0, +0]. Raises where there is no memory.
void ic_output_install(ic_output *output, lua_State *L);

// Makes print write whole lines to [file], which outlives the state.
// Stack: [-0, +0]. Raises where there is no memory.
void ic_output_install_print(lua_State *L, FILE *file);

// Lets go of what is left and closes. The state is closed, or will not print.
void ic_output_fini(ic_output *output);

#endif
