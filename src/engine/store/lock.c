/* lock.c: the lock of a data directory: one engine at a time. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "store/database.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int store_lock(int dir_fd, const char *dir, struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault_errno(f, "%s/lock", dir);
    char pid[16] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fault_errno(f, "locking %s/lock", dir);
        long holder =
            pread(fd, pid, sizeof pid - 1, 0) > 0 ? strtol(pid, NULL, 10) : 0;
        if (holder <= 0)
            return fault_set(f, 409, "another contree-engine uses %s", dir);
        return fault_set(f, 409, "another contree-engine (pid %ld) uses %s",
                         holder, dir);
    }
    int length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite_all(fd, pid, (size_t)length, 0) < 0)
        return fault_errno(f, "writing %s/lock", dir);
    return steal_fd(&fd);
}

int store_announce(struct store *s, const char *socket, struct fault *f) {
    char text[PATH_MAX + 32];
    int length = snprintf(text, sizeof text, "%d\n%s\n", (int)getpid(), socket);
    if (length >= (int)sizeof text ||
        pwrite_all(s->lock_fd, text, (size_t)length, 0) < 0)
        return fault_errno(f, "writing the lock");
    return 0;
}

bool store_served_on(const char *dir, char *socket, size_t size) {
    char path[PATH_MAX], text[PATH_MAX + 32];
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path)
        return false;
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read_all(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *line = strchr(text, '\n');
    char *end = line ? strchr(++line, '\n') : NULL;
    if (!end || end == line || (size_t)(end - line) >= size)
        return false;
    *end = 0;
    memcpy(socket, line, (size_t)(end - line) + 1);
    return true;
}

bool store_is_there(const struct store *s) {
    struct stat st;
    return fstat(s->lock_fd, &st) == 0 && st.st_nlink > 0;
}
