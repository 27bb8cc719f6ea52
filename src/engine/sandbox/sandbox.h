/* sandbox.h: one sandbox: namespaces, an overlay root, contree-init as PID 1,
 * and the processes in it.
 *
 * Everything runs on the loop thread and returns at once. Callbacks come from
 * the loop, never from inside a sandbox_* call. Life: sandbox_start -> started
 * | failed; any number of exited; gone is always the last, exactly once. */
#ifndef CONTREE_SANDBOX_SANDBOX_H
#define CONTREE_SANDBOX_SANDBOX_H

#include "base/fault.h"
#include "base/ids.h"
#include "init/protocol.h"
#include "sandbox/cgroup.h"
#include <jansson.h>
#include <sys/resource.h>
#include <uv.h>

#define SANDBOX_NICE 10 /* the default */
#define SANDBOX_NICE_MAX 19

struct launcher;

/* What is told of its calls (trace.h). */
enum tracing { TRACE_NOTHING, TRACE_PROGRAMS, TRACE_FILES };

/* What is mounted in a sandbox beside its image. */
struct sandbox_mount {
    const char *target; /* absolute and normal, at least one name */
    const char *volume; /* the name of its directory below v/; NULL: `tree` */
    int tree;           /* from hostdir_open(); the caller keeps it */
};

struct sandbox_spec {
    const char *const *lowers; /* "l/12", top first, skeleton last */
    size_t lower_count;
    const char *upper, *work; /* "w/7/u", "w/7/w" */
    const char *hostname;     /* at most 64 bytes */
    bool networking;          /* see network.h; false: loopback only */
    const char *rules;        /* of its network, JSON: see airlock.h; NULL: it
                               * may reach everything */
    bool trusts;              /* sandbox_trust() is called */
    enum tracing tracing;
    int64_t max_file_bytes; /* RLIMIT_FSIZE; 0: no limit */
    int64_t max_processes;  /* of each user id; 0: 4096, which is also the
                             * limit of all ids together from Linux 6.14 on */
    int64_t shm_bytes;      /* of /dev/shm; 0: 256 MiB */
    unsigned image_etc;     /* bits ETC_... (init/protocol.h) of the files in
                             * /etc that are the image's, not the engine's */
    struct limits limits;
    const struct sandbox_mount *mounts; /* none in another */
    size_t mount_count;                 /* at most MOUNTS_MAX */
};

struct sandbox_exit {
    int code;   /* -1 when killed by a signal */
    int signal; /* -1: none */
    bool core_dump;
    int pid; /* inside the sandbox */
    struct rusage usage;
    double seconds; /* from its start to its end */
    /* Of the main process, see cgroup_limit_hit(). */
    const char *limit;
    int background_killed; /* spid 1 only: processes that it left behind */
};

/* The user of a process, by the image's /etc/passwd. */
struct sandbox_account {
    uid_t uid;
    gid_t gid;
    const char *home, *user; /* variables that were added; NULL: not added */
};

struct sandbox_callbacks {
    /* The root is mounted and init runs. */
    void (*started)(void *arg);
    /* The sandbox could not be made, a put failed, or init died before the main
     * process. gone follows. */
    void (*failed)(void *arg, const struct fault *why);
    /* `terminal` is the master of its terminal, which the callee owns; -1:
     * none was asked for. */
    void (*spawned)(void *arg, int spid, int pid,
                    const struct sandbox_account *a, int terminal);
    /* The process could not be started, for another reason than those that exit
     * with 126 or 127: a bad cwd or id. */
    void (*spawn_failed)(void *arg, int spid, const struct fault *why);
    void (*exited)(void *arg, int spid, const struct sandbox_exit *e);
    /* All its processes are dead, its mounts, namespaces and airlock gone. The
     * sandbox is freed after this call. */
    void (*gone)(void *arg);
    /* After sandbox_is_full() was true: orders may be given again. */
    void (*fed)(void *arg);
    /* After sandbox_pause(): all processes have stopped; false: one does not.
     */
    void (*paused)(void *arg, bool all);
    /* After sandbox_socket(), in the same order. Takes over `fd`; -1: there is
     * none, for that reason. */
    void (*socket)(void *arg, unsigned id, int fd, const struct fault *why);
    /* A report of its airlock (airlock.h), or of its calls (trace.h). All come
     * before gone. NULL as the report: the airlock ended before the sandbox,
     * which reaches nothing any more. */
    void (*reported)(void *arg, const json_t *report);
};

struct sandbox;
/* Copies what it needs from spec. On NULL, with the fault, no callback comes.
 * A cell that dies before it has started, without saying why, is replaced. */
struct sandbox *sandbox_start(struct launcher *l,
                              const struct sandbox_spec *spec,
                              const struct sandbox_callbacks *callbacks,
                              void *arg, struct fault *f);
/* The orders below may be given right after sandbox_start; they are carried out
 * in order. 409 when it has ended. */

/* Do so many orders wait, each with its descriptors, that more should not be
 * given yet? Then fed() is called when they should. */
bool sandbox_is_full(struct sandbox *s);

struct sandbox_file {
    const char *path; /* absolute, inside */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    const char *const *xattrs; /* names and values (hexadecimal) in turn; those
                                * that the file system refuses are left out */
    size_t xattr_count;        /* of strings */
};

/* Makes TRUST_PATH of the certificates that the image trusts, and of that of
 * the airlock. */
int sandbox_trust(struct sandbox *s, struct fault *f);
/* Tells its airlock an answer (airlock.h). 409 without one. */
int sandbox_answer(struct sandbox *s, const char *line, size_t length,
                   struct fault *f);
/* Writes a file. Makes its parents (0755, 0:0), and replaces anything but a
 * directory. Takes over `fd`, open for reading at 0. */
int sandbox_put(struct sandbox *s, const struct sandbox_file *file, int fd,
                struct fault *f);

struct sandbox_process {
    char *const *argv; /* argv[0] is looked up in env's PATH */
    char *const *env;  /* "NAME=value", complete */
    const char *cwd;   /* absolute */
    const char *user;  /* "name", "name:group", or numbers; NULL: uid and gid */
    uid_t uid;
    gid_t gid;
    bool has_gid;      /* false: the group of the user's entry, or 0 */
    unsigned defaults; /* bits DEFAULT_... (init/protocol.h) */
    /* The process's ends, taken over also on failure; -1: /dev/null. */
    int stdin_fd, stdout_fd, stderr_fd;
    unsigned rows, columns; /* of a terminal, which controls the process; 0:
                             * the ends above */
};
/* Gives the volume that is mounted at `target` to the user of a process, if it
 * is empty and root's. */
int sandbox_give(struct sandbox *s, const char *target,
                 const struct sandbox_process *p, struct fault *f);
/* spid 1 is the main process: when it ends init kills all others, and the
 * sandbox ends. */
int sandbox_spawn(struct sandbox *s, int spid, const struct sandbox_process *p,
                  struct fault *f);
/* In place of a main process: the sandbox is held open until spid 1 gets a
 * signal. Any but KILL is an end with the exit code 0. */
int sandbox_hold(struct sandbox *s, struct fault *f);
/* Signals the process group of the process. One that has ended is ignored. */
int sandbox_signal(struct sandbox *s, int spid, int signal, struct fault *f);
/* The same, and all that the process has started, also when it has ended; see
 * init/family.h. */
int sandbox_signal_family(struct sandbox *s, int spid, int signal,
                          struct fault *f);
/* Stops all processes by signals, then calls paused(). No process may be
 * spawned until sandbox_resume(). Signals but KILL wait till then. */
int sandbox_pause(struct sandbox *s, struct fault *f);
int sandbox_resume(struct sandbox *s, struct fault *f);
/* Has a socket made inside, see init/socket.h; `path` NULL: of the kind. Then
 * socket() is called, unless the sandbox ends before. */
int sandbox_socket(struct sandbox *s, unsigned id, unsigned kind,
                   const char *path, struct fault *f);
/* Has what happens below a directory told over `fd`, which is taken over, as
 * struct watch_packet (init/protocol.h). */
int sandbox_watch(struct sandbox *s, const char *path, bool recursive, int fd,
                  struct fault *f);
/* See cgroup_open_freezer(); -1 also where the sandbox has no group. */
int sandbox_open_freezer(const struct sandbox *s);
/* For usage.c: its first process, or -1; the files of its groups. The caller
 * owns them. */
bool sandbox_has_runtime(const struct sandbox *s);
int sandbox_open_pidfd(const struct sandbox *s);
void sandbox_open_groups(const struct sandbox *s, struct cgroup_files *out);
/* Gives a sandbox without a process another owner, who gets the callbacks from
 * now on. */
void sandbox_hand_over(struct sandbox *s,
                       const struct sandbox_callbacks *callbacks, void *arg);
/* Whether it has not ended, as far as is known. */
bool sandbox_is_usable(const struct sandbox *s);
/* Kills all its processes. Of the callbacks only reported and gone follow. */
void sandbox_kill(struct sandbox *s);

#endif
