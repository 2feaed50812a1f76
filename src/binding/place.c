// place.c - keys and kinds of values as text, without a call that allocates.

#include "binding/place.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/codec.h"

enum { KEY_BYTES = 40 };  // of a string key that are shown

void ic_place_init(ic_place *place, char *bytes, size_t size) {
  *place = (ic_place){bytes, size, 0};
  bytes[0] = '\0';
}

static void add_bytes(ic_place *place, const char *bytes, size_t size) {
  size_t room = place->size - 1 - place->used;
  if (size > room) size = room;
  memcpy(place->bytes + place->used, bytes, size);
  place->used += size;
  place->bytes[place->used] = '\0';
}

void ic_place_add(ic_place *place, const char *text) {
  add_bytes(place, text, strlen(text));
}

void ic_place_add_index(ic_place *place, lua_Integer index) {
  char text[32];
  snprintf(text, sizeof text, "[" LUA_INTEGER_FMT "]", index);
  ic_place_add(place, text);
}

// --- String keys -----------------------------------------------------------

// ASCII only, whatever the locale.
static bool is_name_byte(char byte) {
  return byte == '_' || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

static bool is_identifier(const char *bytes, size_t size) {
  if (size == 0 || (bytes[0] >= '0' && bytes[0] <= '9')) return false;
  for (size_t i = 0; i < size; i++) {
    if (!is_name_byte(bytes[i])) return false;
  }
  return true;
}

static void add_escaped(ic_place *place, char byte, bool verbatim) {
  unsigned char code = (unsigned char)byte;
  char text[8];
  if (byte == '"' || byte == '\\') {
    snprintf(text, sizeof text, "\\%c", byte);
  } else if (code < 32 || code == 127 || (code > 127 && !verbatim)) {
    snprintf(text, sizeof text, "\\%03u", code);
  } else {
    snprintf(text, sizeof text, "%c", byte);
  }
  ic_place_add(place, text);
}

// The bytes that are shown: whole characters, if [size] must be cut.
static size_t shown_size(const char *bytes, size_t size) {
  if (size <= KEY_BYTES) return size;
  size_t shown = KEY_BYTES;
  for (int i = 0; i < 3 && ((unsigned char)bytes[shown] & 0xc0) == 0x80; i++) {
    shown--;
  }
  return shown;
}

static void add_string_key(ic_place *place, const char *bytes, size_t size) {
  size_t shown = shown_size(bytes, size);
  if (shown == size && is_identifier(bytes, size)) {
    ic_place_add(place, ".");
    add_bytes(place, bytes, size);
    return;
  }
  bool verbatim = ic_codec_is_utf8((const uint8_t *)bytes, shown);
  ic_place_add(place, "[\"");
  for (size_t i = 0; i < shown; i++)
    add_escaped(place, bytes[i], verbatim);
  ic_place_add(place, shown < size ? "...\"]" : "\"]");
}

// --- Keys and kinds --------------------------------------------------------

static void add_float(ic_place *place, lua_Number number) {
  char text[48];
  snprintf(text, sizeof text, "[%.14g]", (double)number);
  ic_place_add(place, text);
}

void ic_place_add_key(ic_place *place, lua_State *L, int index) {
  size_t size;
  switch (lua_type(L, index)) {
    case LUA_TSTRING: {
      const char *bytes = lua_tolstring(L, index, &size);
      add_string_key(place, bytes, size);
      return;
    }
    case LUA_TNUMBER:
      if (!lua_isinteger(L, index)) {
        add_float(place, lua_tonumber(L, index));
        return;
      }
      ic_place_add_index(place, lua_tointeger(L, index));
      return;
    case LUA_TBOOLEAN:
      ic_place_add(place, lua_toboolean(L, index) ? "[true]" : "[false]");
      return;
    default:
      ic_place_add(place, "[");
      ic_place_add(place, lua_typename(L, lua_type(L, index)));
      ic_place_add(place, "]");
  }
}

static void add_function(ic_place *place, lua_State *L, int index) {
  lua_Debug about;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">S", &about);
  if (about.what[0] == 'C') {
    ic_place_add(place, "a C function");
    return;
  }
  char text[LUA_IDSIZE + 48];
  snprintf(text, sizeof text, "a function (%s:%d)", about.short_src,
           about.linedefined);
  ic_place_add(place, text);
}

void ic_place_add_kind(ic_place *place, lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TFUNCTION:
      add_function(place, L, index);
      return;
    case LUA_TLIGHTUSERDATA:
      ic_place_add(place, "a light userdata");
      return;
    default:
      ic_place_add(place, "a ");
      ic_place_add(place, lua_typename(L, lua_type(L, index)));
  }
}
