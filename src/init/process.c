#define _GNU_SOURCE
#include "init/process.h"
#include "init/family.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child could not do. It runs in our memory until it executes its
 * program. */
struct obstacle {
    const char *step; /* NULL: none */
    int error;
};

/* Exit like a shell that cannot run the program. */
_Noreturn static void give_up(const char *name, const char *why, int code) {
    char line[512];
    int length =
        snprintf(line, sizeof line, "contree: %.400s: %s\n", name, why);
    if (write(STDERR_FILENO, line, length) < 0)
        _exit(code);
    _exit(code);
}

/* A text file without a #! line is run by a shell, as shells do it. */
static bool is_text(const char *path) {
    char start[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, start, sizeof start);
    close(fd);
    return got >= 0 && !memchr(start, '\0', got);
}

/* Returns, with errno, only if the program cannot be executed. */
static void execute(const struct exec_spec *p, const char *path) {
    execve(path, p->argv, p->env);
    if (errno != ENOEXEC)
        return;
    if (!is_text(path)) {
        errno = ENOEXEC;
        return;
    }
    char **shell = p->argv - 1; /* the spare slot */
    shell[0] = "/bin/sh";
    shell[1] = (char *)path;
    execve(shell[0], shell, p->env);
}

static const char *search_path(char *const *env) {
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Executes the first `name` in PATH that can be; returns with the errno of the
 * most telling failure. */
static void search(const struct exec_spec *p, const char *name) {
    char path[PATH_MAX];
    int error = ENOENT;
    const char *dir = search_path(p->env);
    for (;;) {
        size_t length = strcspn(dir, ":");
        int n = length ? snprintf(path, sizeof path, "%.*s/%s", (int)length,
                                  dir, name)
                       : snprintf(path, sizeof path, "./%s", name);
        if (n < (int)sizeof path) {
            execute(p, path);
            if (errno != ENOENT && errno != ENOTDIR)
                error = errno;
            else if (access(path, F_OK) == 0)
                error = ELIBBAD;
        }
        if (!dir[length])
            break;
        dir += length + 1;
    }
    errno = error;
}

_Noreturn static void run_program(const struct exec_spec *p) {
    const char *name = p->argv[0];
    if (!*name) {
        errno = ENOENT;
    } else if (strchr(name, '/')) {
        execute(p, name);
        if (errno == ENOENT && access(name, F_OK) == 0)
            errno = ELIBBAD;
        else if (errno == ENOENT || errno == ENOTDIR)
            give_up(name, strerror(errno), 127);
    } else {
        search(p, name);
    }
    if (errno == ENOENT)
        give_up(name, "command not found", 127);
    if (errno == ELIBBAD)
        give_up(name, "its interpreter or loader is missing", 127);
    give_up(name, strerror(errno), 126);
}

static int set_stdio(const int stdio[3]) {
    for (int i = 0; i < 3; i++)
        if (dup2(stdio[i], i) < 0)
            return -1;
    return 0;
}

/* A process group of its own, so that signals reach all that it starts. With a
 * terminal a session, too: its shell gives each job a group. */
static int lead(const struct exec_spec *p) {
    if (!p->terminal)
        return setpgid(0, 0);
    return setsid() < 0 ? -1 : ioctl(p->stdio[0], TIOCSCTTY, 0);
}

/* Groups that this sandbox has no id for are left out. Where it has only one
 * id, groups cannot be changed (see become_root() in cell.c), and none are set.
 */
static int set_groups(struct account *a) {
    unsigned kept = 0;
    if (syscall(SYS_setgroups, a->group_count, a->groups) == 0 ||
        errno == EPERM)
        return 0;
    for (unsigned i = 0; i < a->group_count; i++)
        if (syscall(SYS_setgroups, 1, &a->groups[i]) == 0)
            a->groups[kept++] = a->groups[i];
    return syscall(SYS_setgroups, kept, a->groups);
}

/* Plain system calls: the library would note the change of identity, which is
 * only the child's, in the memory of init. On machines with fs.suid_dumpable =
 * 1 the change lets the new user trace this memory. */
static int set_identity(struct account *a) {
    if (set_groups(a) < 0 ||
        syscall(SYS_setresgid, a->gid, a->gid, a->gid) < 0 ||
        syscall(SYS_setresuid, a->uid, a->uid, a->uid) < 0)
        return -1;
    return prctl(PR_SET_DUMPABLE, 0);
}

/* Refuse a directory that has no path from the root. */
static int enter_directory(const char *path) {
    char name[PATH_MAX];
    if (chdir(path) < 0)
        return -1;
    if (syscall(SYS_getcwd, name, sizeof name) < 0)
        return -1;
    if (name[0] != '/') {
        errno = ENOENT;
        return -1;
    }
    return 0;
}

static void run_child(struct exec_spec *p, volatile struct obstacle *o) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    family_mark(p->spid);
    o->step = "process group";
    if (lead(p) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        goto failed;
    o->step = "standard streams";
    if (set_stdio(p->stdio) < 0)
        goto failed;
    o->step = "user";
    if (set_identity(&p->account) < 0)
        goto failed;
    o->step = "cwd";
    if (enter_directory(p->cwd) < 0)
        goto failed;
    o->step = NULL;
    run_program(p);
failed:
    o->error = errno;
}

static int explain(const struct exec_spec *p, const struct obstacle *o,
                   struct failure *f) {
    if (strcmp(o->step, "cwd") == 0)
        return fail(f, 422, "cwd \"%.200s\": %s", p->cwd, strerror(o->error));
    if (strcmp(o->step, "user") == 0 && o->error == EINVAL)
        return fail(f, 422,
                    "user %u or group %u does not exist in this sandbox",
                    p->account.uid, p->account.gid);
    return fail(f, 500, "cannot set the %s of the process: %s", o->step,
                strerror(o->error));
}

int process_start(struct exec_spec *p, struct failure *f) {
    volatile struct obstacle o = {0};
    pid_t pid = vfork();
    if (pid == 0) {
        run_child(p, &o);
        _exit(127);
    }
    if (pid < 0)
        return fail_errno(f, "cannot start a process");
    if (!o.step)
        return pid;
    struct obstacle found = {.step = o.step, .error = o.error};
    waitpid(pid, NULL, 0);
    return explain(p, &found, f);
}
