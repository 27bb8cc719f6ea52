/* implied.c: see implied.h. */
#define _GNU_SOURCE
#include "unpack/implied.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "unpack/root.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* No sandbox sees an attribute under overlay's prefix. */
#define IMPLIED "user.overlay.implied"

int implied_mark(struct unpack *u, int parent, const char *place,
                 const char *name) {
    char path[PATH_MAX];
    int fd CLEANUP(cleanup_close) = openat(parent, name, OPEN_DIRECTORY);
    snprintf(path, sizeof path, "%s", place);
    if (!u->o->whiteouts)
        return 0;
    if (fd < 0 || fsetxattr(fd, IMPLIED, "y", 1, 0) < 0)
        return unpack_failed(u, "marking", name);
    if (path_append(u, path, name) < 0)
        return -1;
    u->implied_count++;
    /* Beyond the buffer's maximum the mark stays, which does no harm. */
    if (!u->implied.failed)
        buffer_add(&u->implied, path, strlen(path) + 1);
    return 0;
}

static bool is_implied(int parent, const char *name) {
    char mark;
    int fd CLEANUP(cleanup_close) = openat(parent, name, OPEN_DIRECTORY);
    return fd >= 0 && fgetxattr(fd, IMPLIED, &mark, 1) == 1;
}

int implied_drop(void *unused, int parent, const char *name) {
    (void)unused;
    if (is_implied(parent, name) && unlinkat(parent, name, AT_REMOVEDIR) < 0 &&
        errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    return 0;
}

void implied_clear(int dir) {
    fremovexattr(dir, IMPLIED); /* most have none */
}

void implied_forget(struct unpack *u) {
    for (size_t at = 0; at < u->implied.length;
         at += strlen(u->implied.data + at) + 1) {
        int fd CLEANUP(cleanup_close) =
            root_open(u, u->implied.data + at, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
            implied_clear(fd);
    }
}
