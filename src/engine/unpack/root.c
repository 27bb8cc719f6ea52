/* root.c: see root.h. */
#define _GNU_SOURCE
#include "unpack/root.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "base/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int root_open(const struct unpack *u, const char *place, int flags) {
    return open_scoped(u->root, *place ? place : ".",
                       (uint64_t)flags | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int root_set_opaque(struct unpack *u, int parent, const char *name) {
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0)
        return unpack_failed(u, "marking", name);
    return 0;
}

/* Removes what this archive has made at `name`; *replaced: there was something.
 * 1: nothing was removed, because `directory` is set and it is a directory. */
static int make_way(struct unpack *u, int parent, const char *name,
                    bool directory, bool *replaced) {
    struct stat st;
    *replaced = false;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : unpack_failed(u, "replacing", name);
    if (directory && S_ISDIR(st.st_mode))
        return 1;
    *replaced = true;
    if (tree_delete_at(parent, name) < 0)
        return unpack_failed(u, "replacing", name);
    return 0;
}

int root_make_way(struct unpack *u, int parent, const char *name) {
    bool replaced;
    return make_way(u, parent, name, false, &replaced);
}

int root_make_directory(struct unpack *u, int parent, const char *name) {
    bool replaced;
    struct stat st;
    uint32_t root = u->o->ids.base;
    int there = make_way(u, parent, name, true, &replaced);
    if (there)
        return there < 0 ? -1 : 0;
    if (fstat(parent, &st) < 0 || mkdirat(parent, name, 0700) < 0 ||
        fchownat(parent, name, root, st.st_mode & S_ISGID ? st.st_gid : root,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, 0755, 0) < 0)
        return unpack_failed(u, "making directory", name);
    /* The new directory must not show what the removed entry hid. */
    return replaced && u->o->whiteouts ? root_set_opaque(u, parent, name) : 0;
}
