/* userns.c: see userns.h. */
#define _GNU_SOURCE
#include "userns.h"
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

enum { ROOT_BASE = 1879048192, IDS = 65536 };

/* A line NAME:FIRST:COUNT of /etc/subuid or /etc/subgid whose name is `name`
 * or the number `uid`. */
static bool find_range(const char *path, const char *name, uid_t uid,
                       struct id_range *out) {
    FILE *file = fopen(path, "re");
    char line[256], number[16];
    bool found = false;
    snprintf(number, sizeof number, "%u", (unsigned)uid);
    while (file && !found && fgets(line, sizeof line, file)) {
        char *first = strchr(line, ':');
        if (!first)
            continue;
        *first++ = '\0';
        unsigned base, count;
        if (sscanf(first, "%u:%u", &base, &count) != 2 || count < IDS ||
            (strcmp(line, name) != 0 && strcmp(line, number) != 0))
            continue;
        *out = (struct id_range){.base = base, .count = IDS};
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

/* How many ids from 0 on this user namespace has, by one of its maps. */
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

/* Ids for an engine that is root where it stands: real root, root of a
 * container, or after enter_namespace. */
static void take_ids_as_root(struct id_range *out) {
    uint32_t users = mapped_ids("/proc/self/uid_map");
    uint32_t groups = mapped_ids("/proc/self/gid_map");
    uint32_t ids = users < groups ? users : groups;
    struct id_range listed;
    *out = (struct id_range){.base = ROOT_BASE, .count = IDS};
    if ((find_range("/etc/subuid", "contree", UINT32_MAX, &listed) ||
         find_range("/etc/subuid", "root", 0, &listed)) &&
        (uint64_t)listed.base + IDS <= ids)
        *out = listed;
    else if (ids > ROOT_BASE + IDS)
        return;
    else if (ids > 1)
        *out = (struct id_range){.base = 1, .count = ids > IDS ? IDS : ids - 1};
    else
        *out = (struct id_range){.base = 0, .count = 1};
}

/* Runs newuidmap or newgidmap on our parent. */
static int run_mapper(const char *program, pid_t target, unsigned self,
                      const struct id_range *range) {
    char pid[16], own[16], base[16], count[16];
    snprintf(pid, sizeof pid, "%d", target);
    snprintf(own, sizeof own, "%u", self);
    snprintf(base, sizeof base, "%u", (unsigned)range->base);
    snprintf(count, sizeof count, "%u", (unsigned)range->count);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        execlp(program, program, pid, "0", own, "1", "1", base, count, NULL);
        _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct ranges {
    struct id_range users, groups;
};

static bool find_ranges(struct ranges *r) {
    const struct passwd *user = getpwuid(getuid());
    const char *name = user ? user->pw_name : "";
    return find_range("/etc/subuid", name, getuid(), &r->users) &&
           find_range("/etc/subgid", name, getuid(), &r->groups);
}

/* A child that stays outside, waits until we are inside, maps our ids. */
static pid_t start_mapper(const struct ranges *r, int go[2]) {
    pid_t parent = getpid();
    unsigned uid = getuid(), gid = getgid();
    pid_t child = fork();
    if (child != 0)
        return child;
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) != 1)
        _exit(1);
    if (run_mapper("newuidmap", parent, uid, &r->users) < 0 ||
        run_mapper("newgidmap", parent, gid, &r->groups) < 0)
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
                     "this machine does not let a normal user have user "
                     "namespaces (%s). Fix: %s, or run the engine as root",
                     strerror(error), fix);
}

static int write_file(const char *path, const char *text) {
    int fd CLEANUP(cleanup_close) = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : write_all(fd, text, strlen(text));
}

/* The map that everybody may write: one id, ourselves. */
static int map_one_id(unsigned uid, unsigned gid, struct fault *f) {
    char users[32], groups[32];
    snprintf(users, sizeof users, "0 %u 1", uid);
    snprintf(groups, sizeof groups, "0 %u 1", gid);
    if (write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", users) < 0 ||
        write_file("/proc/self/gid_map", groups) < 0)
        return explain_refusal(f);
    return 0;
}

/* True when the subuid range is mapped. */
static bool map_range(pid_t mapper, int go[2]) {
    int status = -1;
    bool asked = write(go[1], "", 1) == 1;
    close(go[1]);
    return waitpid(mapper, &status, 0) == mapper && asked && status == 0;
}

static int enter_namespace(struct fault *f) {
    struct ranges ranges;
    unsigned uid = getuid(), gid = getgid();
    int go[2] = {-1, -1};
    pid_t mapper = -1;
    if (find_ranges(&ranges) && pipe2(go, O_CLOEXEC) == 0)
        mapper = start_mapper(&ranges, go);
    int rc = unshare(CLONE_NEWUSER) < 0 ? explain_refusal(f) : 0;
    bool mapped = false;
    if (mapper > 0 && rc == 0)
        mapped = map_range(mapper, go);
    else
        cleanup_close(&go[1]);
    cleanup_close(&go[0]);
    if (rc == 0 && !mapped)
        rc = map_one_id(uid, gid, f);
    if (rc < 0)
        return -1;
    if ((mapped && setgroups(0, NULL) < 0) || setresgid(0, 0, 0) < 0 ||
        setresuid(0, 0, 0) < 0)
        return explain_refusal(f);
    /* Changing ids hides /proc/self from us otherwise. */
    if (prctl(PR_SET_DUMPABLE, 1) < 0)
        return fault_errno(f, "PR_SET_DUMPABLE");
    return 0;
}

int userns_enter(struct id_range *out, struct fault *f) {
    bool root = geteuid() == 0 && has_admin_capability();
    if (!root && enter_namespace(f) < 0)
        return -1;
    take_ids_as_root(out);
    return 0;
}
