#define _GNU_SOURCE
#include "init/cell.h"
#include "init/etc.h"
#include "init/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BIT(capability) 1U << capability |
enum { CAPABILITY_BITS = CAPABILITIES(BIT) 0 };

enum { DEFAULT_PROCESSES = 4096, OPEN_FILES_SOFT = 1024, OPEN_FILES = 524288 };

static int become_root(const struct cell_limits *limits, struct failure *f) {
    /* With one id the kernel forbids it: the engine's groups stay. They show as
     * "nobody" and own no file that the sandbox sees. */
    if (!limits->one_id && setgroups(0, NULL) < 0)
        return fail_errno(f, "cannot drop supplementary groups");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return fail_errno(f, "cannot become root of the sandbox");
    return 0;
}

/* Hide `name` in the new /proc, if it exists, behind an empty file or
 * directory.
 */
static int hide(const char *name, const char *behind, struct failure *f) {
    char path[64];
    snprintf(path, sizeof path, "/new.proc/%s", name);
    if (mount(behind, path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
        return fail_errno(f, "cannot hide /proc/%s", name);
    return 0;
}

static int make_read_only(const char *name, struct failure *f) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    char path[64];
    snprintf(path, sizeof path, "/new.proc/%s", name);
    if (mount(path, path, NULL, MS_BIND, NULL) < 0) {
        if (errno == ENOENT)
            return 0;
        return fail_errno(f, "cannot bind /proc/%s", name);
    }
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
        return fail_errno(f, "cannot make /proc/%s read-only", name);
    return 0;
}

static void set_in_proc(const char *proc, const char *name, long value) {
    char path[64], line[32];
    snprintf(path, sizeof path, "%s/sys/%s", proc, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    int length = snprintf(line, sizeof line, "%ld", value);
    if (write(fd, line, length) < 0)
        errno = 0; /* an older kernel: the other limits must suffice */
    close(fd);
}

/* Limit the processes and threads of this pid namespace, on kernels that can
 * (6.14); RLIMIT_NPROC, set later, limits each user id. Where only one id is
 * mapped, also limit what the kernel counts for a user; where many are, the
 * namespace's owner has limits (see sandbox/quota.h). */
static void limit_namespaces(const char *proc,
                             const struct cell_limits *limits) {
    static const char *const names[] = {COUNTED_FOR_USERS};
    set_in_proc(proc, "kernel/pid_max", DEFAULT_PROCESSES + 300);
    for (int i = 0; i < COUNTED; i++) {
        char name[64];
        snprintf(name, sizeof name, "user/%s", names[i]);
        if (limits->counted[i] > 0)
            set_in_proc(proc, name, limits->counted[i]);
    }
}

static int mount_proc(const char *path, const struct cell_limits *limits,
                      struct failure *f) {
    if (mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return fail_errno(f, "cannot mount a new /proc (is the engine in a "
                             "container that masks /proc?)");
    limit_namespaces(path, limits);
    return 0;
}

/* On some kernels a process can lower its own oom_score_adj, which makes it the
 * first to be killed (see sandbox/launcher.c): there all of /proc is read-only.
 */
static int close_proc(const struct cell_limits *limits, struct failure *f) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    if (limits->fixed_proc &&
        mount(NULL, "/new.proc", NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
        return fail_errno(f, "cannot make /proc read-only");
    return 0;
}

static int make_proc(const struct cell_limits *limits, struct failure *f) {
    static const char *const files[] = {PROC_HIDDEN_FILES};
    static const char *const dirs[] = {PROC_HIDDEN_DIRS};
    static const char *const fixed[] = {PROC_READ_ONLY};
    if (mount_proc("/new.proc", limits, f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (hide(files[i], "/dev/null", f) < 0)
            return -1;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (hide(dirs[i], "/empty", f) < 0)
            return -1;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (make_read_only(fixed[i], f) < 0)
            return -1;
    return close_proc(limits, f);
}

/* Mount a copy of the stage's template `path` at `to`. */
static int copy_template(const char *path, const char *to, struct failure *f) {
    int tree = open_tree(AT_FDCWD, path,
                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 ||
        move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail_errno(f, "cannot make %s", path);
    close(tree);
    return 0;
}

/* Resized when the order to enter a root says how large it is. */
#define SHM "/new.dev/shm"
#define SHM_OPTIONS "mode=1777,size=" SHM_SIZE ",nr_inodes=16k"

static int resize_shm(int64_t bytes, struct failure *f) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char options[64];
    if (bytes == 0)
        return 0;
    snprintf(options, sizeof options, "size=%" PRId64, bytes);
    if (mount(NULL, SHM, NULL, MS_REMOUNT | flags, options) < 0)
        return fail_errno(f, "cannot make /dev/shm %" PRId64 " bytes large",
                          bytes);
    return 0;
}

static int make_dev(const struct cell_limits *limits, struct failure *f) {
    if (copy_template("/dev", "/new.dev", f) < 0)
        return -1;
    const char *options = limits->one_id ? "newinstance," TERMINALS_OPTIONS
                                         : "newinstance," TERMINALS_OPTIONS
                                           ",gid=5";
    if (mount("devpts", "/new.dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              options) < 0)
        return fail_errno(f, "cannot mount /dev/pts");
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("shm", SHM, "tmpfs", flags, SHM_OPTIONS) < 0)
        return fail_errno(f, "cannot mount /dev/shm");
    if (mount("mqueue", "/new.dev/mqueue", "mqueue", flags, NULL) < 0 &&
        errno != ENODEV)
        return fail_errno(f, "cannot mount /dev/mqueue");
    return 0;
}

/* Drop the capabilities that no program in the sandbox may ever get. */
static int bound_capabilities(struct failure *f) {
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if ((cap >= 32 || !(CAPABILITY_BITS & 1U << cap)) &&
            prctl(PR_CAPBSET_DROP, cap) < 0)
            return fail_errno(f, "cannot drop capability %d", cap);
    return 0;
}

int cell_settle(struct failure *f) {
    if (bound_capabilities(f) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_errno(f, "PR_SET_NO_NEW_PRIVS");
    umask(022);
    return 0;
}

/* A new /proc, which shows the process ids of this namespace, and a directory
 * for the runtime alone. */
static int prepare_for_runtime(const struct cell_limits *limits,
                               struct failure *f) {
    if (mount_proc("/proc", limits, f) < 0)
        return -1;
    if (mount("run", "run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=700,size=4m") < 0)
        return fail_errno(f, "cannot mount a tmpfs for the runtime");
    return 0;
}

int cell_prepare(const struct cell_limits *limits, struct failure *f) {
    if (become_root(limits, f) < 0 || etc_prepare(f) < 0)
        return -1;
    if (limits->runtime)
        return prepare_for_runtime(limits, f);
    if (make_proc(limits, f) < 0 || copy_template("/sys", "/new.sys", f) < 0 ||
        make_dev(limits, f) < 0)
        return -1;
    return cell_settle(f);
}

/* mount(2) takes a page of options. */
static int options_for_mount(const struct root_spec *root, char *options,
                             size_t size, const char *extra) {
    size_t used =
        snprintf(options, size, "%supperdir=%s,workdir=%s,lowerdir=", extra,
                 root->upper, root->work);
    for (unsigned i = 0; i < root->lower_count && used < size; i++)
        used += snprintf(options + used, size - used, "%s%s", i ? ":" : "",
                         root->lowers[i]);
    return used < size ? 0 : -1;
}

/* Adds the layers one by one, which Linux can since 6.5. */
static int mount_long_chain(const struct root_spec *root, struct failure *f) {
    int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0)
        return fail_errno(f, "cannot make an overlay");
    int rc = 0;
    for (unsigned i = 0; i < root->lower_count && rc == 0; i++)
        rc = fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", root->lowers[i], 0);
    if (rc < 0) {
        close(fs);
        return fail(f, 422,
                    "the image has %u layers: more than this kernel can "
                    "mount (Linux 6.5 can)",
                    root->lower_count);
    }
    int mounted = -1;
    if (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", root->upper, 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "workdir", root->work, 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mounted =
            fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
    if (mounted < 0 ||
        move_mount(mounted, "", AT_FDCWD, "new", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        rc = fail_errno(f, "cannot mount the image's %u layers",
                        root->lower_count);
    close(mounted);
    close(fs);
    return rc;
}

static int explain_mount(struct failure *f) {
    if (errno == EPERM)
        return fail(
            f, 503,
            "this kernel cannot mount an overlay in a user namespace. Fix: "
            "Linux 5.11 or newer");
    if (errno == ENODEV)
        return fail(f, 503,
                    "this kernel does not support overlays. Fix: sudo modprobe "
                    "overlay, or reboot if the kernel was just upgraded");
    if (errno == EINVAL)
        return fail(f, 503,
                    "the image cannot be mounted as overlay. Fix: Linux 5.11 "
                    "or newer, and a data directory on ext4, XFS or Btrfs");
    return fail_errno(f, "cannot mount the image as overlay");
}

static int mount_root(const struct root_spec *root, struct failure *f) {
    const unsigned long flags = MS_NODEV | MS_NOSUID;
    char options[4096];
    if (options_for_mount(root, options, sizeof options,
                          "userxattr,volatile,") < 0)
        return mount_long_chain(root, f);
    if (mount("overlay", "new", "overlay", flags, options) == 0)
        return 0;
    /* Linux before 5.10 does not know volatile. */
    if (errno == EINVAL &&
        options_for_mount(root, options, sizeof options, "userxattr,") == 0 &&
        mount("overlay", "new", "overlay", flags, options) == 0)
        return 0;
    return explain_mount(f);
}

/* Opens the directory `name` of the new root, to mount over it. The image
 * controls it, so only a real directory will do. */
static int open_mount_point(int root, const char *name, struct failure *f) {
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_XDEV};
    int target = syscall(SYS_openat2, root, name, &how, sizeof how);
    if (target < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fail(f, 422, "the image's /%s is not a directory", name);
    if (target < 0)
        return fail_errno(f, "cannot open the image's /%s", name);
    return target;
}

static int place(const char *from, int root, const char *name,
                 struct failure *f) {
    int target = open_mount_point(root, name, f);
    if (target < 0)
        return -1;
    int rc = move_mount(AT_FDCWD, from, target, "", MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        fail_errno(f, "cannot mount /%s", name);
    close(target);
    return rc;
}

static int open_root(struct failure *f) {
    int root = open("new", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? fail_errno(f, "cannot open the new root") : root;
}

static int change_root(const struct root_spec *spec, struct failure *f) {
    int root = open_root(f), rc = -1;
    if (root < 0)
        return -1;
    if (etc_place(root, spec, f) == 0 &&
        place("/new.proc", root, "proc", f) == 0 &&
        place("/new.sys", root, "sys", f) == 0 &&
        place("/new.dev", root, "dev", f) == 0 &&
        mounts_place(spec->mounts, root, f) == 0)
        rc = fchdir(root) == 0 ? 0 : fail_errno(f, "cannot enter the root");
    close(root);
    if (rc < 0)
        return -1;
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return fail_errno(f, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return fail_errno(f, "cannot unmount the old root");
    return 0;
}

static int set_limit(int resource, rlim_t soft, rlim_t hard,
                     struct failure *f) {
    struct rlimit current;
    if (getrlimit(resource, &current) < 0)
        return fail_errno(f, "getrlimit %d", resource);
    if (hard > current.rlim_max)
        hard = current.rlim_max;
    struct rlimit wanted = {soft < hard ? soft : hard, hard};
    if (setrlimit(resource, &wanted) < 0)
        return fail_errno(f, "cannot set resource limit %d", resource);
    return 0;
}

static int set_limits(const struct root_spec *root, struct failure *f) {
    rlim_t processes = root->max_processes > 0 ? (rlim_t)root->max_processes
                                               : DEFAULT_PROCESSES;
    rlim_t bytes =
        root->max_file_bytes > 0 ? (rlim_t)root->max_file_bytes : RLIM_INFINITY;
    /* One byte, because with 0 the kernel would still start the host's handler
     * of core dumps. The filter keeps processes from changing it. */
    if (set_limit(RLIMIT_CORE, 1, 1, f) < 0 ||
        set_limit(RLIMIT_NPROC, processes, processes, f) < 0 ||
        set_limit(RLIMIT_FSIZE, bytes, bytes, f) < 0)
        return -1;
    return set_limit(RLIMIT_NOFILE, OPEN_FILES_SOFT, OPEN_FILES, f);
}

static int drop_capabilities(struct failure *f) {
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = CAPABILITY_BITS, .permitted = CAPABILITY_BITS}};
    if (syscall(SYS_capset, &header, data) < 0)
        return fail_errno(f, "cannot drop capabilities");
    return 0;
}

int cell_load_filter(struct cell_limits *limits, int fd, struct failure *f) {
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size == 0)
        return fail_errno(f, "no system call filter");
    void *map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return fail_errno(f, "cannot read the system call filter");
    limits->filter = map;
    limits->filter_length = st.st_size / sizeof(struct sock_filter);
    return 0;
}

/* A call that the listener has heard of cannot be interrupted any more by a
 * signal that does not kill (Linux 5.19): else a program with a fast timer
 * would make the same call for ever. */
static int filter_and_listen(struct sock_fprog *program) {
    const unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    return fd;
}

static int filter_system_calls(const struct cell_limits *limits, int *listener,
                               struct failure *f) {
    struct sock_fprog program = {
        .len = limits->filter_length,
        .filter = (struct sock_filter *)limits->filter,
    };
    *listener = -1;
    if (limits->traced && (*listener = filter_and_listen(&program)) < 0)
        return fail_errno(f, "cannot trace system calls");
    if (!limits->traced &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return fail_errno(f, "cannot filter system calls");
    return 0;
}

/* slirp4netns says that it is ready a moment before it sets the address and,
 * last, the default route. The airlock's interface is eth0. */
static int wait_for_route(struct failure *f) {
    enum { ATTEMPTS = 5000 };
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < ATTEMPTS; i++) {
        char text[2048];
        int fd = open("/proc/self/net/route", O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        text[got > 0 ? got : 0] = '\0';
        if (strstr(text, "tap0\t00000000\t") ||
            strstr(text, "eth0\t00000000\t"))
            return 0;
        nanosleep(&pause, NULL);
    }
    return fail(f, 503, "the network did not come up within 5 seconds");
}

/* Refuse an image that has links where mounts go: such images have misled
 * runtimes. */
static int check_mount_points(int root, struct failure *f) {
    static const char *const names[] = {"proc", "sys", "dev"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int target = open_mount_point(root, names[i], f);
        if (target < 0)
            return -1;
        close(target);
    }
    return 0;
}

int cell_mount(const struct root_spec *spec, struct failure *f) {
    if (mount_root(spec, f) < 0)
        return -1;
    int root = open_root(f);
    if (root < 0)
        return -1;
    int rc = check_mount_points(root, f);
    if (rc == 0)
        rc = etc_place(root, spec, f);
    if (rc == 0)
        rc = mounts_place(spec->mounts, root, f);
    close(root);
    return rc < 0 || !spec->connected ? rc : wait_for_route(f);
}

int cell_confine(const struct cell_limits *limits, const struct root_spec *root,
                 int *listener, struct failure *f) {
    if (set_limits(root, f) < 0 || drop_capabilities(f) < 0)
        return -1;
    return filter_system_calls(limits, listener, f);
}

int cell_enter(const struct cell_limits *limits, const struct root_spec *root,
               int *listener, struct failure *f) {
    if (mount_root(root, f) < 0 || resize_shm(root->shm_bytes, f) < 0 ||
        change_root(root, f) < 0)
        return -1;
    if (sethostname(root->hostname, strlen(root->hostname)) < 0)
        return fail_errno(f, "cannot set the host name");
    if (root->connected && wait_for_route(f) < 0)
        return -1;
    if (cell_confine(limits, root, listener, f) < 0)
        return -1;
    /* Last, because every change of credentials resets them (the second one on
     * machines with fs.suid_dumpable = 1). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return fail_errno(f, "PR_SET_PDEATHSIG");
    return 0;
}
