/* cgroup.h: limits on the memory, the processes and the processor time of one
 * sandbox, through control groups: of version 1 or version 2; where a machine
 * has both, of the version that has the controller.
 *
 * A sandbox without limits has no group and costs nothing here. Groups are
 * named contree-<data directory>-<number> and lie beside the engine's own, so
 * the limits of the engine hold for them, too. Loop thread only. */
#ifndef CONTREE_SANDBOX_CGROUP_H
#define CONTREE_SANDBOX_CGROUP_H

#include "base/fault.h"
#include "sandbox/cgroup_files.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

enum { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_KINDS };

/* One amount for each kind; 0: no limit. */
struct limits {
    double of[CGROUP_KINDS];
};

/* What is known about a limit. All who read, write or tell limits go through
 * this table. */
struct limit {
    const char *field;      /* of `resources_limits` */
    const char *option;     /* of the command `serve` */
    const char *controller; /* and the limit's name in events */
    const char *wants;      /* what the option takes */
    double least, most;
    bool whole; /* a count; else it has a fraction */
    bool bytes; /* a count of bytes */
};
extern const struct limit limit_table[CGROUP_KINDS];

bool limits_any(const struct limits *l);
bool limits_equal(const struct limits *a, const struct limits *b);
/* Takes from `defaults` what `l` does not limit. */
void limits_default(struct limits *l, const struct limits *defaults);

/* Finds the controllers that the engine may use; it is no error if there are
 * none. `proc` is "/proc/self", where mountinfo and cgroup are read. The inode
 * of the data directory names the groups. Where version 2 is delegated to the
 * engine, or to the script that started it, this moves all processes of that
 * group into a leaf below it: so call it before any process is started. NULL:
 * out of memory. */
struct cgroups *cgroups_open(const char *proc, int dir_fd);
/* Gives groups that are made from now on the share of the processors of a
 * process with this nice value, where the kernel can (Linux 4.15, version 2).
 */
void cgroups_set_nice(struct cgroups *c, int nice);
/* Removes the groups that a killed engine of this data directory left. Call it
 * when no other engine can be using the directory. */
void cgroups_recover(struct cgroups *c);
/* Removes all groups that are left, and waits a moment for dying processes. */
void cgroups_close(struct cgroups *c);
/* Tries again to remove groups that were busy; true while there are any. */
bool cgroups_sweep(struct cgroups *c);
bool cgroups_have(const struct cgroups *c, int kind);
/* 422 naming the first limit that cannot be kept here, and the fix. */
int cgroups_check(const struct cgroups *c, const struct limits *limits,
                  struct fault *f);
/* How the user can get a controller that is missing. */
const char *cgroups_fix(const struct cgroups *c, int kind);

/* Makes a group with these limits. NULL with the fault, which may be that of
 * cgroups_check(). */
struct cgroup *cgroup_make(struct cgroups *c, const struct limits *limits,
                           struct fault *f);
/* Opens the files of the group: a process that writes "0" to all of them is in
 * it. How many there are, or -1; the caller closes them. */
int cgroup_open_fds(const struct cgroup *g, int fds[CGROUP_KINDS],
                    struct fault *f);
/* A descriptor to poll for `events` (of libuv); then call cgroup_woken(). -1:
 * there is nothing to watch. */
int cgroup_watch_fd(const struct cgroup *g, int *events);
void cgroup_woken(struct cgroup *g);
/* The limit that was hit: "memory" when a process was OOM-killed, "pids" when a
 * process could not be made, else NULL. */
const char *cgroup_limit_hit(struct cgroup *g);
/* Fills what a group with a memory limit used, for when no process is left to
 * report it. Version 1 leaves `usage` as it is. */
void cgroup_usage(const struct cgroup *g, struct rusage *usage);
/* Opens what counts its use; its owner closes the descriptors. */
void cgroup_open_files(const struct cgroup *g, struct cgroup_files *out);
/* The directory of a group of version 2 that can be frozen, which the caller
 * owns; else -1. Version 1 freezes processes so that nothing can kill them, and
 * they would outlive a killed engine: so it is not used. */
int cgroup_open_freezer(const struct cgroup *g);
/* Removes the group, whose processes are dead or dying. Accepts NULL. */
void cgroup_drop(struct cgroup *g);

#endif
