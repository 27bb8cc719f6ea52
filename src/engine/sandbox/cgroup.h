/* cgroup.h: limits on the memory, the processes and the processor time of one
 * sandbox, through control groups: of version 1, of version 2, or, where a
 * machine has both, whichever holds the controller.
 *
 * A sandbox without limits has no group and costs nothing here. Groups are
 * named contree-<data directory>-<number> and lie beside the engine's own, so
 * what bounds the engine bounds them. Loop thread only. */
#ifndef CONTREE_SANDBOX_CGROUP_H
#define CONTREE_SANDBOX_CGROUP_H

#include "base/fault.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

/* 0 each: none. */
struct limits {
    int64_t memory_bytes; /* with swap; LIMIT_MEMORY_MIN or more */
    int64_t pids;         /* processes and threads, without init */
    double cpus;          /* processor seconds a second; CPUS_MIN or more */
};
#define LIMIT_MEMORY_MIN (INT64_C(4) << 20)
#define LIMIT_PIDS_MAX 4096 /* what every sandbox has anyhow, see sandbox.h */
#define LIMIT_CPUS_MIN 0.01
#define LIMIT_CPUS_MAX 4096

enum { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_KINDS };

/* What controllers this machine lets the engine use; none is no error. `proc`
 * is where mountinfo and cgroup are read: "/proc/self". The number of the data
 * directory names the groups. Where version 2 is delegated to the engine, or to
 * the script that started it, this moves all who are in that group into a leaf
 * below it, so call it before anything is started. NULL: out of memory. */
struct cgroups *cgroups_open(const char *proc, int dir_fd);
/* Groups made from now on have the share of the processors that a process with
 * this nice value has beside one with 0, where the kernel lets groups have one
 * (Linux 4.15, version 2). */
void cgroups_set_nice(struct cgroups *c, int nice);
/* Removes what an engine that was killed left of this data directory. Call it
 * when no other engine can be using it. */
void cgroups_recover(struct cgroups *c);
/* Removes all that is left, waiting a moment for processes that are dying. */
void cgroups_close(struct cgroups *c);
/* Tries again to remove groups that were busy; true while there are any. */
bool cgroups_sweep(struct cgroups *c);
bool cgroups_have(const struct cgroups *c, int kind);
/* 422 naming the first limit that cannot be kept here, and the fix. */
int cgroups_check(const struct cgroups *c, const struct limits *limits,
                  struct fault *f);
/* What to do to have a controller that is not there. */
const char *cgroups_fix(const struct cgroups *c, int kind);

/* Makes a group with these limits. NULL with the fault, also of
 * cgroups_check(). */
struct cgroup *cgroup_make(struct cgroups *c, const struct limits *limits,
                           struct fault *f);
/* Opens the files of the group: a process that writes "0" to all of them is in
 * it. How many there are, or -1; the caller closes them. */
int cgroup_open_fds(const struct cgroup *g, int fds[CGROUP_KINDS],
                    struct fault *f);
/* To be polled for `events` (of epoll and libuv), then call cgroup_woken(); -1:
 * nothing to watch. */
int cgroup_watch_fd(const struct cgroup *g, int *events);
void cgroup_woken(struct cgroup *g);
/* The limit that was hit: "memory" when something was killed for it, "pids"
 * when a process could not be made, else NULL. */
const char *cgroup_limit_hit(struct cgroup *g);
/* What a group with a limit on memory used, when no process of it is left to
 * tell; untouched by version 1. */
void cgroup_usage(const struct cgroup *g, struct rusage *usage);
/* All processes of it are dead, or as good as. Accepts NULL. */
void cgroup_drop(struct cgroup *g);

#endif
