#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sendfile.h>
#endif

void spool_init(struct spool *spool) {
    *spool = (struct spool){.fd = -1};
}

void spool_close(struct spool *spool) {
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
}

/* Split "DEVICE.INODE PATH", in a copy that ends with a NUL. */
static const char *split(char *place, size_t length) {
    char *path = memchr(place, ' ', length);
    if (!path || strlen(place) != length)
        return NULL;
    *path = 0;
    return path + 1;
}

static bool is_wanted(const struct spool *spool, const char *path) {
    const char *slash = strrchr(path, '/');
    return *spool->name && slash && strcmp(slash + 1, spool->name) == 0;
}

static bool is_file(int fd, const char *inode) {
    struct stat status;
    char found[48];
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    snprintf(found, sizeof found, "%ju.%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    return strcmp(found, inode) == 0;
}

bool spool_open(struct spool *spool, const char *place, size_t length,
                struct transfer_error *error) {
    char copy[PATH_MAX + 64];
    const char *path = NULL;
    if (length < sizeof copy) {
        memcpy(copy, place, length);
        copy[length] = 0;
        path = split(copy, length);
    }
    spool_close(spool);
    if (!path || !is_wanted(spool, path))
        return fail(error, "protocol", "a spool has a wrong name");
    spool->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (spool->fd >= 0 && is_file(spool->fd, copy))
        return true;
    spool_close(spool);
    return fail(error, "spool", "%s is not to be seen here", path);
}

bool spool_read(const struct spool *spool, long long at, char *out,
                size_t length, struct transfer_error *error) {
    while (length > 0) {
        ssize_t n = pread(spool->fd, out, length, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(error, "file", "%s: %s", spool->name,
                        n < 0 ? strerror(errno) : "it became shorter");
        out += n;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

static bool failed(const char *name, int number, struct transfer_error *error) {
    return fail(error, "file", "%s: %s", name, strerror(number));
}

static bool copy_by_hand(const struct spool *spool, long long at, size_t length,
                         int file, const char *name,
                         struct transfer_error *error) {
    char bytes[32 * 1024];
    while (length > 0) {
        size_t wanted = length < sizeof bytes ? length : sizeof bytes;
        if (!spool_read(spool, at, bytes, wanted, error))
            return false;
        for (size_t sent = 0; sent < wanted;) {
            ssize_t n = write(file, bytes + sent, wanted - sent);
            if (n < 0 && errno != EINTR)
                return failed(name, errno, error);
            sent += n > 0 ? (size_t)n : 0;
        }
        at += (long long)wanted;
        length -= wanted;
    }
    return true;
}

bool spool_copy(struct spool *spool, long long at, size_t length, int file,
                const char *name, struct transfer_error *error) {
#if defined(__linux__)
    off_t from = (off_t)at;
    while (length > 0 && !spool->by_hand) {
        ssize_t n = sendfile(file, spool->fd, &from, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EINVAL && errno != ENOSYS)
            return failed(name, errno, error);
        if (n == 0)
            return failed(spool->name, ENODATA, error);
        spool->by_hand = n < 0; /* not on every file system */
        length -= n > 0 ? (size_t)n : 0;
    }
    at = (long long)from;
#endif
    return copy_by_hand(spool, at, length, file, name, error);
}
