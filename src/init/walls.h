/* walls.h: what every sandbox lacks and keeps, whoever makes it: a cell by
 * itself (cell.c), or an OCI runtime that the engine tells it to (runtime.c).
 * Macros, for each wants the names in a form of its own. */
#ifndef CONTREE_INIT_WALLS_H
#define CONTREE_INIT_WALLS_H

#include <linux/capability.h>

/* Of /dev/shm, unless a run asks for another. */
#define SHM_SIZE "256m"

/* What root of the sandbox may do to its own. Nothing here reaches out of its
 * user namespace. */
#define CAPABILITIES(X)                                                        \
    X(CAP_CHOWN)                                                               \
    X(CAP_DAC_OVERRIDE)                                                        \
    X(CAP_FOWNER)                                                              \
    X(CAP_FSETID)                                                              \
    X(CAP_KILL)                                                                \
    X(CAP_SETGID)                                                              \
    X(CAP_SETUID)                                                              \
    X(CAP_SETPCAP)                                                             \
    X(CAP_NET_BIND_SERVICE)                                                    \
    X(CAP_SYS_CHROOT)                                                          \
    X(CAP_AUDIT_WRITE)                                                         \
    X(CAP_SETFCAP)

/* In /proc. What real root alone can read needs no cover: nobody in a sandbox
 * is that. */
#define PROC_HIDDEN_FILES                                                      \
    "kcore", "keys", "kallsyms", "timer_list", "interrupts", "sysrq-trigger",  \
        "sched_debug", "latency_stats"
#define PROC_HIDDEN_DIRS "acpi", "asound", "scsi"
#define PROC_READ_ONLY "sys", "irq", "bus", "fs"

/* In /proc/sys/user: what the kernel counts for a user that a sandbox can use
 * up. It cannot make namespaces or fanotify groups. */
#define COUNTED_FOR_USERS "max_inotify_instances", "max_inotify_watches"
enum { COUNTED = 2 };

#endif
