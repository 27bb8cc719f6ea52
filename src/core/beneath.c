#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

void beneath_close(int fd) {
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

/* The bytes of the first name of a path; 0: none that may be followed. */
static size_t first_name(const char *path) {
    size_t length = strcspn(path, "/");
    bool dots = (length == 1 && path[0] == '.') ||
                (length == 2 && path[0] == '.' && path[1] == '.');
    return dots ? 0 : length;
}

static bool is_plain(const char *path) {
    size_t length = 0;
    do {
        path += length + (length > 0 ? 1 : 0);
        length = first_name(path);
        if (length == 0 || length > NAME_MAX) {
            errno = length == 0 ? EXDEV : ENAMETOOLONG;
            return false;
        }
    } while (path[length] != '\0');
    return true;
}

static bool is_link(int at, const char *name) {
    struct stat status;
    return fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISLNK(status.st_mode);
}

/* Without openat2 in the kernel: name by name. */
static int open_by_names(int root, const char *path, int flags, mode_t mode) {
    const int way = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    char name[NAME_MAX + 1];
    int at = root, next;
    for (;;) {
        size_t length = first_name(path);
        bool last = path[length] == '\0';
        memcpy(name, path, length);
        name[length] = '\0';
        next = last ? openat(at, name, flags | O_NOFOLLOW, mode)
                    : openat(at, name, way);
        if (next < 0 && errno == ENOTDIR)
            errno = is_link(at, name) ? ELOOP : ENOTDIR;
        if (at != root)
            beneath_close(at);
        if (next < 0 || last)
            return next;
        at = next;
        path += length + 1;
    }
}

int beneath_open(int root, const char *path, int flags, mode_t mode) {
    flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if (!is_plain(path))
        return -1;
#if defined(__linux__) && defined(SYS_openat2)
    struct open_how how = {
        .flags = (unsigned)flags,
        .mode = (flags & O_CREAT) != 0 ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    int fd;
    do
        fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd;
#endif
    return open_by_names(root, path, flags, mode);
}

int beneath_parent(int root, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (!is_plain(path))
        return -1;
    if (!slash)
        return openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (length >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
    return beneath_open(root, parent, O_RDONLY | O_DIRECTORY, 0);
}
