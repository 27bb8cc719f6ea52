#define _GNU_SOURCE
#include "init/runtime.h"
#include "init/cell.h"
#include "init/groups.h"
#include "init/handoff.h"
#include "init/report.h"

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

/* Descriptors from this number on do not collide with those to pass on. */
enum { CLEAR = 32 };

/* Constant names, for one cell has one container. */
#define CONTAINER "contree"
#define ERRORS "run/errors"

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

/* In a child that shares our descriptors: join, and open the namespace that
 * begins at these groups as descriptor `as`. */
_Noreturn static void open_view(const int *group_fds, unsigned count, int as) {
    struct failure f;
    if (groups_join(group_fds, count, &f) < 0 || groups_hide(&f) < 0)
        _exit(1);
    int fd = open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC);
    _exit(fd < 0 || dup2(fd, as) < 0);
}

/* Enter a namespace that begins at the sandbox's groups, without joining them:
 * the runtime must not use up the user's limits. So a child joins, and leaves
 * us its namespace. */
static int share_view(const int *group_fds, unsigned count, struct failure *f) {
    enum { VIEW = CLEAR - 1 };
    struct clone_args args = {.flags = CLONE_FILES | CLONE_VFORK,
                              .exit_signal = SIGCHLD};
    int status;
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        open_view(group_fds, count, VIEW);
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

/* The descriptors that the runtime inherits, in the order of their numbers from
 * INSIDE_CONTROL on. */
struct inherited_fds {
    int fds[ORDER_FDS_MAX + 3];
    unsigned count;
    int errors;
};

static int collect_fds(const struct cell_limits *limits,
                       const struct root_spec *root, const int *group_fds,
                       unsigned group_count, struct inherited_fds *b,
                       struct failure *f) {
    b->errors = open(ERRORS, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (b->errors < 0)
        return fail_errno(f, "cannot make the runtime's log");
    b->fds[b->count++] = INSIDE_CONTROL;
    b->fds[b->count++] = handoff_write(limits, root, group_count, f);
    if (b->fds[1] < 0)
        return -1;
    b->fds[b->count++] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (b->fds[2] < 0)
        return fail_errno(f, "cannot open contree-init");
    for (unsigned i = 0; i < group_count; i++)
        b->fds[b->count++] = group_fds[i];
    return 0;
}

/* ---- the runtime ---- */

static int set_descriptors(const struct inherited_fds *b) {
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

/* The container gets no keyring of its own: see leave_keyring(). */
static const char *keyring_option(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    return strstr(name, "crun") || strstr(name, "runc") ? "--no-new-keyring"
                                                        : NULL;
}

/* RUNTIME OPTION... --root DIR run [OPTION] --bundle DIR --preserve-fds N
 * CONTAINER */
static void execute(const struct oci_runtime *r, unsigned fd_count) {
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

_Noreturn static void be_runtime(const struct oci_runtime *r,
                                 const struct inherited_fds *b) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (sigprocmask(SIG_SETMASK, &none, NULL) == 0 && set_descriptors(b) == 0)
        execute(r, b->count);
    dprintf(b->errors, "%s\n", strerror(errno));
    _exit(127);
}

/* The end of the runtime's log, in one line; "" if the log is empty. */
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

/* Nothing to report if the init inside has begun: it reports itself. */
static void report_end(const struct oci_runtime *r,
                       const struct inherited_fds *b, int status) {
    char words[300];
    const char *name = strrchr(r->command[0], '/') + 1;
    struct failure f;
    if (handoff_has_begun(b->fds[1]))
        return;
    read_words(words, sizeof words);
    if (*words)
        fail(&f, 503, "%.60s cannot make the sandbox: %s", name, words);
    else
        fail(&f, 503,
             "%.60s made no sandbox, ended with %s %d and said nothing", name,
             WIFSIGNALED(status) ? "signal" : "code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    report_fault(INSIDE_CONTROL, &f);
}

/* This process is PID 1 for the runtime: the container ends with it. */
_Noreturn static void attend(const struct oci_runtime *r,
                             const struct inherited_fds *b, pid_t pid) {
    int status = 0;
    pid_t ended;
    do
        ended = wait(&status);
    while (ended != pid && (ended > 0 || errno == EINTR));
    report_end(r, b, status);
    _exit(0);
}

int runtime_enter(const struct cell_limits *limits,
                  const struct root_spec *root, const int *group_fds,
                  unsigned group_count, struct failure *f) {
    struct inherited_fds b = {.count = 0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail_errno(f, "PR_SET_PDEATHSIG");
    if (cell_mount(root, f) < 0 ||
        (group_count > 0 && share_view(group_fds, group_count, f) < 0) ||
        put_text("run/config.json", root->config, f) < 0 ||
        collect_fds(limits, root, group_fds, group_count, &b, f) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        be_runtime(limits->runtime, &b);
    if (pid < 0)
        return fail_errno(f, "cannot start the runtime");
    attend(limits->runtime, &b, pid);
}
