/* copy.c: see copy.h. */
#define _GNU_SOURCE
#include "layer/copy.h"
#include "base/fd.h"
#include "base/overlay.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { ATTRIBUTES = COPY_PIECE / 4 }; /* bytes of all names, and of a value */

static int copy_attribute(int from, int to, const char *name, char *value) {
    if (!overlay_keeps_attribute(name))
        return 0;
    ssize_t size = fgetxattr(from, name, value, ATTRIBUTES);
    return size < 0 ? -1 : fsetxattr(to, name, value, (size_t)size, 0);
}

static int copy_attributes(const struct copier *c, int from, int to) {
    char *names = c->piece, *value = names + ATTRIBUTES;
    ssize_t length = flistxattr(from, names, ATTRIBUTES);
    if (length < 0 && errno != ENOTSUP)
        return -1;
    for (char *name = names; name < names + length; name += strlen(name) + 1)
        if (copy_attribute(from, to, name, value) < 0)
            return -1;
    return 0;
}

int copy_metadata(const struct copier *c, int from, int to,
                  const struct stat *st) {
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchown(to, st->st_uid, st->st_gid) < 0 ||
        fchmod(to, st->st_mode & 07777) < 0 || copy_attributes(c, from, to) < 0)
        return -1;
    return futimens(to, times);
}

/* Copies the data from `at` to `end`. */
static int copy_piece(const struct copier *c, int from, int to, off_t at,
                      off_t end) {
    if (lseek(from, at, SEEK_SET) < 0 || lseek(to, at, SEEK_SET) < 0)
        return -1;
    while (at < end) {
        size_t most = end - at < COPY_PIECE ? (size_t)(end - at) : COPY_PIECE;
        if (deadline_is_over(&c->deadline)) {
            errno = ECANCELED;
            return -1;
        }
        ssize_t n = read_all(from, c->piece, most);
        if (n <= 0 || write_all(to, c->piece, (size_t)n) < 0)
            return -1;
        at += n;
    }
    return 0;
}

int copy_data(const struct copier *c, int from, int to, off_t size) {
    off_t data, hole = 0;
    if (size == 0 || ioctl(to, FICLONE, from) == 0)
        return 0;
    while (hole < size && (data = lseek(from, hole, SEEK_DATA)) >= 0) {
        hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 || copy_piece(c, from, to, data, hole) < 0)
            return -1;
    }
    return hole < size && errno != ENXIO ? -1 : ftruncate(to, size);
}

static int make_special(int dir, const char *path, int to, const char *name,
                        const struct stat *st) {
    char target[PATH_MAX];
    if (!S_ISLNK(st->st_mode))
        return mknodat(to, name, st->st_mode, st->st_rdev);
    ssize_t n = readlinkat(dir, path, target, sizeof target - 1);
    if (n < 0)
        return -1;
    target[n] = 0;
    return symlinkat(target, to, name);
}

int copy_special(int dir, const char *path, int to, const char *name,
                 const struct stat *st) {
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (make_special(dir, path, to, name, st) < 0 ||
        fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISLNK(st->st_mode) &&
         fchmodat(to, name, st->st_mode & 07777, 0) < 0))
        return -1;
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}
