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
#include <sys/resource.h>
#include <uv.h>

#define SANDBOX_NICE 10 /* unless one says otherwise */
#define SANDBOX_NICE_MAX 19

struct launcher;

struct sandbox_spec {
    const char *const *lowers; /* "l/12", top first, skeleton last */
    size_t lower_count;
    const char *upper, *work; /* "w/7/u", "w/7/w" */
    const char *hostname;     /* at most 64 bytes */
    bool networking;          /* see network.h; false: loopback only */
    int64_t max_file_bytes;   /* RLIMIT_FSIZE; 0 none */
    int64_t max_processes;    /* of each user id; 0: 4096, which is also what
                               * all of them together cannot exceed on Linux
                               * 6.14 or newer */
    int64_t shm_bytes;        /* of /dev/shm; 0: 256 MiB */
    unsigned image_etc;       /* bits ETC_... (init/protocol.h) of the files in
                               * /etc that are the image's, not the engine's */
    struct limits limits;
};

struct sandbox_exit {
    int code;   /* -1 when killed by a signal */
    int signal; /* -1 none */
    bool core_dump;
    int pid; /* inside the sandbox */
    struct rusage usage;
    double seconds; /* from its start to its end */
    /* Of the main process: "memory" when the sandbox was killed because it
     * had all it may have, "pids" when it wanted more processes, else NULL. */
    const char *limit;
    int background_killed; /* spid 1 only: processes that were still there */
};

/* Who a process is, as the image's /etc/passwd has it. */
struct sandbox_account {
    uid_t uid;
    gid_t gid;
    const char *home, *user; /* variables that it got for it; NULL: not it */
};

struct sandbox_callbacks {
    /* The root is mounted and init runs. */
    void (*started)(void *arg);
    /* It could not be made, a put failed, or init died without an exit: `why`
     * is for the user. gone follows. */
    void (*failed)(void *arg, const struct fault *why);
    void (*spawned)(void *arg, int spid, int pid,
                    const struct sandbox_account *a);
    /* spid could not be started for a reason that is not the shell's 126/127
     * (bad cwd, bad id). */
    void (*spawn_failed)(void *arg, int spid, const struct fault *why);
    void (*exited)(void *arg, int spid, const struct sandbox_exit *e);
    /* All its processes are dead, its mounts and namespaces gone. The sandbox
     * is freed after this call. */
    void (*gone)(void *arg);
    /* After sandbox_is_full(): it is not any more. */
    void (*fed)(void *arg);
};

struct sandbox;
/* Copies what it needs from spec. NULL with the fault when it cannot even be
 * tried (then no callback comes). */
struct sandbox *sandbox_start(struct launcher *l,
                              const struct sandbox_spec *spec,
                              const struct sandbox_callbacks *callbacks,
                              void *arg, struct fault *f);
/* The orders below may be given right after sandbox_start; they are carried out
 * in order. 409 when it has ended. */

/* Whether so many orders wait, each with its descriptors, that the next ones
 * had better be given when fed() is called, as it then will be. */
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

/* Writes a file, making parents (0755, 0:0) and replacing what is there but a
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
    bool has_gid;      /* else that of the user's entry, or 0 */
    unsigned defaults; /* bits DEFAULT_... (init/protocol.h) */
    /* The process's ends, taken over (closed) whatever the outcome; -1 for
     * /dev/null. */
    int stdin_fd, stdout_fd, stderr_fd;
};
/* spid 1 is the main process: when it ends init kills all others and the
 * sandbox goes. */
int sandbox_spawn(struct sandbox *s, int spid, const struct sandbox_process *p,
                  struct fault *f);
/* To the process and its process group. A process that has ended is ignored. */
int sandbox_signal(struct sandbox *s, int spid, int signal, struct fault *f);
/* Kills everything in it; of the callbacks only gone follows. */
void sandbox_kill(struct sandbox *s);

#endif
