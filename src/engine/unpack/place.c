/* place.c: see place.h. */
#define _GNU_SOURCE
#include "unpack/place.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "unpack/root.h"
#include "unpack/trail.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Opens the directory to which `dir` leads, and makes it if need be. */
static int make_place(struct unpack *u, const char *path, const char *dir) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    if (trail_resolve(u, path, dir, &t) < 0)
        return -1;
    memcpy(u->parent_place, t.path, sizeof t.path);
    if (t.here < 0 && trail_follow(u, &t, u->parent_place, true) != 1)
        return -1;
    return steal_fd(&t.here);
}

int place_parent(struct unpack *u, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    /* The directory of the last entry can be used again, unless a link leads to
     * it: the last entry may have replaced that link. */
    bool linked = strcmp(u->parent_path, u->parent_place) != 0;
    if (u->parent >= 0 && !linked && strlen(u->parent_path) == length &&
        memcmp(u->parent_path, path, length) == 0)
        return u->parent;
    drop_fd(&u->parent);
    memcpy(u->parent_path, path, length);
    u->parent_path[length] = 0;
    memcpy(u->parent_place, u->parent_path, length + 1);
    u->parent = root_open(u, u->parent_path, OPEN_DIRECTORY);
    if (u->parent < 0 &&
        (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        u->parent = make_place(u, path, u->parent_path);
    else if (u->parent < 0)
        return unpack_failed(u, "opening the directory of", path);
    return u->parent;
}

int place_of(struct unpack *u, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%s", u->parent_place);
    return path_append(u, out, name);
}

int place_root(struct unpack *u) {
    struct spot s;
    uint32_t base = u->o->ids.base;
    if (!u->o->below)
        return 0;
    if (below_find(u, "", &s) < 0)
        return -1;
    if (s.where == BELOW &&
        (fchown(u->root, base + s.is.uid, base + s.is.gid) < 0 ||
         fchmod(u->root, s.is.mode & 07777) < 0))
        return unpack_failed(u, "making directory", "/");
    return 0;
}
