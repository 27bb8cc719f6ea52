/* hardlink.c: see hardlink.h. */
#define _GNU_SOURCE
#include "unpack/hardlink.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "unpack/trail.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A directory with a name for each file below that a hard link named: its
 * inode. No entry of a layer can have this name; aufs kept such files under it,
 * and its layers link to them. */
#define LINKED ".wh..wh.plnk"

/* A record of u->linked; the path of the file below follows, with its NUL. */
struct linked_file {
    uint64_t inode;
    size_t length;
};

static void link_name(uint64_t inode, char out[NAME_MAX + 1]) {
    snprintf(out, NAME_MAX + 1, "%llu", (unsigned long long)inode);
}

static int open_linked(struct unpack *u) {
    if (mkdirat(u->root, LINKED, 0700) < 0 && errno != EEXIST)
        return unpack_failed(u, "making", LINKED);
    int dir = openat(u->root, LINKED, OPEN_DIRECTORY);
    return dir < 0 ? unpack_failed(u, "opening", LINKED) : dir;
}

/* Symbolic links and FIFOs. */
static int copy_special(struct unpack *u, int dir, const char *name,
                        const char *path, const struct unpack_below *is) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, is->mtime};
    uint32_t base = u->o->ids.base;
    bool link = S_ISLNK(is->mode);
    if (!link && !S_ISFIFO(is->mode))
        return unpack_refuse(u, path, "is a hard link to no file");
    if ((link ? symlinkat(is->target, dir, name)
              : mknodat(dir, name, S_IFIFO | 0600, 0)) < 0 ||
        fchownat(dir, name, base + is->uid, base + is->gid,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        (!link && fchmodat(dir, name, is->mode & 07777, 0) < 0) ||
        utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return unpack_failed(u, "copying", path);
    return 0;
}

static int copy_file(struct unpack *u, int dir, const char *name,
                     const char *path, const struct unpack_below *is) {
    if (unpack_count_bytes(u, (uint64_t)is->bytes) < 0)
        return -1;
    int result = u->o->copy(u->o->below_arg, path, u->root, u->f);
    u->stopped = u->stopped || result < 0;
    if (result < 0)
        return -1;
    return renameat(u->root, UNPACK_COPY, dir, name) < 0
               ? unpack_failed(u, "copying", path)
               : 0;
}

/* Copies the file `path` from below to LINKED, unless it is there. */
static int copy_up(struct unpack *u, const char *path,
                   const struct unpack_below *is, char name[NAME_MAX + 1]) {
    struct linked_file l = {is->inode, strlen(path) + 1};
    struct stat st;
    int dir CLEANUP(cleanup_close) = open_linked(u);
    if (dir < 0)
        return -1;
    /* Beyond the buffer's maximum the name below stays a file of its own. */
    if (!u->linked.failed && buffer_add(&u->linked, &l, sizeof l))
        buffer_add(&u->linked, path, l.length);
    link_name(is->inode, name);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return steal_fd(&dir);
    if (unpack_count_entry(u) < 0 ||
        (S_ISREG(is->mode) ? copy_file(u, dir, name, path, is)
                           : copy_special(u, dir, name, path, is)) < 0)
        return -1;
    return steal_fd(&dir);
}

/* Splits a path into the directory and the last part. */
static void split(const char *path, char dir[PATH_MAX],
                  char name[NAME_MAX + 1]) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    memcpy(dir, path, length);
    dir[length] = 0;
    snprintf(name, NAME_MAX + 1, "%s", slash ? slash + 1 : path);
}

static int find_target(struct unpack *u, struct trail *t, const char *path,
                       char name[NAME_MAX + 1]) {
    struct spot s;
    char place[PATH_MAX];
    if (*name && trail_look(u, t, name, &s) < 0)
        return -1;
    if (!*name || s.where == NOWHERE || spot_is_directory(&s))
        return unpack_refuse(u, path,
                             u->o->below
                                 ? "is a hard link to what is not in the "
                                   "archive, nor in a layer below"
                                 : "is a hard link to what is not in the "
                                   "archive");
    if (s.where == HERE)
        return steal_fd(&t->here);
    memcpy(place, t->path, t->length + 1);
    return path_append(u, place, name) < 0 ? -1
                                           : copy_up(u, place, &s.is, name);
}

int hardlink_target(struct unpack *u, const char *path, const char *target,
                    char name[NAME_MAX + 1]) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    char dir[PATH_MAX];
    split(target, dir, name);
    return trail_resolve(u, path, dir, &t) < 0 ? -1
                                               : find_target(u, &t, path, name);
}

/* Makes the name `path` a name of the copy again, unless the archive hides or
 * replaces it. */
static int link_back(struct unpack *u, int linked, uint64_t inode,
                     const char *path) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    struct spot s;
    char dir[PATH_MAX], name[NAME_MAX + 1], number[NAME_MAX + 1];
    split(path, dir, name);
    int found = trail_follow(u, &t, dir, false);
    if (found <= 0)
        return found;
    if (trail_look(u, &t, name, &s) < 0)
        return -1;
    if (s.where != BELOW || s.is.inode != inode)
        return 0;
    trail_end(&t);
    if (trail_follow(u, &t, dir, true) != 1)
        return -1;
    link_name(inode, number);
    if (linkat(linked, number, t.here, name, 0) < 0 && errno != EMLINK)
        return unpack_failed(u, "linking", path);
    return 0;
}

int hardlink_finish(struct unpack *u) {
    if (!u->o->whiteouts)
        return 0;
    int dir CLEANUP(cleanup_close) = openat(u->root, LINKED, OPEN_DIRECTORY);
    for (size_t at = 0; at + sizeof(struct linked_file) <= u->linked.length;) {
        struct linked_file l;
        memcpy(&l, u->linked.data + at, sizeof l);
        at += sizeof l;
        if (link_back(u, dir, l.inode, u->linked.data + at) < 0)
            return -1;
        at += l.length;
    }
    return tree_delete_at(u->root, LINKED) < 0
               ? unpack_failed(u, "removing", LINKED)
               : 0;
}
