/* called_path.h: the file that a system call names, read from the process that
 * waits in it. */
#ifndef CONTREE_SANDBOX_CALLED_PATH_H
#define CONTREE_SANDBOX_CALLED_PATH_H

#include "sandbox/asking_filter.h"
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* The absolute path in the sandbox, without "." and "..", whose links were not
 * followed. false: it cannot be read, or is not UTF-8. The process may be
 * another one by now, and what it shows may change: so ask the listener
 * afterwards whether it still waits, and trust nothing of it. */
bool called_path(pid_t pid, const struct path_call *c,
                 const struct seccomp_data *call, char path[PATH_MAX]);
/* The O_... flags of a call with USE_OPEN. */
uint64_t called_flags(pid_t pid, const struct path_call *c,
                      const struct seccomp_data *call);

#endif
