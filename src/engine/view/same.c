/* same.c: see same.h. */
#define _GNU_SOURCE
#include "view/same.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/overlay.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PIECE = 16384, ATTRIBUTES = 65536 };

struct place {
    char text[PATH_MAX + 64];
};

static const char *place_of(const struct placed *p, const char *path,
                            struct place *out) {
    char layer[32];
    layer_path(p->layer, layer);
    snprintf(out->text, sizeof out->text, "%s%s%s", layer, *path ? "/" : "",
             path);
    return out->text;
}

int placed_open(int dir_fd, const struct placed *p, const char *path,
                int flags) {
    struct place place;
    return open_scoped(dir_fd, place_of(p, path, &place),
                       (uint64_t)flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
                           O_NOCTTY | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int placed_target(int dir_fd, const struct placed *p, const char *path,
                  char *out, size_t size) {
    struct place place;
    ssize_t n = readlinkat(dir_fd, place_of(p, path, &place), out, size - 1);
    if (n < 0)
        return -1;
    out[n] = 0;
    return 0;
}

static int failed(const char *path, struct fault *f) {
    return fault_errno(f, "comparing /%.300s", path);
}

bool placed_is_one(const struct placed *a, const struct placed *b) {
    return a->layer == b->layer && a->st.st_ino == b->st.st_ino;
}

/* ---- content ---- */

static int same_bytes(int a, int b, const struct deadline *d) {
    char x[PIECE], y[PIECE];
    for (;;) {
        ssize_t n = read_all(a, x, sizeof x), m = read_all(b, y, sizeof y);
        if (n < 0 || m < 0)
            return -1;
        if (n != m || memcmp(x, y, (size_t)n) != 0)
            return 0;
        if (n < (ssize_t)sizeof x || deadline_is_over(d))
            return 1;
    }
}

static int same_files(int dir_fd, const char *path, const struct placed *a,
                      const struct placed *b, const struct deadline *d) {
    if (a->st.st_size != b->st.st_size)
        return 0;
    int x CLEANUP(cleanup_close) = placed_open(dir_fd, a, path, 0);
    int y CLEANUP(cleanup_close) = placed_open(dir_fd, b, path, 0);
    return x < 0 || y < 0 ? -1 : same_bytes(x, y, d);
}

static int same_targets(int dir_fd, const char *path, const struct placed *a,
                        const struct placed *b) {
    char x[PATH_MAX], y[PATH_MAX];
    if (placed_target(dir_fd, a, path, x, sizeof x) < 0 ||
        placed_target(dir_fd, b, path, y, sizeof y) < 0)
        return -1;
    return strcmp(x, y) == 0;
}

int placed_same_content(int dir_fd, const char *path, const struct placed *a,
                        const struct placed *b, const struct deadline *d,
                        struct fault *f) {
    mode_t type = a->st.st_mode & S_IFMT;
    if (placed_is_one(a, b))
        return 1;
    if (type != (b->st.st_mode & S_IFMT) || a->st.st_rdev != b->st.st_rdev)
        return 0;
    int same = type == S_IFREG   ? same_files(dir_fd, path, a, b, d)
               : type == S_IFLNK ? same_targets(dir_fd, path, a, b)
                                 : 1;
    return same < 0 ? failed(path, f) : same;
}

/* ---- attributes ---- */

/* How many names of `a` the layers keep, or -1 when `b` lacks one of them or
 * has another value. -2 with errno. */
static int count_attributes(int a, int b, char *names, char *x, char *y) {
    int count = 0;
    ssize_t length = flistxattr(a, names, ATTRIBUTES);
    if (length < 0)
        return errno == ENOTSUP ? 0 : -2;
    for (char *name = names; name < names + length; name += strlen(name) + 1) {
        if (!overlay_keeps_attribute(name))
            continue;
        ssize_t n = fgetxattr(a, name, x, ATTRIBUTES);
        ssize_t m = fgetxattr(b, name, y, ATTRIBUTES);
        if (n < 0)
            return -2;
        if (n != m || memcmp(x, y, (size_t)n) != 0)
            return -1;
        count++;
    }
    return count;
}

int placed_same_attributes(int dir_fd, const char *path, const struct placed *a,
                           const struct placed *b, struct fault *f) {
    bool directory = S_ISDIR(a->st.st_mode), other = S_ISDIR(b->st.st_mode);
    if (placed_is_one(a, b) || (!S_ISREG(a->st.st_mode) && !directory) ||
        (!S_ISREG(b->st.st_mode) && !other))
        return 1;
    int x CLEANUP(cleanup_close) =
        placed_open(dir_fd, a, path, directory ? O_DIRECTORY : 0);
    int y CLEANUP(cleanup_close) =
        placed_open(dir_fd, b, path, other ? O_DIRECTORY : 0);
    char *room CLEANUP(cleanup_free) = malloc(3 * (size_t)ATTRIBUTES);
    if (!room)
        return fault_memory(f);
    if (x < 0 || y < 0)
        return failed(path, f);
    char *p = room + ATTRIBUTES, *q = p + ATTRIBUTES;
    int n = count_attributes(x, y, room, p, q);
    int m = n < 0 ? n : count_attributes(y, x, room, p, q);
    return n == -2 || m == -2 ? failed(path, f) : n >= 0 && n == m;
}
