// status.c - the closed list of statuses: names for programs, texts for people.

#include "isolate_cluster.h"

typedef struct {
  const char *name;
  const char *text;
} status_entry;

// Indexed by ic_status.
static const status_entry statuses[] = {
    [IC_OK] = {"ok", "ok"},
    [IC_GONE] = {"gone", "the isolate has ended"},
    [IC_TIMEOUT] = {"timeout", "the time is up"},
    [IC_FULL] = {"full", "the mailbox is full"},
    [IC_IN_USE] = {"in use", "the path is in use"},
    [IC_NOT_FOUND] = {"not found", "there is no such isolate"},
    [IC_DOWN] = {"down", "the node is down"},
    [IC_DEADLOCK] = {"deadlock", "the requests wait for each other"},
    [IC_MEMORY] = {"memory", "not enough memory"},
    [IC_CPU] = {"cpu", "the time to compute is used up"},
    [IC_UNSENDABLE] = {"unsendable", "the value can't be sent"},
    [IC_LOAD] = {"load", "the entry does not load"},
    [IC_MALFORMED] = {"malformed", "the bytes are not well-formed CBOR"},
    [IC_RANGE] = {"range", "the number does not fit"},
    [IC_INVALID] = {"invalid", "an argument is wrong"},
    [IC_ERROR] = {"error", "an error in the isolate's code"},
    [IC_DENIED] = {"denied", "the sandbox does not allow it"},
};

enum { STATUS_COUNT = sizeof statuses / sizeof statuses[0] };

static const status_entry *find(ic_status status) {
  unsigned index = (unsigned)status;
  return &statuses[index < STATUS_COUNT ? index : (unsigned)IC_ERROR];
}

const char *ic_status_name(ic_status status) {
  return find(status)->name;
}

const char *ic_status_text(ic_status status) {
  return find(status)->text;
}
