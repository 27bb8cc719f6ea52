#define _GNU_SOURCE
#include "init/stage.h"

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

/* A detached copy of the mount at `path`; without the mounts below it, if the
 * kernel allows that. */
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

/* Keeps what the mount forbids already. */
static int restrict_mount(const char *path, unsigned long more,
                          struct failure *f) {
    static const struct {
        unsigned long seen, flag;
    } kept[] = {{ST_NOSUID, MS_NOSUID},    {ST_NODEV, MS_NODEV},
                {ST_NOEXEC, MS_NOEXEC},    {ST_RDONLY, MS_RDONLY},
                {ST_NOATIME, MS_NOATIME},  {ST_NODIRATIME, MS_NODIRATIME},
                {ST_RELATIME, MS_RELATIME}};
    unsigned long flags = MS_REMOUNT | MS_BIND | more;
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return fail_errno(f, "cannot look at the mount of %s", path);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        flags |= fs.f_flag & kept[i].seen ? kept[i].flag : 0;
    if (mount(NULL, path, NULL, flags, NULL) < 0)
        return fail_errno(f, "cannot restrict the mount of %s", path);
    return 0;
}

/* So that the owner of the host's node cannot change its mode, owner or times
 * from a sandbox. Writing to the device needs no writable mount. */
static int make_node_read_only(const char *path, struct failure *f) {
    return restrict_mount(path, MS_RDONLY, f);
}

/* Sandboxes get volumes as copies of this mount, which cannot have more rights.
 */
static int restrict_volumes(struct failure *f) {
    return restrict_mount("v", MS_NOSUID | MS_NODEV, f);
}

/* A copy of the host's device, if it is the device that its name says. */
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

/* Read-only, without the host's network, and without the directories that
 * describe firmware or the kernel. */
static int make_sys(struct failure *f) {
    static const char *const hidden[] = {"sys/firmware", "sys/kernel",
                                         "sys/devices/virtual/powercap"};
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    if (mount("sysfs", "sys", "sysfs", flags, NULL) < 0) {
        if (errno == EPERM) /* in a container /sys is covered: go without */
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
        return fail_errno(f, "cannot unmount the host's mounts");
    return 0;
}

/* The whole file system, so that copies of its parts are read-only, too. */
static int make_read_only(struct failure *f) {
    if (mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)
        return fail_errno(f, "cannot make the stage read-only");
    return 0;
}

/* Enter a mount namespace of our own by the working directory, which follows
 * into it; a descriptor does not. */
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

/* Copies these mounts, before the stage hides them. */
static int clone_all(const char *const paths[], int trees[], size_t count,
                     struct failure *f) {
    for (size_t i = 0; i < count; i++)
        if ((trees[i] = clone_mount(AT_FDCWD, paths[i], f)) < 0)
            return -1;
    return 0;
}

/* Attaches the copies in the stage, each at its path without the slash. */
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

enum { TREES_MAX = 4 };

int stage_build(int data_dir, struct failure *f) {
    static const char *const dirs[] = {"l",        "w",       "v",       "proc",
                                       "sys",      "dev",     "empty",   "etc",
                                       "new.proc", "new.sys", "new.dev", "new"};
    static const char *const mounts[] = {"l", "w", "v", "/proc"};
    int trees[TREES_MAX], nodes[DEVICE_COUNT];
    if (leave_mounts(data_dir, MS_PRIVATE, f) < 0 ||
        clone_all(mounts, trees, 4, f) < 0 || clone_devices(nodes, f) < 0)
        return -1;
    /* Over the data directory, which is not needed any more. */
    if (enter_tmpfs(".", f) < 0 ||
        make_dirs(dirs, sizeof dirs / sizeof *dirs, f) < 0 ||
        attach_all(mounts, trees, 4, f) < 0)
        return -1;
    if (restrict_volumes(f) < 0 || make_sys(f) < 0 || make_dev(f) < 0 ||
        make_devices(nodes, f) < 0 || leave_host(f) < 0)
        return -1;
    return make_read_only(f);
}

/* Hide version 2 where a machine has both versions of control groups: some
 * runtimes cannot cope with both, and they must make no groups anyhow. */
static int hide_unified_groups(struct failure *f) {
    const char *path = "/sys/fs/cgroup/unified";
    if (mount("empty", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
        return fail_errno(f, "cannot hide %s", path);
    return 0;
}

/* A runtime takes the devices from the host's paths. */
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
    static const char *const dirs[] = {"l",     "w",   "v",   "sys",
                                       "empty", "etc", "new", "run"};
    static const char *const mounts[] = {"l", "w", "v"};
    int trees[TREES_MAX];
    /* MS_SLAVE: what the host unmounts is unmounted here, too, not kept busy.
     */
    if (leave_mounts(data_dir, MS_SLAVE, f) < 0 ||
        clone_all(mounts, trees, 3, f) < 0 || cover_devices(f) < 0 ||
        enter_tmpfs(path, f) < 0 ||
        make_dirs(dirs, sizeof dirs / sizeof *dirs, f) < 0 ||
        attach_all(mounts, trees, 3, f) < 0)
        return -1;
    if (restrict_volumes(f) < 0 || make_sys(f) < 0 ||
        hide_unified_groups(f) < 0)
        return -1;
    return make_read_only(f);
}
