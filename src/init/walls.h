/* walls.h: what every sandbox lacks and keeps. A sandbox is made by a cell
 * (init/cell.h) or by an OCI runtime that the engine configures
 * (sandbox/runtime.h). Macros, for each needs the names in another form. */
#ifndef CONTREE_INIT_WALLS_H
#define CONTREE_INIT_WALLS_H

#include <linux/capability.h>

/* The size of /dev/shm, unless a run asks for another. */
#define SHM_SIZE "256m"

/* Of /dev/pts. All sandboxes share the 3072 terminals that the kernel does not
 * keep for the host, so none may take them all. */
#define TERMINALS_OPTIONS "ptmxmode=0666,mode=0620,max=256"

/* The capabilities of root in the sandbox. None reaches out of its user
 * namespace. */
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

/* Names in /proc. Files that only the host's root can read need no cover: no
 * process of a sandbox is that. */
#define PROC_HIDDEN_FILES                                                      \
    "kcore", "keys", "kallsyms", "timer_list", "interrupts", "sysrq-trigger",  \
        "sched_debug", "latency_stats"
#define PROC_HIDDEN_DIRS "acpi", "asound", "scsi"
#define PROC_READ_ONLY "sys", "irq", "bus", "fs"

/* Names in /proc/sys/user: what the kernel counts for a user and a sandbox can
 * use up. Sandboxes cannot make namespaces or fanotify groups. */
#define COUNTED_FOR_USERS "max_inotify_instances", "max_inotify_watches"
enum { COUNTED = 2 };

#endif
