#define _GNU_SOURCE
#include "init/inside.h"
#include "init/cell.h"
#include "init/groups.h"
#include "init/handoff.h"
#include "init/pid1.h"
#include "init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

static int missing(struct failure *f, const char *wall, const char *name) {
    return fail(f, 503,
                "the runtime did not build a wall that it was told to: %s %s",
                wall, name);
}

static int check_namespaces(const struct handoff *h, struct failure *f) {
    uint64_t ours[HANDOFF_NAMESPACES];
    if (handoff_namespaces(ours, f) < 0)
        return -1;
    for (int k = 0; k < HANDOFF_NAMESPACES; k++)
        if (ours[k] == h->namespaces[k])
            return missing(f, "namespace", handoff_namespace_names[k]);
    return getpid() == 1 ? 0 : missing(f, "process id", "1");
}

static bool is_of_type(const char *path, long type) {
    struct statfs s;
    return statfs(path, &s) == 0 && s.f_type == type;
}

static bool is_read_only(const char *path) {
    struct statvfs s;
    return statvfs(path, &s) == 0 && s.f_flag & ST_RDONLY;
}

/* The root must be the image's and not the host's, and /proc a real one. */
static int check_root(struct failure *f) {
    if (!is_of_type("/", OVERLAYFS_SUPER_MAGIC))
        return missing(f, "root", "/");
    if (!is_of_type("/proc", PROC_SUPER_MAGIC))
        return missing(f, "mount", "/proc");
    if (!is_of_type("/dev", TMPFS_MAGIC) || !is_read_only("/dev"))
        return missing(f, "mount", "/dev");
    return is_read_only("/sys") ? 0 : missing(f, "mount", "/sys");
}

/* A hidden file is /dev/null, a hidden directory a read-only one of another
 * file system. */
static bool is_hidden(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT;
    return S_ISCHR(st.st_mode) ||
           (is_read_only(path) && !is_of_type(path, PROC_SUPER_MAGIC));
}

static int check_proc(const struct handoff *h, struct failure *f) {
    static const char *const hidden[] = {PROC_HIDDEN_FILES, PROC_HIDDEN_DIRS};
    static const char *const fixed[] = {PROC_READ_ONLY};
    char path[64];
    if (h->fixed_proc && !is_read_only("/proc"))
        return missing(f, "read-only mount", "/proc");
    for (size_t k = 0; k < sizeof hidden / sizeof *hidden; k++) {
        snprintf(path, sizeof path, "/proc/%s", hidden[k]);
        if (!is_hidden(path))
            return missing(f, "cover of", path);
    }
    for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++) {
        snprintf(path, sizeof path, "/proc/%s", fixed[k]);
        if (!is_read_only(path) && access(path, F_OK) == 0)
            return missing(f, "cover of", path);
    }
    return 0;
}

/* Does the sandbox have something of its own there, whatever is asked for? */
static bool is_own(const char *path) {
    static const char *const own[] = {"/proc/", "/sys/", "/dev/"};
    static const char *const files[] = {"/etc/hosts", "/etc/hostname",
                                        "/etc/resolv.conf"};
    char below[PATH_MAX + 2];
    snprintf(below, sizeof below, "%s/", path);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(below, own[i], strlen(own[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(path, files[i]) == 0)
            return true;
    return strcmp(path, "/") == 0;
}

/* The cell mounted them in the root. A runtime that takes the root without what
 * is mounted in it would have the run write into its image. */
static int check_mounts(const struct handoff *h, struct failure *f) {
    FILE *table = setmntent("/proc/self/mounts", "re");
    struct mntent *entry;
    uint32_t found = 0;
    while (table && (entry = getmntent(table)))
        found += !is_own(entry->mnt_dir);
    if (table)
        endmntent(table);
    return found >= h->mounts ? 0 : missing(f, "mounts of", "the request");
}

static int join(const struct handoff *h, struct failure *f) {
    int group_fds[ORDER_FDS_MAX];
    for (unsigned k = 0; k < h->group_count && k < ORDER_FDS_MAX; k++)
        group_fds[k] = INSIDE_GROUPS + (int)k;
    return groups_join(group_fds, h->group_count, f);
}

static int build_walls(const struct handoff *h, int *listener,
                       struct failure *f) {
    const struct cell_limits limits = {.filter = h->filter,
                                       .filter_length = h->filter_length,
                                       .traced = h->traced};
    const struct root_spec root = {.max_file_bytes = h->max_file_bytes,
                                   .max_processes = h->max_processes};
    /* No process may look into this one, not even root. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return fail_errno(f, "PR_SET_DUMPABLE");
    prctl(PR_SET_NAME, "contree-init"); /* else it is that of a descriptor */
    signal(SIGPIPE, SIG_IGN);
    if (check_namespaces(h, f) < 0 || check_root(f) < 0 ||
        check_proc(h, f) < 0 || check_mounts(h, f) < 0 || join(h, f) < 0)
        return -1;
    if (close_range(INSIDE_CONTROL + 1, ~0U, 0) < 0)
        return fail_errno(f, "cannot close descriptors");
    if (cell_settle(f) < 0)
        return -1;
    return cell_confine(&limits, &root, listener, f);
}

int inside_main(void) {
    struct handoff *h = handoff_take();
    struct failure f = {0};
    int listener = -1;
    if (!h || fcntl(INSIDE_CONTROL, F_SETFD, FD_CLOEXEC) < 0)
        return 2;
    h->begun = 1;
    if (build_walls(h, &listener, &f) < 0)
        report_fault(INSIDE_CONTROL, &f);
    report_trace(INSIDE_CONTROL, listener);
    pid1_main(INSIDE_CONTROL, NULL);
}
