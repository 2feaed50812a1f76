// ref.h - refs as programs hold them: counted, sent to, written into values.
//
// Inside a value a ref is a generic object (CBOR tag 27) with the arguments
//   27(["isolate", cluster key, id, path, request])
// The request is 0, or the number of the request whose answer a message to this
// ref is. The bytes name the isolate for any reader; whoever reads them in this
// process gets the same isolate from the message's list of refs.

#ifndef IC_REF_H
#define IC_REF_H

#include "core/buffer.h"
#include "core/isolate.h"

#define IC_REF_TYPE_NAME "isolate"

// Appends the bytes of a ref. Errors: IC_MEMORY; nothing is appended.
ic_status ic_ref_encode(const ic_isolate *isolate, uint64_t request,
                        ic_buffer *out);

// The isolate with [id] among the refs of [message], borrowed; NULL if none.
ic_isolate *ic_ref_in_message(const ic_message *message, uint64_t id);

// Answers a request that nobody will answer: its isolate is gone. Does nothing
// with a message that is no request.
void ic_ref_refuse(const ic_message *message);

#endif
