/* stage.c: see init.h. Made once, when the forkserver starts. It keeps the
 * host's mounts out of every cell, which is both safer and faster than
 * copying them for each, and does not hold them busy. */
#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A detached copy of the mount at `path`, without what is mounted below it
 * where the kernel lets us leave that out. */
static int clone_mount(int dir, const char *path, struct failure *f) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    int fd = open_tree(dir, path, flags);
    if (fd < 0 && errno == EINVAL)
        fd = open_tree(dir, path, flags | AT_RECURSIVE);
    return fd < 0 ? fail_errno(f, "cannot clone the mount of %s", path) : fd;
}

/* Attaches a detached mount at `name` in the stage and closes it. */
static int attach(int tree, const char *name, struct failure *f) {
    if (tree < 0)
        return -1;
    int rc = move_mount(tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH);
    if (rc < 0)
        fail_errno(f, "cannot attach %s", name);
    close(tree);
    return rc;
}

static int make_dir(const char *path, mode_t mode, struct failure *f) {
    if (mkdir(path, mode) < 0)
        return fail_errno(f, "cannot make %s in the stage", path);
    return chmod(path, mode) < 0 ? fail_errno(f, "chmod %s", path) : 0;
}

static const struct device {
    const char *host, *name;
    unsigned major, minor;
} devices[] = {
    {"/dev/null", "dev/null", 1, 3},       {"/dev/zero", "dev/zero", 1, 5},
    {"/dev/full", "dev/full", 1, 7},       {"/dev/random", "dev/random", 1, 8},
    {"/dev/urandom", "dev/urandom", 1, 9}, {"/dev/tty", "dev/tty", 5, 0},
};
enum { DEVICE_COUNT = sizeof devices / sizeof *devices };

/* So that nobody who owns the host's node can change it: its mode, its owner,
 * its times. Writing to the device needs no writable mount. What the mount
 * forbids already must stay forbidden. */
static int make_node_read_only(const char *path, struct failure *f) {
    static const struct {
        unsigned long seen, flag;
    } kept[] = {{ST_NOSUID, MS_NOSUID},
                {ST_NOEXEC, MS_NOEXEC},
                {ST_NOATIME, MS_NOATIME},
                {ST_NODIRATIME, MS_NODIRATIME},
                {ST_RELATIME, MS_RELATIME}};
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return fail_errno(f, "cannot look at the mount of %s", path);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        flags |= fs.f_flag & kept[i].seen ? kept[i].flag : 0;
    if (mount(NULL, path, NULL, flags, NULL) < 0)
        return fail_errno(f, "cannot make %s read-only", path);
    return 0;
}

/* The host's device, if it is what its name says. */
static int clone_device(const struct device *d, struct failure *f) {
    int fd = open(d->host, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_errno(f, "cannot open %s", d->host);
    int tree = -1;
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(d->major, d->minor))
        fail(f, 503, "%s is not the device %u:%u", d->host, d->major, d->minor);
    else
        tree = clone_mount(fd, "", f);
    close(fd);
    return tree;
}

static int make_devices(const int trees[DEVICE_COUNT], struct failure *f) {
    for (int i = 0; i < DEVICE_COUNT; i++) {
        int fd = open(devices[i].name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return fail_errno(f, "cannot make %s", devices[i].name);
        close(fd);
        if (attach(trees[i], devices[i].name, f) < 0 ||
            make_node_read_only(devices[i].name, f) < 0)
            return -1;
    }
    return 0;
}

static int make_dev(struct failure *f) {
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"}, {"fd/0", "dev/stdin"},
        {"fd/1", "dev/stdout"},      {"fd/2", "dev/stderr"},
        {"pts/ptmx", "dev/ptmx"},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return fail_errno(f, "cannot make %s", links[i][1]);
    if (make_dir("dev/pts", 0755, f) < 0 || make_dir("dev/shm", 01777, f) < 0)
        return -1;
    return make_dir("dev/mqueue", 01777, f);
}

/* Read-only, with nothing of the host's network in it, and without what tells
 * about firmware or the kernel. */
static int make_sys(struct failure *f) {
    static const char *const hidden[] = {"sys/firmware", "sys/kernel",
                                         "sys/devices/virtual/powercap"};
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    if (mount("sysfs", "sys", "sysfs", flags, NULL) < 0) {
        if (errno == EPERM) /* a container's /sys is covered: then none */
            return 0;
        return fail_errno(f, "cannot mount a new /sys");
    }
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (mount("empty", hidden[i], NULL, MS_BIND, NULL) < 0 &&
            errno != ENOENT)
            return fail_errno(f, "cannot hide /%s", hidden[i]);
    return 0;
}

/* An empty tmpfs, attached at `path` and made the working directory. */
static int enter_tmpfs(const char *path, struct failure *f) {
    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "size", "1m", 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail_errno(f, "cannot make a tmpfs");
    int root = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
    close(fs);
    if (root < 0)
        return fail_errno(f, "cannot mount a tmpfs");
    if (move_mount(root, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail_errno(f, "cannot attach the stage at %s", path);
    if (fchdir(root) < 0)
        return fail_errno(f, "cannot enter the stage");
    close(root);
    return 0;
}

static int leave_host(struct failure *f) {
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return fail_errno(f, "pivot_root into the stage");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return fail_errno(f, "cannot let go of the host's mounts");
    return 0;
}

/* The whole file system, so that copies of its parts are. */
static int make_read_only(struct failure *f) {
    if (mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)
        return fail_errno(f, "cannot make the stage read-only");
    return 0;
}

/* A mount namespace of our own. The working directory follows into it, which a
 * descriptor does not. */
static int leave_mounts(int data_dir, unsigned long propagation,
                        struct failure *f) {
    if (fchdir(data_dir) < 0 || unshare(CLONE_NEWNS) < 0)
        return fail_errno(f, "cannot make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | propagation, NULL) < 0)
        return fail_errno(f, "cannot make mounts private");
    return 0;
}

static int make_dirs(const char *const names[], size_t count,
                     struct failure *f) {
    for (size_t i = 0; i < count; i++)
        if (make_dir(names[i], 0755, f) < 0)
            return -1;
    return 0;
}

/* Copies of these mounts, before the stage hides them ... */
static int clone_all(const char *const paths[], int trees[], size_t count,
                     struct failure *f) {
    for (size_t i = 0; i < count; i++)
        if ((trees[i] = clone_mount(AT_FDCWD, paths[i], f)) < 0)
            return -1;
    return 0;
}

/* ... and then in the stage, each by the end of its name. */
static int attach_all(const char *const paths[], const int trees[],
                      size_t count, struct failure *f) {
    for (size_t i = 0; i < count; i++)
        if (attach(trees[i], paths[i] + (paths[i][0] == '/'), f) < 0)
            return -1;
    return 0;
}

static int clone_devices(int trees[DEVICE_COUNT], struct failure *f) {
    for (int i = 0; i < DEVICE_COUNT; i++)
        if ((trees[i] = clone_device(&devices[i], f)) < 0)
            return -1;
    return 0;
}

enum { TREES_MAX = 3 };

int stage_build(int data_dir, struct failure *f) {
    static const char *const dirs[] = {"l",       "w",       "proc", "sys",
                                       "dev",     "empty",   "etc",  "new.proc",
                                       "new.sys", "new.dev", "new"};
    static const char *const mounts[] = {"l", "w", "/proc"};
    int trees[TREES_MAX], nodes[DEVICE_COUNT];
    if (leave_mounts(data_dir, MS_PRIVATE, f) < 0 ||
        clone_all(mounts, trees, 3, f) < 0 || clone_devices(nodes, f) < 0)
        return -1;
    /* Over the data directory, which we have no other use for. */
    if (enter_tmpfs(".", f) < 0 ||
        make_dirs(dirs, sizeof dirs / sizeof *dirs, f) < 0 ||
        attach_all(mounts, trees, 3, f) < 0)
        return -1;
    if (make_sys(f) < 0 || make_dev(f) < 0 || make_devices(nodes, f) < 0 ||
        leave_host(f) < 0)
        return -1;
    return make_read_only(f);
}

/* A machine with both versions of control groups is too much for some runtimes,
 * which are to make none anyhow: the second is hidden. */
static int hide_unified_groups(struct failure *f) {
    const char *path = "/sys/fs/cgroup/unified";
    if (mount("empty", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
        return fail_errno(f, "cannot hide %s", path);
    return 0;
}

/* A runtime takes the devices from where the host has them. */
static int cover_devices(struct failure *f) {
    int trees[DEVICE_COUNT];
    if (clone_devices(trees, f) < 0)
        return -1;
    for (int i = 0; i < DEVICE_COUNT; i++)
        if (attach(trees[i], devices[i].host, f) < 0 ||
            make_node_read_only(devices[i].host, f) < 0)
            return -1;
    return 0;
}

int stage_build_for_runtime(int data_dir, const char *path, struct failure *f) {
    static const char *const dirs[] = {"l",   "w",   "sys", "empty",
                                       "etc", "new", "run"};
    static const char *const mounts[] = {"l", "w"};
    int trees[TREES_MAX];
    /* What is unmounted on the host is here, too, and so not held busy. */
    if (leave_mounts(data_dir, MS_SLAVE, f) < 0 ||
        clone_all(mounts, trees, 2, f) < 0 || cover_devices(f) < 0 ||
        enter_tmpfs(path, f) < 0 ||
        make_dirs(dirs, sizeof dirs / sizeof *dirs, f) < 0 ||
        attach_all(mounts, trees, 2, f) < 0)
        return -1;
    if (make_sys(f) < 0 || hide_unified_groups(f) < 0)
        return -1;
    return make_read_only(f);
}
