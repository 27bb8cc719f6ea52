/* hostdir.c: see hostdir.h. */
#define _GNU_SOURCE
#include "sandbox/hostdir.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <mntent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OPEN_PLACE (O_PATH | O_DIRECTORY | O_CLOEXEC)

/* ---- finding it ---- */

static int explain_open(const char *path, struct fault *f) {
    if (errno == ENOENT || errno == ENOTDIR)
        return fault_set(f, 422,
                         "cannot mount %.200s: there is no such directory on "
                         "the engine's machine",
                         path);
    return fault_set(f, 422, "cannot mount %.200s: %s", path, strerror(errno));
}

/* What follows `directory` in `path`: "." for itself; NULL: it is not below. */
static const char *part_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    while (length > 0 && directory[length - 1] == '/')
        length--;
    if (strncmp(path, directory, length) != 0 ||
        (path[length] && path[length] != '/'))
        return NULL;
    const char *rest = path + length + strspn(path + length, "/");
    return *rest ? rest : ".";
}

/* The kernel lets no link and no ".." lead out of an allowed directory. */
static int open_allowed(const char *path, const struct hostdir_rules *r,
                        struct fault *f) {
    for (size_t i = 0; i < r->allowed_count; i++) {
        const char *part = part_below(path, r->allowed[i]);
        int top CLEANUP(cleanup_close) =
            part ? open(r->allowed[i], OPEN_PLACE) : -1;
        int fd = top < 0 ? -1
                         : open_scoped(top, part, OPEN_PLACE,
                                       RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
        if (fd >= 0)
            return fd;
        if (part && errno != EXDEV)
            return explain_open(path, f);
    }
    return fault_set(f, 403,
                     "%.200s may not be mounted for a request over TCP or of "
                     "another user: it is not below a directory that "
                     "--allow-mount names",
                     path);
}

static int open_place(const char *path, const struct hostdir_rules *r,
                      struct fault *f) {
    if (r->allowed)
        return open_allowed(path, r, f);
    int fd = open(path, OPEN_PLACE);
    return fd < 0 ? explain_open(path, f) : fd;
}

/* ---- refusing it ---- */

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1: the directory `fd` is `top` or below it; 0; -1 with errno. */
static int is_within(int fd, const struct stat *top) {
    struct stat st, before = {.st_ino = 0};
    int at CLEANUP(cleanup_close) = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    while (at >= 0 && fstat(at, &st) == 0) {
        if (is_same(&st, top))
            return 1;
        if (is_same(&st, &before)) /* ".." of the root is the root */
            return 0;
        before = st;
        int up = openat(at, "..", OPEN_PLACE);
        close_fd(at);
        at = up;
    }
    return -1;
}

/* The directory of the engine's socket. */
static int open_socket_dir(const char *socket_path) {
    char path[PATH_MAX];
    const char *slash = socket_path ? strrchr(socket_path, '/') : NULL;
    if (!slash)
        return -1;
    snprintf(path, sizeof path, "%.*s", (int)(slash - socket_path) + 1,
             socket_path);
    return open(path, OPEN_PLACE);
}

static int check_own(int fd, const char *path, const struct hostdir_rules *r,
                     struct fault *f) {
    struct stat st, own;
    int socket_dir CLEANUP(cleanup_close) = open_socket_dir(r->socket_path);
    if (fstat(fd, &st) < 0 || fstat(r->data_dir, &own) < 0)
        return explain_open(path, f);
    int inside = is_within(fd, &own), around = is_within(r->data_dir, &st);
    if (inside < 0 || around < 0)
        return explain_open(path, f);
    if (inside || around)
        return fault_set(f, 422,
                         "cannot mount %.200s: it is, holds or is in the "
                         "engine's data directory. Fix: mount a directory "
                         "below it, or move the engine's with --data-dir",
                         path);
    if (socket_dir >= 0 && is_within(socket_dir, &st) != 0)
        return fault_set(
            f, 422, "cannot mount %.200s: it holds the engine's socket", path);
    return 0;
}

/* Views of the kernel: what they show differs from process to process, and some
 * of it is secret. */
static bool is_kernels(long type) {
    static const long types[] = {
        PROC_SUPER_MAGIC,    SYSFS_MAGIC,    CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
        SECURITYFS_MAGIC,    BPF_FS_MAGIC,   DEVPTS_SUPER_MAGIC,
        NSFS_MAGIC,          EFIVARFS_MAGIC, PSTOREFS_MAGIC,
        BINFMTFS_MAGIC,      SELINUX_MAGIC};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (type == types[i])
            return true;
    return false;
}

static int check_one(int fd, const char *path, const struct hostdir_rules *r,
                     struct fault *f) {
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return explain_open(path, f);
    if (is_kernels((long)fs.f_type))
        return fault_set(f, 422,
                         "cannot mount %.200s: it shows files of the kernel, "
                         "such as /proc, not of a disk",
                         path);
    return check_own(fd, path, r, f);
}

static void cleanup_table(FILE **table) {
    if (*table)
        endmntent(*table);
}

/* Check the mounts below, too, for they come along. */
static int check_below(int fd, const struct hostdir_rules *r, struct fault *f) {
    char link[64], real[PATH_MAX + 1], text[2 * PATH_MAX];
    struct mntent entry;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, real, PATH_MAX);
    FILE *table CLEANUP(cleanup_table) =
        length < 0 ? NULL : setmntent("/proc/self/mounts", "re");
    if (!table)
        return fault_errno(f, "cannot look at the mounts of this machine");
    real[length] = '\0';
    while (getmntent_r(table, &entry, text, sizeof text)) {
        const char *part = part_below(entry.mnt_dir, real);
        if (!part || strcmp(part, ".") == 0)
            continue;
        int below CLEANUP(cleanup_close) = open(entry.mnt_dir, OPEN_PLACE);
        /* A file that is a mount of its own, or one that is gone. */
        if (below < 0 && (errno == ENOTDIR || errno == ENOENT))
            continue;
        if (below < 0)
            return explain_open(entry.mnt_dir, f);
        if (check_one(below, entry.mnt_dir, r, f) < 0)
            return -1;
    }
    return 0;
}

/* ---- copying its mounts ---- */

struct copier {
    int fd; /* the directory */
    bool noexec;
    int tree; /* out: -1 with an errno */
    int error;
};

/* Copy the mount at `path` and all below it, and restrict the copies before
 * anybody has them. -1 with errno. */
static int copy(int dir, const char *path, bool noexec) {
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                    (noexec ? MOUNT_ATTR_NOEXEC : 0),
        .propagation = MS_PRIVATE};
    int tree CLEANUP(cleanup_close) = open_tree(
        dir, path,
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE,
                                  &attributes, sizeof attributes) < 0)
        return -1;
    return steal_fd(&tree);
}

/* The engine of a normal user may mount nothing in the namespace that it is in.
 * So this thread enters one that belongs to the engine's user namespace, by its
 * working directory: that follows, and a descriptor does not. The thread cannot
 * return, and ends. */
static void *copy_apart(void *arg) {
    struct copier *c = arg;
    if (unshare(CLONE_FS) == 0 && fchdir(c->fd) == 0 &&
        unshare(CLONE_NEWNS) == 0)
        c->tree = copy(AT_FDCWD, ".", c->noexec);
    c->error = errno;
    return NULL;
}

static int copy_mounts(int fd, bool noexec) {
    struct copier c = {
        .fd = fd, .noexec = noexec, .tree = copy(fd, "", noexec)};
    pthread_t thread;
    if (c.tree >= 0 || errno != EPERM)
        return c.tree;
    int error = pthread_create(&thread, NULL, copy_apart, &c);
    if (error == 0)
        error = pthread_join(thread, NULL);
    errno = error ? error : c.error;
    return c.tree;
}

int hostdir_open(const char *path, bool noexec,
                 const struct hostdir_rules *rules, struct fault *f) {
    int fd CLEANUP(cleanup_close) = open_place(path, rules, f);
    if (fd < 0 || check_one(fd, path, rules, f) < 0 ||
        check_below(fd, rules, f) < 0)
        return -1;
    int tree = copy_mounts(fd, noexec);
    if (tree < 0 && errno == ENOSYS)
        return fault_set(f, 501,
                         "this kernel cannot mount directories read-only with "
                         "all that is mounted below them. Fix: Linux 5.12 or "
                         "newer");
    return tree < 0 ? explain_open(path, f) : tree;
}
