/* runtime.c: the cell's other way to become a sandbox. It mounts the image,
 * as any cell does, and has an OCI runtime (crun, runc) make the container of
 * it, inside of the cell's own namespaces. The runtime so has no privilege on
 * the host, can make no control group, and keeps its state in a tmpfs: whatever
 * it does, it is gone with the cell. The cell stays as its parent. */
#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors above this are in nobody's way. */
enum { CLEAR = 32 };

/* Names, as one cell has one container. */
#define CONTAINER "contree"
#define ERRORS "run/errors"

const char *const runtime_namespace_names[RUNTIME_NAMESPACES] = {"mnt", "pid",
                                                                 "ipc", "uts"};

int runtime_namespaces(uint64_t out[RUNTIME_NAMESPACES], struct failure *f) {
    for (int i = 0; i < RUNTIME_NAMESPACES; i++) {
        char path[32];
        struct stat st;
        snprintf(path, sizeof path, "/proc/self/ns/%s",
                 runtime_namespace_names[i]);
        if (stat(path, &st) < 0)
            return fail_errno(f, "cannot look at %s", path);
        out[i] = st.st_ino;
    }
    return 0;
}

static int put_text(const char *path, const char *text, struct failure *f) {
    size_t length = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd >= 0 && write(fd, text, length) == (ssize_t)length ? 0 : -1;
    if (rc < 0)
        fail_errno(f, "cannot write the runtime's %s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- control groups ---- */

/* In a child with our descriptors: the namespace of one who has joined. */
_Noreturn static void open_view(const int *doors, unsigned count, int as) {
    struct failure f;
    if (join_groups(doors, count, &f) < 0 || hide_groups(&f) < 0)
        _exit(1);
    int fd = open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC);
    _exit(fd < 0 || dup2(fd, as) < 0);
}

/* What the sandbox sees of its groups is to begin in them, while the runtime,
 * which is no part of what the user limits, stays outside: a child joins for
 * both of them, and leaves its namespace. */
static int share_view(const int *doors, unsigned count, struct failure *f) {
    enum { VIEW = CLEAR - 1 };
    struct clone_args args = {.flags = CLONE_FILES | CLONE_VFORK,
                              .exit_signal = SIGCHLD};
    int status;
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        open_view(doors, count, VIEW);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return fail_errno(f, "cannot start a process");
    if (status != 0)
        return fail(f, 500, "cannot join the sandbox's control groups");
    int rc = setns(VIEW, CLONE_NEWCGROUP);
    if (rc < 0)
        fail_errno(f, "cannot hide the control groups");
    close(VIEW);
    return rc;
}

/* ---- what the init inside gets ---- */

static int write_inheritance(const struct cell_limits *limits,
                             const struct root_spec *root, unsigned door_count,
                             struct failure *f) {
    struct inheritance i = {.max_file_bytes = root->max_file_bytes,
                            .max_processes = root->max_processes,
                            .door_count = door_count,
                            .fixed_proc = limits->fixed_proc,
                            .filter_length = limits->filter_length};
    const ssize_t head = offsetof(struct inheritance, filter);
    const ssize_t size = limits->filter_length * sizeof *limits->filter;
    if (runtime_namespaces(i.namespaces, f) < 0)
        return -1;
    int fd = memfd_create("inheritance", MFD_CLOEXEC);
    if (fd < 0 || write(fd, &i, head) != head ||
        write(fd, limits->filter, size) != size) {
        fail_errno(f, "cannot tell the sandbox's init its limits");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* All that the runtime inherits, in the order of its numbers from 3 on. */
struct baggage {
    int fds[ORDER_FDS_MAX + 3];
    unsigned count;
    int errors;
};

static int pack_up(const struct cell_limits *limits,
                   const struct root_spec *root, const int *doors,
                   unsigned door_count, struct baggage *b, struct failure *f) {
    b->errors = open(ERRORS, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (b->errors < 0)
        return fail_errno(f, "cannot make the runtime's log");
    b->fds[b->count++] = INSIDE_CONTROL;
    b->fds[b->count++] = write_inheritance(limits, root, door_count, f);
    if (b->fds[1] < 0)
        return -1;
    b->fds[b->count++] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (b->fds[2] < 0)
        return fail_errno(f, "cannot open contree-init");
    for (unsigned i = 0; i < door_count; i++)
        b->fds[b->count++] = doors[i];
    return 0;
}

/* ---- the runtime ---- */

static int set_descriptors(const struct baggage *b) {
    int clear[ORDER_FDS_MAX + 3];
    if (dup2(b->errors, STDERR_FILENO) < 0)
        return -1;
    for (unsigned i = 0; i < b->count; i++)
        if ((clear[i] = fcntl(b->fds[i], F_DUPFD_CLOEXEC, CLEAR)) < 0)
            return -1;
    for (unsigned i = 0; i < b->count; i++)
        if (dup2(clear[i], INSIDE_CONTROL + (int)i) < 0)
            return -1;
    return close_range(INSIDE_CONTROL + b->count, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* No keyring of its own: see forkserver.c. */
static const char *keyring_option(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    return strstr(name, "crun") || strstr(name, "runc") ? "--no-new-keyring"
                                                        : NULL;
}

/* RUNTIME OPTION... --root DIR run [OPTION] --bundle DIR --preserve-fds N
 * CONTAINER */
static void execute(const struct runtime *r, unsigned fd_count) {
    enum { OPTIONS_MAX = 8, OWN = 9 };
    char state[128], bundle[128], count[16];
    char *argv[OPTIONS_MAX + OWN + 1], **next = argv;
    char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                   "/sbin:/bin",
                   NULL};
    snprintf(state, sizeof state, "%s/run/state", r->stage);
    snprintf(bundle, sizeof bundle, "%s/run", r->stage);
    snprintf(count, sizeof count, "%u", fd_count);
    for (int i = 0; r->command[i] && i < OPTIONS_MAX; i++)
        *next++ = r->command[i];
    const char *keyring = keyring_option(r->command[0]);
    *next++ = "--root";
    *next++ = state;
    *next++ = "run";
    if (keyring)
        *next++ = (char *)keyring;
    char *const own[] = {"--bundle", bundle,    "--preserve-fds",
                         count,      CONTAINER, NULL};
    memcpy(next, own, sizeof own);
    execve(argv[0], argv, env);
}

_Noreturn static void be_runtime(const struct runtime *r,
                                 const struct baggage *b) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (sigprocmask(SIG_SETMASK, &none, NULL) == 0 && set_descriptors(b) == 0)
        execute(r, b->count);
    dprintf(b->errors, "%s\n", strerror(errno));
    _exit(127);
}

/* The end of what the runtime said, in one line; "" if it said nothing. */
static void read_words(char *text, size_t size) {
    int fd = open(ERRORS, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t begin = end >= (off_t)size ? end - (off_t)size + 1 : 0;
    ssize_t got = end > 0 ? pread(fd, text, size - 1, begin) : 0;
    if (fd >= 0)
        close(fd);
    while (got > 0 && text[got - 1] == '\n')
        got--;
    text[got > 0 ? got : 0] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

/* If the init inside has begun, it says itself what there is to say. */
static void report_end(const struct runtime *r, const struct baggage *b,
                       int status) {
    struct inheritance i;
    char words[300];
    const char *name = strrchr(r->command[0], '/') + 1;
    struct failure f;
    if (pread(b->fds[1], &i, sizeof i, 0) == sizeof i && i.begun)
        return;
    read_words(words, sizeof words);
    if (*words)
        fail(&f, 503, "%.60s cannot make the sandbox: %s", name, words);
    else
        fail(&f, 503,
             "%.60s made no sandbox, ended with %s %d and said nothing", name,
             WIFSIGNALED(status) ? "signal" : "code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    end_with(INSIDE_CONTROL, &f);
}

/* We are PID 1 of the runtime, too: when it ends, all else does. */
_Noreturn static void attend(const struct runtime *r, const struct baggage *b,
                             pid_t pid) {
    int status = 0;
    pid_t ended;
    do
        ended = wait(&status);
    while (ended != pid && (ended > 0 || errno == EINTR));
    report_end(r, b, status);
    _exit(0);
}

int runtime_enter(const struct cell_limits *limits,
                  const struct root_spec *root, const int *doors,
                  unsigned door_count, struct failure *f) {
    struct baggage b = {.count = 0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail_errno(f, "PR_SET_PDEATHSIG");
    if (cell_mount(root, f) < 0 ||
        (door_count > 0 && share_view(doors, door_count, f) < 0) ||
        put_text("run/config.json", root->config, f) < 0 ||
        pack_up(limits, root, doors, door_count, &b, f) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        be_runtime(limits->runtime, &b);
    if (pid < 0)
        return fail_errno(f, "cannot start the runtime");
    attend(limits->runtime, &b, pid);
}
