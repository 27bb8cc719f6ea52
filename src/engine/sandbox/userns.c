#define _GNU_SOURCE
#include "sandbox/userns.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "base/subids.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Below RESERVED are the ids of users, services and of systemd's containers. */
enum { RESERVED = 1879048192, IDS_MIN = 65536, RANGES_MAX = 32 };

/* The ranges of one user in /etc/subuid or /etc/subgid. */
struct ranges {
    struct id_range list[RANGES_MAX];
    int count;
    uint64_t ids; /* in all of them */
};

/* Ignores overlapping ranges, which would make the whole map invalid. */
static void add_range(struct ranges *r, uint32_t base, uint32_t count) {
    if (r->count == RANGES_MAX)
        return;
    for (int i = 0; i < r->count; i++)
        if (base < r->list[i].base + r->list[i].count &&
            r->list[i].base < base + count)
            return;
    r->list[r->count++] = (struct id_range){.base = base, .count = count};
    r->ids += count;
}

/* Reads the lines whose name is `name` or the number `uid`, but not ranges that
 * contain the user's own id, `self`. */
static void find_ranges(const char *path, const char *name, uid_t uid,
                        uid_t self, struct ranges *out) {
    struct subids file;
    struct subids_line line;
    char number[16];
    *out = (struct ranges){.count = 0};
    snprintf(number, sizeof number, "%u", (unsigned)uid);
    subids_open(&file, path);
    while (subids_next(&file, &line))
        if ((strcmp(line.name, name) == 0 || strcmp(line.name, number) == 0) &&
            (self < line.first || self - line.first >= line.count))
            add_range(out, line.first, line.count);
    subids_close(&file);
}

/* The first range of `name` that both files have. */
static bool find_common_range(const char *name, uid_t uid,
                              struct id_range *out) {
    struct ranges users, groups;
    find_ranges("/etc/subuid", name, uid, UINT32_MAX, &users);
    find_ranges("/etc/subgid", name, uid, UINT32_MAX, &groups);
    for (int i = 0; i < users.count; i++)
        for (int k = 0; k < groups.count; k++) {
            const struct id_range *u = &users.list[i], *g = &groups.list[k];
            uint32_t count = u->count < g->count ? u->count : g->count;
            if (u->base != g->base || count < IDS_MIN)
                continue;
            *out = (struct id_range){.base = u->base, .count = count};
            return true;
        }
    return false;
}

/* How many ids from 0 on are in this map of our user namespace. */
static uint32_t mapped_ids(const char *path) {
    unsigned inside, outside, count = 0, total = 0;
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3 &&
           inside == total)
        total = count > UINT32_MAX - total ? UINT32_MAX : total + count;
    if (file)
        fclose(file);
    return total;
}

static bool has_admin_capability(void) {
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    return syscall(SYS_capget, &header, data) == 0 &&
           data[0].effective & 1U << CAP_SYS_ADMIN &&
           data[0].effective & 1U << CAP_SETUID &&
           data[0].effective & 1U << CAP_SETGID;
}

/* How many ids from 0 on exist for both users and groups. */
static uint32_t own_ids(void) {
    uint32_t users = mapped_ids("/proc/self/uid_map");
    uint32_t groups = mapped_ids("/proc/self/gid_map");
    return users < groups ? users : groups;
}

/* All ids but 0, which is the engine's, if there are others. */
static void take_all_ids(uint32_t ids, struct id_range *out) {
    *out = ids > 1 ? (struct id_range){.base = 1, .count = ids - 1}
                   : (struct id_range){.base = 0, .count = 1};
}

/* Ids for real root and root of a container. */
static void take_ids_as_root(struct id_range *out) {
    uint32_t ids = own_ids();
    if ((find_common_range("contree", UINT32_MAX, out) ||
         find_common_range("root", 0, out)) &&
        (uint64_t)out->base + out->count <= ids)
        return;
    if (ids >= RESERVED + (uint32_t)IDS_MIN)
        *out = (struct id_range){.base = RESERVED, .count = ids - RESERVED};
    else
        take_all_ids(ids, out);
}

/* Runs newuidmap or newgidmap on our parent: id 0 is itself, the ranges follow
 * one after the other. */
static int run_mapper(const char *program, pid_t target, unsigned self,
                      const struct ranges *r) {
    char text[3 * (RANGES_MAX + 1) + 1][16], *argv[3 * (RANGES_MAX + 1) + 3];
    int used = 0;
    unsigned long next = 1;
    argv[0] = (char *)program;
#define ADD(number)                                                            \
    (snprintf(text[used], sizeof text[used], "%lu", (unsigned long)(number)),  \
     argv[used + 1] = text[used], used++)
    ADD(target), ADD(0), ADD(self), ADD(1);
    for (int i = 0; i < r->count; i++) {
        ADD(next), ADD(r->list[i].base), ADD(r->list[i].count);
        next += r->list[i].count;
    }
#undef ADD
    argv[used + 1] = NULL;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        execvp(program, argv);
        _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct subordinates {
    struct ranges users, groups;
};

/* Fewer than IDS_MIN are too few for most images. */
static bool find_subordinates(struct subordinates *s) {
    const struct passwd *user = getpwuid(getuid());
    const char *name = user ? user->pw_name : "";
    find_ranges("/etc/subuid", name, getuid(), getuid(), &s->users);
    find_ranges("/etc/subgid", name, getuid(), getgid(), &s->groups);
    return s->users.ids >= IDS_MIN && s->groups.ids >= IDS_MIN;
}

/* A child that stays outside, and maps our ids when this process is inside. */
static pid_t start_mapper(const struct subordinates *s, int go[2]) {
    pid_t parent = getpid();
    unsigned uid = getuid(), gid = getgid();
    pid_t child = fork();
    if (child != 0)
        return child;
    char byte;
    close_fd(go[1]);
    if (read_all(go[0], &byte, 1) != 1)
        _exit(1);
    if (run_mapper("newuidmap", parent, uid, &s->users) < 0 ||
        run_mapper("newgidmap", parent, gid, &s->groups) < 0)
        _exit(1);
    _exit(0);
}

bool userns_is_restricted(void) {
    char digit = '0';
    int fd CLEANUP(cleanup_close) =
        open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
             O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &digit, 1) == 1 && digit == '1';
}

static int explain_refusal(struct fault *f) {
    int error = errno;
    const char *fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
    if (userns_is_restricted())
        fix = USERNS_FIX;
    else if (error == ENOSPC)
        fix = "sudo sysctl -w user.max_user_namespaces=15000";
    return fault_set(f, 503,
                     "normal users cannot make user namespaces on this machine "
                     "(%s), and no user can in a chroot. Fix: %s, or run the "
                     "engine as root",
                     strerror(error), fix);
}

/* The only map that needs no privilege: one id, our own. */
static int map_one_id(unsigned uid, unsigned gid, struct fault *f) {
    char users[32], groups[32];
    snprintf(users, sizeof users, "0 %u 1", uid);
    snprintf(groups, sizeof groups, "0 %u 1", gid);
    if (write_to_file("/proc/self/setgroups", "deny") < 0 ||
        write_to_file("/proc/self/uid_map", users) < 0 ||
        write_to_file("/proc/self/gid_map", groups) < 0)
        return explain_refusal(f);
    return 0;
}

/* True when the subuid range is mapped. */
static bool map_range(pid_t mapper, int go[2]) {
    int status = -1;
    bool asked = write_all(go[1], "", 1) == 0;
    close_fd(go[1]);
    pid_t ended;
    do
        ended = waitpid(mapper, &status, 0);
    while (ended < 0 && errno == EINTR);
    return ended == mapper && asked && status == 0;
}

static int enter_namespace(struct fault *f) {
    struct subordinates found;
    unsigned uid = getuid(), gid = getgid();
    int go[2] = {-1, -1};
    pid_t mapper = -1;
    if (find_subordinates(&found) && pipe2(go, O_CLOEXEC) == 0)
        mapper = start_mapper(&found, go);
    int rc = unshare(CLONE_NEWUSER) < 0 ? explain_refusal(f) : 0;
    bool mapped = false;
    if (mapper > 0 && rc == 0)
        mapped = map_range(mapper, go);
    else
        drop_fd(&go[1]);
    drop_fd(&go[0]);
    if (rc == 0 && !mapped)
        rc = map_one_id(uid, gid, f);
    if (rc < 0)
        return -1;
    if ((mapped && setgroups(0, NULL) < 0) || setresgid(0, 0, 0) < 0 ||
        setresuid(0, 0, 0) < 0)
        return explain_refusal(f);
    /* Else the change of ids makes /proc/self unreadable. */
    if (prctl(PR_SET_DUMPABLE, 1) < 0)
        return fault_errno(f, "PR_SET_DUMPABLE");
    return 0;
}

int userns_enter(struct id_range *out, struct fault *f) {
    if (geteuid() == 0 && has_admin_capability()) {
        take_ids_as_root(out);
        return 0;
    }
    if (enter_namespace(f) < 0)
        return -1;
    take_all_ids(own_ids(), out);
    return 0;
}
