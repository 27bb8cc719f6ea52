#define _GNU_SOURCE
#include "sandbox/cgroup.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/scope.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    TEXT_MAX = 65536, /* of a file in /proc */
    NAME_SIZE = 80,
    CPU_PERIOD = 100000, /* microseconds */
    CLOSE_ATTEMPTS = 200,
    CLOSE_PAUSE_MS = 5,
    MOVE_ATTEMPTS = 20,
    TAKE_ATTEMPTS = 20,
};

/* Memory counts swap, and pids counts threads, but not init. The most memory is
 * the largest count that JSON numbers carry exactly. The most pids are those of
 * every sandbox, see sandbox.h. */
const struct limit limit_table[CGROUP_KINDS] = {
    [CGROUP_MEMORY] = {"memory_bytes", "memory", "memory",
                       "4M or more, such as 512M or 2G", 4 << 20, 0x1p53,
                       .whole = true, .bytes = true},
    [CGROUP_PIDS] = {"pids", "pids", "pids", "a number from 1 to 4096", 1, 4096,
                     .whole = true},
    [CGROUP_CPU] = {"cpus", "cpus", "cpu", "a number such as 0.5 or 2", 0.01,
                    4096},
};

/* A controller, and the directory in which its groups are made. */
struct controller {
    int fd; /* -1: no such controller here */
    bool unified;
};

/* A group that was still busy when it was to be removed. */
struct remnant {
    struct remnant *next;
    int parent; /* fd of a controller */
    char name[NAME_SIZE];
};

struct cgroups {
    struct controller places[CGROUP_KINDS];
    bool off[CGROUP_KINDS]; /* switched off when the machine was booted */
    bool read_only;         /* no hierarchy can be written to */
    char prefix[NAME_SIZE / 2];
    uint64_t next;
    struct remnant *remnants;
    char nice[16]; /* of the groups that are made */
};

struct cgroup {
    struct cgroups *all;
    char name[NAME_SIZE];
    int dirs[CGROUP_KINDS];         /* -1: no limit of this kind */
    int memory_events, pids_events; /* files with counters */
    int oom;                        /* version 1: an eventfd */
    bool out_of_memory;
};

/* ---- finding controllers ---- */

/* Is `word` in a list whose separators are the characters of `by`? */
static bool has_word(const char *list, const char *by, const char *word) {
    size_t length = strlen(word);
    while (*list) {
        size_t n = strcspn(list, by);
        if (n == length && memcmp(list, word, n) == 0)
            return true;
        list += n + (list[n] != '\0');
    }
    return false;
}

/* Reads the path of our own group in the hierarchy of a controller (NULL:
 * version 2) from the text of /proc/self/cgroup. */
static bool own_path(const char *text, const char *controller, char *out,
                     size_t size) {
    for (const char *line = text; line && *line; line = next_line(line)) {
        char list[256], path[3072];
        if (sscanf(line, "%*d:%255[^:\n]:%3071[^\n]", list, path) != 2) {
            *list = '\0';
            if (sscanf(line, "0::%3071[^\n]", path) != 1)
                continue;
        }
        if (controller ? has_word(list, ",", controller) : !*list)
            return snprintf(out, size, "%s", path) < (int)size;
    }
    return false;
}

struct mount {
    char root[3072], point[1024], type[32], options[1024];
};

static bool read_mount(const char *line, struct mount *m) {
    char rest[4096];
    if (sscanf(line, "%*s %*s %*s %3071s %1023s %4095[^\n]", m->root, m->point,
               rest) != 3)
        return false;
    const char *dash = strstr(rest, " - ");
    return dash && sscanf(dash, " - %31s %*s %1023s", m->type, m->options) == 2;
}

static bool is_of(const struct mount *m, const char *controller) {
    if (!controller)
        return strcmp(m->type, "cgroup2") == 0;
    return strcmp(m->type, "cgroup") == 0 &&
           has_word(m->options, ",", controller);
}

/* Our own group's directory. In a container the mount may show only what is
 * below its root. */
static void own_directory(const struct mount *m, const char *path, char *out,
                          size_t size) {
    size_t root = strlen(m->root);
    if (strcmp(m->root, "/") != 0 && strncmp(path, m->root, root) == 0 &&
        (path[root] == '/' || path[root] == '\0'))
        path += root;
    snprintf(out, size, "%s%s", m->point, strcmp(path, "/") == 0 ? "" : path);
    if (access(out, F_OK) < 0)
        snprintf(out, size, "%s", m->point);
}

/* The text of mountinfo and cgroup. */
struct proc_files {
    char *mounts, *cgroups;
};

/* Finds the directory of our own group in the hierarchy of a controller (NULL:
 * version 2), and the length of the mount point in it. */
static bool find_directory(const struct proc_files *m, const char *controller,
                           char *out, size_t size, size_t *mount_length) {
    char path[3072];
    struct mount mount;
    if (!own_path(m->cgroups, controller, path, sizeof path))
        return false;
    for (const char *line = m->mounts; line && *line; line = next_line(line)) {
        if (!read_mount(line, &mount) || !is_of(&mount, controller))
            continue;
        own_directory(&mount, path, out, size);
        *mount_length = strlen(mount.point);
        return true;
    }
    return false;
}

/* Opens a directory in which the engine may make groups; else -1. */
static int open_place(const char *path, const char *file) {
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ||
        faccessat(fd, file, W_OK, AT_EACCESS) < 0)
        return -1;
    return steal_fd(&fd);
}

static void find_version1(struct cgroups *c, const struct proc_files *m) {
    char path[4096];
    size_t length;
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (find_directory(m, limit_table[k].controller, path, sizeof path,
                           &length))
            c->places[k].fd = open_place(path, "tasks");
}

static bool are_alone(int dir) {
    char *text CLEANUP(cleanup_free) = cgroup_read_text(dir, "cgroup.procs");
    char *end;
    return text && strtol(text, &end, 10) == (long)getpid() &&
           strcmp(end, "\n") == 0;
}

/* May the engine manage the group and those below it? systemd marks such
 * groups; in a container it is the topmost group that is visible. */
static bool is_delegated(int dir, bool topmost) {
    char mark = '0';
    return topmost || are_alone(dir) ||
           (fgetxattr(dir, "user.delegate", &mark, 1) == 1 && mark == '1') ||
           (fgetxattr(dir, "trusted.delegate", &mark, 1) == 1 && mark == '1');
}

/* Moves all processes of the group to its leaf: the engine and, say, the script
 * that started it. Tries again, as a process may fork meanwhile. */
static void move_to_leaf(int dir) {
    for (int i = 0; i < MOVE_ATTEMPTS; i++) {
        char *text CLEANUP(cleanup_free) =
            cgroup_read_text(dir, "cgroup.procs");
        char *rest = text, *pid;
        if (!text || !*text)
            return;
        while ((pid = strsep(&rest, "\n")))
            if (*pid)
                cgroup_write_text(dir, "contree-engine/cgroup.procs", pid);
    }
}

static void enable_controllers(int dir, const char *there_are) {
    for (int k = 0; k < CGROUP_KINDS; k++) {
        char order[16];
        snprintf(order, sizeof order, "+%s", limit_table[k].controller);
        if (has_word(there_are, " \n", limit_table[k].controller) &&
            cgroup_write_text(dir, "cgroup.subtree_control", order) < 0)
            log_line("no %s limits in the engine's control group: %s",
                     limit_table[k].controller, strerror(errno));
    }
}

/* Enables the controllers of our own group for groups below it, if it is
 * delegated to us. Any group but the root must have no processes then. */
static void prepare_own(int dir, bool topmost) {
    char *text CLEANUP(cleanup_free) =
        cgroup_read_text(dir, "cgroup.controllers");
    bool root = faccessat(dir, "cgroup.type", F_OK, 0) < 0;
    if (!text || !*text || (!root && !is_delegated(dir, topmost)))
        return;
    if (!root) {
        if (mkdirat(dir, "contree-engine", 0755) < 0 && errno != EEXIST)
            return;
        move_to_leaf(dir);
    }
    enable_controllers(dir, text);
}

/* Uses the controllers of groups in `dir` that were not found elsewhere; false
 * if there are none. */
static bool use_unified(struct cgroups *c, int dir) {
    char *text CLEANUP(cleanup_free) =
        cgroup_read_text(dir, "cgroup.subtree_control");
    bool useful = false;
    for (int k = 0; text && k < CGROUP_KINDS; k++) {
        if (c->places[k].fd >= 0 ||
            !has_word(text, " \n", limit_table[k].controller))
            continue;
        c->places[k].fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
        c->places[k].unified = true;
        useful = true;
    }
    return useful;
}

/* Uses our own group, or the nearest above it that has enabled controllers. */
static void find_version2(struct cgroups *c, const struct proc_files *m) {
    char path[4096];
    size_t top;
    if (!find_directory(m, NULL, path, sizeof path, &top))
        return;
    for (bool own = true;; own = false) {
        int dir CLEANUP(cleanup_close) = open_place(path, "cgroup.procs");
        if (dir >= 0 && own)
            prepare_own(dir, strlen(path) == top);
        if (dir >= 0 && use_unified(c, dir))
            return;
        char *slash = strrchr(path, '/');
        if (!slash || slash < path + top)
            return;
        *slash = '\0';
    }
}

/* Reads /proc/cgroups: lines of "name hierarchy groups enabled". */
static void find_switched_off(struct cgroups *c, const char *text) {
    for (const char *line = text; line && *line; line = next_line(line)) {
        char name[32];
        int enabled;
        if (sscanf(line, "%31s %*d %*d %d", name, &enabled) != 2 || enabled)
            continue;
        for (int k = 0; k < CGROUP_KINDS; k++)
            if (strcmp(name, limit_table[k].controller) == 0)
                c->off[k] = true;
    }
}

static bool is_read_only(const struct proc_files *m) {
    char path[4096];
    size_t top;
    struct statvfs fs;
    return find_directory(m, NULL, path, sizeof path, &top) &&
           statvfs(path, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

struct cgroups *cgroups_open(const char *proc, int dir_fd) {
    struct cgroups *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    for (int k = 0; k < CGROUP_KINDS; k++)
        c->places[k].fd = -1;
    struct stat st = {0};
    fstat(dir_fd, &st);
    snprintf(c->prefix, sizeof c->prefix, "contree-%llx.%llx-",
             (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    c->next = (uint64_t)wall_microseconds();
    int dir CLEANUP(cleanup_close) =
        open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct proc_files m = {cgroup_read_text(dir, "mountinfo"),
                           cgroup_read_text(dir, "cgroup")};
    if (m.mounts && m.cgroups) {
        find_version1(c, &m);
        find_version2(c, &m);
        c->read_only = is_read_only(&m);
    }
    char *table CLEANUP(cleanup_free) = cgroup_read_text(dir, "../cgroups");
    find_switched_off(c, table);
    free(m.mounts);
    free(m.cgroups);
    return c;
}

bool cgroups_have(const struct cgroups *c, int kind) {
    return c->places[kind].fd >= 0;
}

const char *cgroups_fix(const struct cgroups *c, int kind) {
    if (c->off[kind])
        return "boot Linux without cgroup_disable=memory; a Raspberry Pi: with "
               "cgroup_enable=memory, in cmdline.txt";
    if (c->read_only)
        return "make /sys/fs/cgroup writable: sudo mount -o remount,rw "
               "/sys/fs/cgroup, or for a container docker run --privileged";
    if (access("/run/systemd/system", F_OK) < 0)
        return "run the engine as root (there is no systemd here that could "
               "give a user control groups), and if /sys/fs/cgroup is empty: "
               "mount -t cgroup2 none /sys/fs/cgroup";
    return "start the engine by systemd-run --user --scope -p Delegate=yes "
           "contree-engine serve (as root without --user)";
}

bool limits_any(const struct limits *l) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (l->of[k] > 0)
            return true;
    return false;
}

bool limits_equal(const struct limits *a, const struct limits *b) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (a->of[k] != b->of[k])
            return false;
    return true;
}

void limits_default(struct limits *l, const struct limits *defaults) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (l->of[k] == 0)
            l->of[k] = defaults->of[k];
}

int cgroups_check(const struct cgroups *c, const struct limits *limits,
                  struct fault *f) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (limits->of[k] > 0 && !cgroups_have(c, k))
            return fault_set(f, 422,
                             "a limit on %s cannot be kept here: the engine "
                             "has no %s controller of control groups that it "
                             "may use. Fix: %s",
                             limit_table[k].field, limit_table[k].controller,
                             cgroups_fix(c, k));
    return 0;
}

/* ---- removing ---- */

/* "contree-DEVICE.INODE-NUMBER", in hexadecimal digits. */
static bool is_name(const char *name) {
    unsigned long long device, inode, number;
    int end = 0;
    return sscanf(name, "contree-%llx.%llx-%llx%n", &device, &inode, &number,
                  &end) == 3 &&
           name[end] == '\0';
}

static void remove_later(struct cgroups *c, int parent, const char *name) {
    struct remnant *r = calloc(1, sizeof *r);
    if (!r)
        return; /* the next engine finds it */
    r->parent = parent;
    snprintf(r->name, sizeof r->name, "%s", name);
    r->next = c->remnants;
    c->remnants = r;
}

static void remove_group(struct cgroups *c, int parent, const char *name) {
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno == EBUSY)
        remove_later(c, parent, name);
}

bool cgroups_sweep(struct cgroups *c) {
    struct remnant *r = c->remnants;
    c->remnants = NULL;
    while (r) {
        struct remnant *next = r->next;
        remove_group(c, r->parent, r->name);
        free(r);
        r = next;
    }
    return c->remnants != NULL;
}

/* Removes a group that no engine uses: an engine holds a lock on each of its
 * groups, which ends with it (see take_group()). Under our lock no other engine
 * can take the group meanwhile. */
static void remove_abandoned(int place, const char *name) {
    int fd CLEANUP(cleanup_close) =
        openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(place, name, AT_REMOVEDIR);
}

/* Removes groups that were left by engines of this data directory, and also of
 * others, which may be gone for good. The kernel keeps groups with processes.
 */
static void recover_group(struct cgroups *c, int place, const char *name) {
    if (strlen(name) >= NAME_SIZE)
        return;
    if (strncmp(name, c->prefix, strlen(c->prefix)) == 0)
        remove_group(c, place, name);
    else if (is_name(name))
        remove_abandoned(place, name);
}

static void recover_place(struct cgroups *c, int place) {
    int fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    if (!dir) {
        drop_fd(&fd);
        return;
    }
    while ((e = readdir(dir)))
        recover_group(c, place, e->d_name);
    closedir(dir);
}

void cgroups_recover(struct cgroups *c) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (c->places[k].fd >= 0)
            recover_place(c, c->places[k].fd);
}

void cgroups_close(struct cgroups *c) {
    const struct timespec pause = {.tv_nsec = CLOSE_PAUSE_MS * 1000000};
    if (!c)
        return;
    for (int i = 0; cgroups_sweep(c) && i < CLOSE_ATTEMPTS; i++)
        nanosleep(&pause, NULL);
    while (c->remnants) {
        struct remnant *r = c->remnants;
        log_line("the control group %s is still busy", r->name);
        c->remnants = r->next;
        free(r);
    }
    for (int k = 0; k < CGROUP_KINDS; k++)
        drop_fd(&c->places[k].fd);
    free(c);
}

/* ---- one group ---- */

static bool is_made(const struct cgroup *g) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (g->dirs[k] >= 0 && g->all->places[k].unified)
            return true;
    return false;
}

/* Opens and locks a group; -1 when an engine that cleans up has removed it. */
static int take_group(int place, const char *name) {
    struct stat own, now;
    int fd CLEANUP(cleanup_close) =
        openat(place, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0 || fstat(fd, &own) < 0 ||
        fstatat(place, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (own.st_ino == now.st_ino)
        return steal_fd(&fd);
    errno = ENOENT;
    return -1;
}

static int make_group(const struct controller *p, const char *name) {
    int fd = -1;
    for (int i = 0; fd < 0 && i < TAKE_ATTEMPTS; i++) {
        if (mkdirat(p->fd, name, 0755) < 0 && errno != EEXIST)
            return -1;
        fd = take_group(p->fd, name);
    }
    return fd;
}

static int make_directory(struct cgroup *g, int kind, struct fault *f) {
    const struct controller *p = &g->all->places[kind];
    bool fresh = !(p->unified && is_made(g));
    g->dirs[kind] = fresh ? make_group(p, g->name) : take_group(p->fd, g->name);
    if (g->dirs[kind] < 0) {
        fault_errno(f, "cannot make a control group for %s",
                    limit_table[kind].controller);
        if (fresh)
            unlinkat(p->fd, g->name, AT_REMOVEDIR);
        return -1;
    }
    /* Best effort: on older kernels there is no such file. */
    if (fresh && p->unified && *g->all->nice)
        cgroup_write_text(g->dirs[kind], "cpu.weight.nice", g->all->nice);
    return 0;
}

static int set_number(const struct cgroup *g, int kind, const char *file,
                      int64_t value, struct fault *f) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    if (cgroup_write_text(g->dirs[kind], file, text) < 0)
        return fault_errno(f, "cannot set %s to %s", file, text);
    return 0;
}

/* Also limits swap, unless the kernel does not account for it. */
static int limit_memory(struct cgroup *g, double amount, struct fault *f) {
    int64_t bytes = (int64_t)amount;
    int dir = g->dirs[CGROUP_MEMORY];
    bool unified = g->all->places[CGROUP_MEMORY].unified;
    const char *swap =
        unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    if (set_number(g, CGROUP_MEMORY,
                   unified ? "memory.max" : "memory.limit_in_bytes", bytes,
                   f) < 0)
        return -1;
    if (faccessat(dir, swap, F_OK, 0) == 0 &&
        set_number(g, CGROUP_MEMORY, swap, unified ? 0 : bytes, f) < 0)
        return -1;
    /* The kernel kills all processes at once, so that none goes on while others
     * are gone; before 4.19 on_group() in sandbox.c has to do it. */
    if (unified && cgroup_write_text(dir, "memory.oom.group", "1") < 0 &&
        errno != ENOENT)
        return fault_errno(f, "cannot set memory.oom.group");
    g->memory_events =
        openat(dir, unified ? "memory.events" : "memory.oom_control",
               O_RDONLY | O_CLOEXEC);
    if (g->memory_events < 0)
        return fault_errno(f, "cannot watch the sandbox's memory");
    if (unified)
        return 0;
    char order[32];
    g->oom = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(order, sizeof order, "%d %d", g->oom, g->memory_events);
    if (g->oom < 0 || cgroup_write_text(dir, "cgroup.event_control", order) < 0)
        return fault_errno(f, "cannot watch the sandbox's memory");
    return 0;
}

/* One more, for init is in the group, too. */
static int limit_pids(struct cgroup *g, double amount, struct fault *f) {
    int64_t pids = (int64_t)amount;
    if (set_number(g, CGROUP_PIDS, "pids.max", pids + 1, f) < 0)
        return -1;
    g->pids_events =
        openat(g->dirs[CGROUP_PIDS], "pids.events", O_RDONLY | O_CLOEXEC);
    return 0; /* no such file before Linux 4.3 */
}

static int limit_cpu(struct cgroup *g, double cpus, struct fault *f) {
    int64_t quota = (int64_t)(cpus * CPU_PERIOD + 0.5);
    if (!g->all->places[CGROUP_CPU].unified)
        return set_number(g, CGROUP_CPU, "cpu.cfs_period_us", CPU_PERIOD, f) < 0
                   ? -1
                   : set_number(g, CGROUP_CPU, "cpu.cfs_quota_us", quota, f);
    char text[64];
    snprintf(text, sizeof text, "%lld %d", (long long)quota, CPU_PERIOD);
    if (cgroup_write_text(g->dirs[CGROUP_CPU], "cpu.max", text) < 0)
        return fault_errno(f, "cannot set cpu.max to %s", text);
    return 0;
}

static int apply(struct cgroup *g, const struct limits *l, struct fault *f) {
    static int (*const set[CGROUP_KINDS])(
        struct cgroup *, double, struct fault *) = {limit_memory, limit_pids,
                                                    limit_cpu};
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (l->of[k] > 0 && make_directory(g, k, f) < 0)
            return -1;
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (l->of[k] > 0 && set[k](g, l->of[k], f) < 0)
            return -1;
    return 0;
}

void cgroups_set_nice(struct cgroups *c, int nice) {
    snprintf(c->nice, sizeof c->nice, "%d", nice);
}

struct cgroup *cgroup_make(struct cgroups *c, const struct limits *limits,
                           struct fault *f) {
    if (cgroups_check(c, limits, f) < 0)
        return NULL;
    struct cgroup *g = calloc(1, sizeof *g);
    if (!g) {
        fault_memory(f);
        return NULL;
    }
    g->all = c;
    g->memory_events = g->pids_events = g->oom = -1;
    for (int k = 0; k < CGROUP_KINDS; k++)
        g->dirs[k] = -1;
    snprintf(g->name, sizeof g->name, "%s%llx", c->prefix,
             (unsigned long long)c->next++);
    if (apply(g, limits, f) == 0)
        return g;
    cgroup_drop(g);
    return NULL;
}

int cgroup_open_fds(const struct cgroup *g, int fds[CGROUP_KINDS],
                    struct fault *f) {
    int count = 0;
    bool unified = false;
    for (int k = 0; k < CGROUP_KINDS; k++) {
        bool here = g->all->places[k].unified;
        if (g->dirs[k] < 0 || (here && unified))
            continue;
        unified = unified || here;
        fds[count] = openat(g->dirs[k], here ? "cgroup.procs" : "tasks",
                            O_WRONLY | O_CLOEXEC);
        if (fds[count] < 0) {
            fault_errno(f, "cannot open a control group");
            while (count > 0)
                close_fd(fds[--count]);
            return -1;
        }
        count++;
    }
    return count;
}

int cgroup_watch_fd(const struct cgroup *g, int *events) {
    *events = g->oom >= 0 ? UV_READABLE : UV_PRIORITIZED;
    return g->oom >= 0 ? g->oom : g->memory_events;
}

void cgroup_woken(struct cgroup *g) {
    uint64_t times;
    if (g->oom >= 0 && read(g->oom, &times, sizeof times) == sizeof times)
        g->out_of_memory = true; /* before any process is killed */
    if (cgroup_counter(g->memory_events, "oom_kill") > 0)
        g->out_of_memory = true;
}

const char *cgroup_limit_hit(struct cgroup *g) {
    if (!g->out_of_memory && cgroup_counter(g->memory_events, "oom_kill") > 0)
        g->out_of_memory = true;
    return g->out_of_memory                            ? "memory"
           : cgroup_counter(g->pids_events, "max") > 0 ? "pids"
                                                       : NULL;
}

void cgroup_usage(const struct cgroup *g, struct rusage *usage) {
    enum { MICROSECONDS = 1000000, KIB = 1024 };
    int dir = g->dirs[CGROUP_MEMORY];
    if (dir < 0 || !g->all->places[CGROUP_MEMORY].unified)
        return;
    long user = cgroup_number(dir, "cpu.stat", "user_usec");
    long system = cgroup_number(dir, "cpu.stat", "system_usec");
    usage->ru_utime =
        (struct timeval){user / MICROSECONDS, user % MICROSECONDS};
    usage->ru_stime =
        (struct timeval){system / MICROSECONDS, system % MICROSECONDS};
    char *peak CLEANUP(cleanup_free) = cgroup_read_text(dir, "memory.peak");
    usage->ru_maxrss = peak ? strtol(peak, NULL, 10) / KIB : 0;
}

/* Every group of version 2 counts processor time; version 1 has a controller of
 * its own for that, which groups with limits do not need. */
void cgroup_open_files(const struct cgroup *g, struct cgroup_files *out) {
    *out = (struct cgroup_files){-1, -1, false};
    for (int k = 0; k < CGROUP_KINDS; k++) {
        if (g->dirs[k] < 0)
            continue;
        if (k == CGROUP_MEMORY) {
            out->memory = fcntl(g->dirs[k], F_DUPFD_CLOEXEC, 0);
            out->unified = g->all->places[k].unified;
        }
        if (g->all->places[k].unified && out->cpu < 0)
            out->cpu = fcntl(g->dirs[k], F_DUPFD_CLOEXEC, 0);
    }
}

int cgroup_open_freezer(const struct cgroup *g) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (g->dirs[k] >= 0 && g->all->places[k].unified)
            return faccessat(g->dirs[k], "cgroup.freeze", W_OK, AT_EACCESS) == 0
                       ? fcntl(g->dirs[k], F_DUPFD_CLOEXEC, 0)
                       : -1;
    return -1;
}

void cgroup_drop(struct cgroup *g) {
    if (!g)
        return;
    bool unified = false;
    drop_fd(&g->memory_events);
    drop_fd(&g->pids_events);
    drop_fd(&g->oom);
    for (int k = 0; k < CGROUP_KINDS; k++) {
        const struct controller *p = &g->all->places[k];
        if (g->dirs[k] < 0)
            continue;
        drop_fd(&g->dirs[k]);
        if (!(p->unified && unified))
            remove_group(g->all, p->fd, g->name);
        unified = unified || p->unified;
    }
    free(g);
}
