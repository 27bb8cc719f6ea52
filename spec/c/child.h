/* child.h: children of a test that are killed, or are ordinary users. */
#ifndef CONTREE_CHILD_H
#define CONTREE_CHILD_H

#include "base/fd.h"
#include "base/uuid.h"
#include "check.h"
#include "store/store.h"
#include "temp_dir.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Run `work` in a child, which writes a uuid for each piece of work that it
 * has finished. Wait for the first uuid, then kill the child after some
 * microseconds. Return the descriptor of the other uuids; the caller closes it.
 */
static inline int killed_at_work(void (*work)(void *arg, int report), void *arg,
                                 unsigned microseconds) {
    int ends[2];
    char first[UUID_SIZE];
    CHECK(pipe(ends) == 0);
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        work(arg, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    CHECK(read_all(ends[0], first, sizeof first) == sizeof first);
    usleep(microseconds);
    struct pollfd another = {.fd = ends[0], .events = POLLIN};
    CHECK_NUMBER(poll(&another, 1, 10000), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return ends[0];
}

static inline bool write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write_all(fd, text, strlen(text)) == 0;
    close(fd);
    return ok;
}

enum { NO_NAMESPACES = 77 };

/* Return 0, or an exit code for the child. */
static inline int become_nobody(void) {
    /* After setuid, /proc/self belongs to root without the prctl. */
    if (setgid(65534) < 0 || setuid(65534) < 0 ||
        prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER) < 0)
        return NO_NAMESPACES;
    return write_text("/proc/self/setgroups", "deny") &&
                   write_text("/proc/self/uid_map", "0 65534 1") &&
                   write_text("/proc/self/gid_map", "0 65534 1")
               ? 0
               : 1;
}

/* Check that `work` returns 0 for an ordinary user with one id. The directory
 * is given to that user. */
static inline void check_as_nobody(const struct temp_dir *d,
                                   int (*work)(void *), void *arg) {
    int status = -1;
    CHECK(fchown(d->fd, 65534, 65534) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int result = become_nobody();
        result = result ? result : work(arg);
        fflush(stdout);
        _exit(result);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACES)
        printf("# not tried: no user namespaces here\n");
    else
        CHECK_NUMBER(status, 0);
}

#endif
