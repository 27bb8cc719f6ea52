/* init.h: the rooms of contree-init, the one static program that is both the
 * forkserver on the host's side and PID 1 inside a sandbox. */
#ifndef CONTREE_INIT_INIT_H
#define CONTREE_INIT_INIT_H

#include "protocol.h"
#include "walls.h"
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why something could not be done, for the user. */
struct failure {
    int status; /* HTTP */
    char message[400];
};
/* Both return -1; the second appends ": strerror(errno)". */
int fail(struct failure *f, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fail_errno(struct failure *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One packet with descriptors, whole or not at all; -1 with errno. */
int packet_send(int socket, const void *data, size_t length, const int *fds,
                int fd_count);
/* Bytes read, 0 at the end, -1 with errno. Fills fds[ORDER_FDS_MAX] with what
 * came along, else -1; EMFILE when that is not all that was sent. */
long packet_receive(int socket, void *data, size_t size,
                    int fds[ORDER_FDS_MAX]);

/* An OCI runtime, which makes the sandboxes. */
struct runtime {
    const char *stage;    /* the directory of the host that the stage covers */
    char *const *command; /* program, options that all its commands have */
};

/* forkserver.c; `runtime` may be NULL */
int forkserver_main(unsigned id_base, unsigned id_count, bool fixed_proc,
                    const struct runtime *runtime);

/* net.c: a new network namespace, which the caller is then in, and where these
 * group ids may ping, and how it looks then; entering one; and whether it looks
 * as if nothing had ever happened in it (the caller is then in it). */
int net_make(unsigned first_gid, unsigned last_gid, uint64_t *when_new,
             struct failure *f);
int net_enter(int net, struct failure *f);
bool net_is_unused(int net, uint64_t when_new);

/* stage.c: the forkserver's own small root, so that a sandbox starts from a
 * mount namespace with nothing of the host in it but what a cell needs:
 *
 *   /l /w    the data directory's layers and workspaces
 *   /proc    the host's (the kernel gives a new one only to who sees one)
 *   /sys /dev   the templates of every sandbox's
 *   /empty   hides directories
 *   /etc     where a cell makes its own (etc.c)
 *   /new.proc /new.sys /new.dev /new   where a cell mounts its own
 *
 * A runtime needs its libraries, and so sees the host; then the stage is the
 * working directory, mounted at `path`, with only /l /w /sys /empty /etc /new
 * and /run, the runtime's own. */
int stage_build(int data_dir, struct failure *f);
int stage_build_for_runtime(int data_dir, const char *path, struct failure *f);

/* cell.c: what a cell does before it knows what it will run ... */
struct cell_limits {
    const struct sock_filter *filter;
    unsigned filter_length;
    bool one_id;                   /* no ids but 0 are mapped */
    bool fixed_proc;               /* nothing in /proc can be written */
    long counted[COUNTED];         /* COUNTED_FOR_USERS; 0: no limit here */
    const struct runtime *runtime; /* NULL: cells are sandboxes themselves */
};
int cell_prepare(const struct cell_limits *limits, struct failure *f);
/* ... and when it does: root, host name, limits, and all privileges gone. */
struct root_spec {
    const char *hostname, *upper, *work;
    const char *config; /* for the runtime */
    const char *const *lowers;
    unsigned lower_count;
    int64_t max_file_bytes, max_processes;
    int64_t shm_bytes;  /* 0: SHM_SIZE */
    uint32_t image_etc; /* ETC_... */
    bool connected;     /* to a network, so it needs a name server */
};
int cell_enter(const struct cell_limits *limits, const struct root_spec *root,
               struct failure *f);
/* The parts of it that are ours when a runtime makes the rest: the root's
 * mount, at "new"; then, inside, no way to new privileges; the
 * limits, and all privileges gone. */
int cell_mount(const struct root_spec *root, struct failure *f);
int cell_settle(struct failure *f);
int cell_confine(const struct cell_limits *limits, const struct root_spec *root,
                 struct failure *f);

/* etc.c: a directory for a cell's /etc/hosts, hostname and resolv.conf, in
 * the stage; then the files, mounted over those of the root that is open as
 * `root` but spec->image_etc, before anything else is mounted there. */
int etc_prepare(struct failure *f);
int etc_place(int root, const struct root_spec *spec, struct failure *f);

/* runtime.c: has the runtime make a container of the cell and attends it;
 * `doors` as in ORDER_SETUP. Returns only on failure. */
int runtime_enter(const struct cell_limits *limits,
                  const struct root_spec *root, const int *doors,
                  unsigned door_count, struct failure *f);
/* The namespaces that a runtime must make. */
enum { RUNTIME_NAMESPACES = 4 };
int runtime_namespaces(uint64_t out[RUNTIME_NAMESPACES], struct failure *f);
extern const char *const runtime_namespace_names[RUNTIME_NAMESPACES];
/* What a cell leaves for the init inside, in a memfd. */
struct inheritance {
    int64_t max_file_bytes, max_processes;
    uint64_t namespaces[RUNTIME_NAMESPACES]; /* of the cell: not to be ours */
    uint32_t door_count;
    uint32_t begun; /* by that init */
    uint32_t fixed_proc;
    uint32_t filter_length;
    struct sock_filter filter[];
};
/* The descriptors that the runtime passes on. */
enum {
    INSIDE_CONTROL = FORKSERVER_SOCKET,
    INSIDE_INHERITANCE,
    INSIDE_PROGRAM, /* RUNTIME_INIT_PROGRAM */
    INSIDE_DOORS,   /* of control groups */
};
/* inside.c: PID 1 of that container, which believes no wall that it has not
 * seen. */
int inside_main(void);

/* put.c: opens what the image calls `path`, its links included; -1 with errno.
 */
int open_inside(int root, const char *path, int flags, unsigned mode);
struct put_spec {
    const char *path;
    unsigned mode, uid, gid;
    char *const *attributes; /* names and values (hexadecimal) in turn */
    size_t attribute_count;  /* of strings */
};
int put_file(const struct put_spec *p, int from, struct failure *f);

/* account.c: who a process is to be, by the root's /etc/passwd and /etc/group.
 */
enum { ACCOUNT_GROUPS_MAX = 256 };
struct account {
    unsigned uid, gid;
    unsigned groups[ACCOUNT_GROUPS_MAX]; /* gid is the first */
    unsigned group_count;
    char
        home[ACCOUNT_HOME_SIZE]; /* absolute; "/root" or "/" without an entry */
    char name[ACCOUNT_NAME_SIZE]; /* "" without an entry */
};
/* `user`: "name", "name:group", numbers for either, or "": then a->uid, which
 * need not have an entry. a->gid counts if `has_gid`. 422 for unknown names. */
int account_find(const char *user, bool has_gid, struct account *a,
                 struct failure *f);

/* process.c: starting one process. */
struct process_spec {
    const char *cwd;
    char **argv; /* argv[-1] is a spare slot */
    char **env;
    struct account account; /* its groups may be changed */
    int stdio[3];
};
/* The pid, or -1. A program that cannot be executed is started nevertheless:
 * it says why on its standard error and exits with 126 or 127. */
int process_start(struct process_spec *p, struct failure *f);

/* pid1.c: carries out orders until the main process has ended. The first one
 * is to enter a root, unless `limits` is NULL: then we are there. */
_Noreturn void pid1_main(int control, const struct cell_limits *limits);
/* Joins the control groups, and has what /proc/self/cgroup shows begin there.
 */
int join_groups(const int *doors, unsigned count, struct failure *f);
int hide_groups(struct failure *f);
/* Says why there will be no sandbox, to the engine, and ends. */
_Noreturn void end_with(int control, const struct failure *f);

#endif
