// sharing.h - tables that are met twice while one value is encoded.
//
// That a table is shared shows when it is met again, long after its bytes were
// written. So the places are noted, and one pass over the finished bytes puts
// tag 28 in front of each shared table and tag 29 where it was met again.
//
// Who meets no table inside a table needs nothing of this.

#ifndef IC_SHARING_H
#define IC_SHARING_H

#include <stdbool.h>

#include "binding/value.h"

// Forgets the tables of the value before.
void ic_sharing_begin(ic_value_scratch *scratch);

// Notes that the table with this address is written at offset [at]; or that it
// was met again there, where nothing is written for it: then [again] is true.
// The offsets of successive calls never fall.
//
// Errors: IC_MEMORY.
ic_status ic_sharing_meet(ic_value_scratch *scratch, const void *table,
                          size_t at, bool *again);

// Frees what a huge value needed.
void ic_sharing_end(ic_value_scratch *scratch);

// Inserts the tags into [out]. Time is linear in its size.
// Errors: IC_MEMORY; IC_GONE - of its [killed]. Its bytes are of no use then.
ic_status ic_sharing_insert_tags(ic_value_scratch *scratch, ic_buffer *out);

#endif
