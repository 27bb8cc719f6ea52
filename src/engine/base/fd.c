/* fd.c: see fd.h. */
#define _GNU_SOURCE
#include "base/fd.h"
#include "base/descriptor.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of open_scoped(). */
enum { OPEN_ATTEMPTS = 1000 };

int write_all(int fd, const void *data, size_t length) {
    const char *p = data;
    while (length) {
        ssize_t n = write(fd, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

int pwrite_all(int fd, const void *data, size_t length, off_t at) {
    const char *p = data;
    while (length) {
        ssize_t n = pwrite(fd, p, length, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

int pread_all(int fd, void *data, size_t length, off_t at) {
    char *p = data;
    while (length) {
        ssize_t n = pread(fd, p, length, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        p += n;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

ssize_t read_all(int fd, void *data, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t n = read(fd, (char *)data + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int open_scoped(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .resolve = resolve};
    int fd = -1;
    errno = EAGAIN;
    for (int i = 0;
         i < OPEN_ATTEMPTS && fd < 0 && (errno == EAGAIN || errno == EINTR);
         i++)
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    return fd;
}

int write_to_file(const char *path, const char *text) {
    int fd CLEANUP(cleanup_close) = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : write_all(fd, text, strlen(text));
}

int set_blocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
