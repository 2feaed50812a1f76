// path.h - the names of isolates: "/workers/7".
//
// A path is absolute; its segments are 1 to 255 bytes of unreserved URI
// characters (RFC 3986, section 2.3: letters, digits and -._~), none of them
// "." or ".."; at most 1,024 bytes in all. A prefix is "/" or a path with a "/"
// behind it.

#ifndef IC_PATH_H
#define IC_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum { IC_PATH_MAX_BYTES = 1024, IC_SEGMENT_MAX_BYTES = 255 };

// What is wrong with [path] as a path, or, with [prefix], as a prefix; NULL if
// nothing is. The text is static, to stand behind "malformed path '...': ".
const char *ic_path_complaint(const char *path, bool prefix);

bool ic_path_is_prefix(const char *path);

#endif
