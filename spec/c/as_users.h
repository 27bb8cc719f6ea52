/* as_users.h: a test program as root and as other users, without a runtime and
 * with one. */
#ifndef CONTREE_AS_USERS_H
#define CONTREE_AS_USERS_H

#include "box.h"
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>

static inline void overlay_file(const char *path, const char *line) {
    char copy[] = "/tmp/contree-ids-XXXXXX";
    int fd = mkstemp(copy);
    shell("cat %s > %s; echo '%s' >> %s; chmod 644 %s", path, copy, line, copy,
          copy);
    mount(copy, path, NULL, MS_BIND, NULL);
    unlink(copy);
    close(fd);
}

/* Run this program as another user, with one argument. If the user has a range
 * of ids, only this child sees it in /etc/subuid. */
static inline int run_as(uid_t uid, bool with_range) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (with_range) {
            if (unshare(CLONE_NEWNS) < 0 ||
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(1);
            overlay_file("/etc/passwd",
                         "contree-test:x:54321:54321::/:/bin/sh");
            overlay_file("/etc/subuid", "contree-test:1000000:65536");
            overlay_file("/etc/subgid", "contree-test:1000000:65536");
        }
        if (uid != getuid() &&
            (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
             setresuid(uid, uid, uid) < 0))
            _exit(1);
        execl("/proc/self/exe", "/proc/self/exe",
              with_range ? "a range of ids" : "the ids it has", NULL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

/* The main function of a program whose tests are in run_all(). */
static inline int main_as_users(int argc, char **argv, int (*run_all)(void)) {
    if (argc > 1) {
        printf("# as user %d, %s\n", getuid(), argv[1]);
        return run_all();
    }
    int failures = run_all();
    if (getuid() == 0) {
        failures += run_as(65534, false);
        failures += run_as(54321, true);
    }
    setenv(RUNTIME_VARIABLE, "crun", 1);
    failures += run_as(getuid(), false);
    if (getuid() == 0)
        failures += run_as(54321, true);
    return failures != 0;
}

#endif
