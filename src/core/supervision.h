// supervision.h - who ends with whom.
//
// An isolate may have a supervisor, which started it. As long as that lives it
// alone asks the isolate to end, also at a shutdown (ic_registry_tell_all); when
// it ends, the isolate is ended by force, and the supervisor's own end is told
// after that (ic_registry_remove). So nobody is left behind, and whoever starts a
// supervisor again finds the paths of its children free.

#ifndef IC_SUPERVISION_H
#define IC_SUPERVISION_H

#include "core/registry.h"

// Makes [supervisor] that of [isolate], which nobody can find yet, and which can't
// come up once the supervisor has ended.
void ic_supervision_begin(ic_registry *registry, ic_isolate *isolate,
                          ic_isolate *supervisor);

// One that [supervisor] supervises and that is not killed yet, counted for the
// caller, or NULL. Those that still load are among them. It needs no memory.
ic_isolate *ic_supervision_next(ic_registry *registry,
                                const ic_isolate *supervisor);

#endif
