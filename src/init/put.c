#define _GNU_SOURCE
#include "init/put.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel refuses a ".." or a link with EAGAIN when anything on the machine
 * was mounted or renamed meanwhile. */
enum { OPEN_ATTEMPTS = 1000 };

int put_open_within(int root, const char *path, int flags, unsigned mode,
                    uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                                      resolve};
    int fd = -1;
    errno = EAGAIN;
    for (int i = 0; i < OPEN_ATTEMPTS && fd < 0 && errno == EAGAIN; i++)
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    return fd;
}

int put_open(int root, const char *path, int flags, unsigned mode) {
    return put_open_within(root, path, flags, mode, 0);
}

static int open_dir(const char *path) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int fd = put_open(root, path, O_PATH | O_DIRECTORY, 0);
    int error = errno;
    close(root);
    errno = error;
    return fd;
}

/* Opens the directory `path` (writable, restored on return), making what is
 * missing of it. */
static int make_parents(char *path) {
    int fd = open_dir(path);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        slash = NULL;
    if (slash)
        *slash = '\0';
    int parent = slash ? make_parents(path) : open_dir("/");
    if (slash)
        *slash = '/';
    if (parent < 0)
        return -1;
    const char *name = slash ? slash + 1 : path + 1;
    int rc = mkdirat(parent, name, 0755);
    int error = errno;
    close(parent);
    errno = error;
    return rc < 0 && errno != EEXIST ? -1 : open_dir(path);
}

static int copy(int from, int to) {
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, 1 << 30);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            break;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    static char block[65536];
    for (;;) {
        ssize_t got = read(from, block, sizeof block);
        if (got == 0)
            return 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        for (ssize_t done = 0, n; done < got; done += n)
            if ((n = write(to, block + done, got - done)) < 0)
                return -1;
    }
}

/* Removes what is at `name`, unless it is a directory. */
static int make_way(int parent, const char *name) {
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    return unlinkat(parent, name, 0);
}

static int digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* An attribute that the file system refuses is left out, as when archives are
 * unpacked. */
static void set_attribute(int fd, const char *name, const char *hex) {
    static char value[65536];
    size_t size = strlen(hex) / 2;
    if (size > sizeof value)
        return;
    for (size_t i = 0; i < size; i++)
        value[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    if (fsetxattr(fd, name, value, size, 0) < 0)
        errno = 0;
}

/* The owner first: a change of it removes set-id bits and capabilities. */
static int fill(int to, const struct put_spec *p, int from, struct failure *f) {
    if (copy(from, to) < 0)
        return fail_errno(f, "cannot write %.200s", p->path);
    if (fchown(to, p->uid, p->gid) < 0) {
        if (errno == EINVAL)
            return fail(f, 422,
                        "%.200s: user %u or group %u does not exist "
                        "in this sandbox",
                        p->path, p->uid, p->gid);
        return fail_errno(f, "cannot change the owner of %.200s", p->path);
    }
    if (fchmod(to, p->mode & 07777) < 0)
        return fail_errno(f, "cannot change the mode of %.200s", p->path);
    for (size_t i = 0; i + 1 < p->attribute_count; i += 2)
        set_attribute(to, p->attributes[i], p->attributes[i + 1]);
    return 0;
}

int put_file(const struct put_spec *p, int from, struct failure *f) {
    char dir[4096];
    const char *path = p->path, *slash = strrchr(path, '/');
    if (path[0] != '/' || strlen(path) >= sizeof dir || !slash[1])
        return fail(f, 422, "\"%.200s\" is not an absolute path of a file",
                    path);
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memcpy(dir, path, length);
    dir[length] = '\0';
    int parent = make_parents(dir);
    if (parent < 0)
        return fail_errno(f, "cannot make the directory of %.200s", path);
    int rc = -1, to = -1;
    if (make_way(parent, slash + 1) < 0)
        fail_errno(f, "cannot replace %.200s", path);
    else if ((to = openat(parent, slash + 1,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          0600)) < 0)
        fail_errno(f, "cannot make %.200s", path);
    else
        rc = fill(to, p, from, f);
    if (to >= 0 && close(to) < 0 && rc == 0)
        rc = fail_errno(f, "cannot write %.200s", path);
    close(parent);
    return rc;
}
