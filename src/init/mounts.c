#define _GNU_SOURCE
#include "init/mounts.h"
#include "init/put.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int mounts_add(struct mounts *m, const char *target, const char *volume,
               int tree, struct failure *f) {
    struct mount_spec spec = {.target = strdup(target), .tree = tree};
    bool wants_volume = *volume != '\0';
    if (wants_volume)
        spec.volume = strdup(volume);
    if (m->count < MOUNTS_MAX && spec.target &&
        (spec.volume || !wants_volume)) {
        m->list[m->count++] = spec;
        return 0;
    }
    free(spec.target);
    free(spec.volume);
    if (tree >= 0)
        close(tree);
    return m->count < MOUNTS_MAX
               ? fail(f, 500, "out of memory")
               : fail(f, 500, "the sandbox's init got too many mounts");
}

static void forget(struct mount_spec *spec) {
    free(spec->target);
    free(spec->volume);
    if (spec->tree >= 0)
        close(spec->tree);
}

/* ---- where to mount ---- */

static int open_dir(int root, const char *path) {
    return put_open_within(root, path, O_PATH | O_DIRECTORY, 0,
                           RESOLVE_NO_XDEV);
}

/* Makes `name` in `parent`, for its owner. The owner of a parent that has no id
 * here stays out of it. */
static int make_dir(int parent, const char *name) {
    struct stat st;
    if (mkdirat(parent, name, 0755) < 0)
        return errno == EEXIST ? 0 : -1;
    if (fstat(parent, &st) < 0)
        return -1;
    if (fchownat(parent, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno != EINVAL)
        return -1;
    return 0;
}

/* Opens the directory `path` (writable, restored on return), making what is
 * missing of it. */
static int make_dirs(int root, char *path) {
    int fd = open_dir(root, path);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char *slash = strrchr(path, '/');
    bool top = slash == path;
    *slash = '\0';
    int parent = top ? open_dir(root, "/") : make_dirs(root, path);
    *slash = '/';
    if (parent < 0)
        return -1;
    int rc = make_dir(parent, slash + 1), error = errno;
    close(parent);
    errno = error;
    return rc < 0 ? -1 : open_dir(root, path);
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1: `fd` is the root itself, or at or below a directory that the sandbox
 * fills; 0: it is not; -1 with errno. */
static int is_taken(int root, int fd) {
    static const char *const names[] = {"proc", "sys", "dev"};
    enum { NAMES = sizeof names / sizeof *names };
    struct stat top, taken[NAMES], st;
    int at = fcntl(fd, F_DUPFD_CLOEXEC, 0), found = -1;
    if (at < 0 || fstat(root, &top) < 0 || fstat(at, &st) < 0)
        goto out;
    for (int i = 0; i < NAMES; i++)
        if (fstatat(root, names[i], &taken[i], AT_SYMLINK_NOFOLLOW) < 0)
            goto out;
    found = is_same(&st, &top);
    while (!found && !is_same(&st, &top)) {
        for (int i = 0; i < NAMES; i++)
            found = found || is_same(&st, &taken[i]);
        int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = up;
        if (up < 0 || fstat(up, &st) < 0) {
            found = -1;
            break;
        }
    }
out:
    if (at >= 0)
        close(at);
    return found;
}

static int explain_target(const char *path, struct failure *f) {
    if (errno == EXDEV)
        return fail(f, 422,
                    "cannot mount at %.200s: in this image it leads into "
                    "another mount",
                    path);
    if (errno == ENOTDIR || errno == ELOOP || errno == EEXIST)
        return fail(f, 422,
                    "cannot mount at %.200s: something in the image that is "
                    "no directory is in the way",
                    path);
    if (errno == ENOENT)
        return fail(f, 422,
                    "cannot mount at %.200s: a link of the image leads to "
                    "where nothing is",
                    path);
    return fail_errno(f, "cannot make room to mount at %.200s", path);
}

static int open_target(int root, char *path, struct failure *f) {
    int fd = make_dirs(root, path);
    if (fd < 0)
        return explain_target(path, f);
    int taken = is_taken(root, fd);
    if (taken == 0)
        return fd;
    if (taken < 0)
        fail_errno(f, "cannot look at %.200s", path);
    else
        fail(f, 422,
             "cannot mount at %.200s: in this image it leads to /, or into "
             "/proc, /sys or /dev",
             path);
    close(fd);
    return -1;
}

/* ---- what to mount ---- */

/* 1: it is; 0; -1 with errno. */
static int is_empty(int fd) {
    char data[512] __attribute__((aligned(8)));
    struct entry {
        uint64_t inode;
        int64_t offset;
        unsigned short length;
        unsigned char type;
        char name[];
    };
    for (;;) {
        long length = syscall(SYS_getdents64, fd, data, sizeof data);
        if (length <= 0)
            return length < 0 ? -1 : 1;
        for (long at = 0; at < length;) {
            const struct entry *e = (const struct entry *)(data + at);
            if (strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0)
                return 0;
            at += e->length;
        }
    }
}

/* Gives an empty volume the owner and mode of the directory `target`. */
static int adopt(int tree, int target, struct failure *f) {
    struct stat own, covered;
    int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int empty = fd < 0 ? -1 : is_empty(fd), rc = 0;
    if (empty > 0 &&
        (fstat(fd, &own) < 0 || fstat(target, &covered) < 0 ||
         ((own.st_uid != covered.st_uid || own.st_gid != covered.st_gid) &&
          fchown(fd, covered.st_uid, covered.st_gid) < 0) ||
         (own.st_mode != covered.st_mode &&
          fchmod(fd, covered.st_mode & 07777) < 0)))
        empty = -1;
    if (empty < 0)
        rc = fail_errno(f, "cannot prepare the volume");
    if (fd >= 0)
        close(fd);
    return rc;
}

static int open_volume(struct mount_spec *spec, int target, struct failure *f) {
    char path[64];
    snprintf(path, sizeof path, "v/%s", spec->volume);
    spec->tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (spec->tree < 0)
        return fail_errno(f, "cannot open the volume for %.200s", spec->target);
    return adopt(spec->tree, target, f);
}

static int place(struct mount_spec *spec, int root, struct failure *f) {
    int target = open_target(root, spec->target, f), rc = -1;
    if (target < 0)
        return -1;
    if (spec->volume && open_volume(spec, target, f) < 0) {
        close(target);
        return -1;
    }
    rc = move_mount(spec->tree, "", target, "",
                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        fail_errno(f, "cannot mount at %.200s", spec->target);
    close(target);
    return rc;
}

int mounts_place(struct mounts *m, int root, struct failure *f) {
    int rc = 0;
    for (unsigned i = 0; i < m->count; i++) {
        if (rc == 0)
            rc = place(&m->list[i], root, f);
        m->placed += rc == 0;
        forget(&m->list[i]);
    }
    m->count = 0;
    return rc;
}

int mounts_give(const char *target, unsigned uid, unsigned gid,
                struct failure *f) {
    struct stat st;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = -1;
    int fd = root < 0 ? -1 : put_open(root, target, O_RDONLY | O_DIRECTORY, 0);
    int empty = fd < 0 || fstat(fd, &st) < 0 ? -1 : is_empty(fd);
    if (empty == 0 || (empty > 0 && (st.st_uid != 0 || st.st_gid != 0)) ||
        (empty > 0 && (fchown(fd, uid, gid) == 0 || errno == EINVAL)))
        rc = 0; /* EINVAL: no such id here, which the process will say */
    if (rc < 0)
        fail_errno(f, "cannot give the volume at %.200s to its user", target);
    if (fd >= 0)
        close(fd);
    if (root >= 0)
        close(root);
    return rc;
}
