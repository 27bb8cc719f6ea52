/* doctor.c: see doctor.h. */
#define _GNU_SOURCE
#include "command/doctor.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/scope.h"
#include "base/subids.h"
#include "command/data.h"
#include "http/listen.h"
#include "sandbox/cgroup.h"
#include "sandbox/probe.h"
#include "sandbox/userns.h"
#include "transport/import.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRIAL_BYTES = 1 << 20, /* written to test the disk */
    SUBIDS = 65536,        /* as many as a user gets by default */
    SUBID_MIN = 100000
};
#define FREE_BYTES_WANTED 1e9

static void say(FILE *out, const char *state, const char *what,
                const char *format, ...) PRINTF_LIKE(4, 5);

static void say(FILE *out, const char *state, const char *what,
                const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(out, "%-8s %-16s ", state, what);
    vfprintf(out, format, args);
    fputc('\n', out);
    va_end(args);
}

/* ---- one sandbox, made by a child, which enters a user namespace ---- */

/* The report of the child. */
struct finding {
    bool works, has_airlock;
    struct id_range ids;
    char isolation[ISOLATION_SIZE];
    struct fault fault, airlock_fault;
};

static void try_sandbox(const char *data_dir, const struct runtime *runtime,
                        struct finding *found) {
    struct fault *f = &found->fault;
    char name[32], unused[ISOLATION_SIZE];
    if (userns_enter(&found->ids, f) < 0)
        return;
    int dir CLEANUP(cleanup_close) =
        open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(name, sizeof name, "doctor.%d", (int)getpid());
    found->works = dir < 0 ? fault_errno(f, "cannot open %s", data_dir) == 0
                           : probe_run(dir, name, found->ids, runtime, NULL,
                                       found->isolation, f) == 0;
    found->has_airlock =
        found->works &&
        probe_run(dir, name, found->ids, runtime, "{\"allow\":[]}", unused,
                  &found->airlock_fault) == 0;
}

static void try_in_child(const char *data_dir, const struct runtime *runtime,
                         struct finding *found) {
    int ends[2];
    *found = (struct finding){0};
    fault_set(&found->fault, 500, "cannot make a sandbox");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        try_sandbox(data_dir, runtime, found);
        _exit(write_all(ends[1], found, sizeof *found) < 0);
    }
    close_fd(ends[1]);
    struct finding answer;
    if (child > 0 && read_all(ends[0], &answer, sizeof answer) == sizeof answer)
        *found = answer;
    close_fd(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}

/* ---- the lines ---- */

/* Check that the disk takes data: by writing, because quotas count as well. */
static bool check_disk(FILE *out, int dir, const char *path) {
    static const char piece[65536] = "";
    struct statvfs v = {0};
    int fd CLEANUP(cleanup_close) =
        openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    bool failed = fd < 0;
    for (size_t i = 0; !failed && i < TRIAL_BYTES / sizeof piece; i++)
        failed = write_all(fd, piece, sizeof piece) < 0;
    if (failed || fdatasync(fd) < 0) {
        say(out, "missing", "disk",
            "cannot write to %s (%s). Fix: make room there, or --data-dir "
            "DIRECTORY on another disk",
            path, strerror(errno));
        return false;
    }
    fstatvfs(dir, &v);
    double free_bytes = (double)v.f_bavail * (double)v.f_frsize;
    if (free_bytes < FREE_BYTES_WANTED)
        say(out, "limited", "disk",
            "%.0f MB are free. Fix: make room, or contree-engine gc "
            "--untagged-older-than 1d",
            free_bytes / 1e6);
    else
        say(out, "ok", "disk", "%.1f GB are free", free_bytes / 1e9);
    return true;
}

static bool check_data_dir(FILE *out, const char *path) {
    struct fault f;
    int dir CLEANUP(cleanup_close) = data_directory(path, &f);
    if (dir < 0) {
        say(out, "missing", "data directory",
            "%s. Fix: that, or --data-dir DIRECTORY-YOU-OWN", f.message);
        return false;
    }
    say(out, "ok", "data directory", "%s", path);
    return check_disk(out, dir, path);
}

static bool check_socket(FILE *out, const char *path) {
    struct fault f;
    if (listen_check(path, &f) < 0) {
        say(out, "missing", "socket", "%s", f.message);
        return false;
    }
    say(out, "ok", "socket", "%s", path);
    return true;
}

static void check_kernel(FILE *out) {
    struct utsname u;
    int major = 0, minor = 0;
    uname(&u);
    sscanf(u.release, "%d.%d", &major, &minor);
    if (major < 5 || (major == 5 && minor < 11))
        say(out, "missing", "kernel",
            "Linux %s; overlays of user namespaces need 5.11. Fix: upgrade "
            "the kernel",
            u.release);
    else if (major < 6 || (major == 6 && minor < 14))
        say(out, "limited", "kernel",
            "Linux %s: the process limit counts each user id of a sandbox "
            "by itself. Fix: Linux 6.14",
            u.release);
    else
        say(out, "ok", "kernel", "Linux %s", u.release);
}

static void check_sandbox(FILE *out, const struct finding *found) {
    if (found->works)
        say(out, "ok", "sandbox", "%s", found->isolation);
    else
        say(out, "missing", "sandbox", "%s", found->fault.message);
}

static void check_airlock(FILE *out, const struct finding *found) {
    if (found->has_airlock)
        say(out, "ok", "airlock", "runs reach what their rules allow");
    else if (found->works)
        say(out, "limited", "airlock",
            "runs with rules of networking are refused: %s",
            found->airlock_fault.message);
}

static void check_ids(FILE *out, const struct finding *found) {
    if (!found->works)
        return;
    if (found->ids.count > 1)
        say(out, "ok", "user ids", "%u ids from %u on", found->ids.count,
            (unsigned)found->ids.base);
    else {
        unsigned long first = subids_find_free("/etc/subuid", "/etc/subgid",
                                               SUBID_MIN, SUBIDS),
                      last = first + SUBIDS - 1;
        say(out, "limited", "user ids",
            "root is the only user in a sandbox. Fix: sudo apt-get install "
            "uidmap && sudo usermod --add-subuids %lu-%lu --add-subgids "
            "%lu-%lu $(id -un)",
            first, last, first, last);
    }
}

static bool check_descriptors(FILE *out) {
    struct descriptors d;
    struct fault f = {0};
    if (descriptors_share(&d, &f) < 0)
        say(out, "missing", "descriptors", "%s", f.message);
    else
        say(out, "ok", "descriptors",
            "enough for %zu runs and %zu connections at a time", d.runs,
            d.connections);
    return !f.status;
}

static void check_seccomp(FILE *out) {
    if (prctl(PR_GET_SECCOMP) >= 0)
        say(out, "ok", "seccomp", "system calls are filtered");
    else
        say(out, "missing", "seccomp",
            "no system call filter. Fix: a kernel with CONFIG_SECCOMP_FILTER");
}

/* Report the limits that a run may ask for. */
static void check_cgroups(FILE *out) {
    struct cgroups *c = cgroups_open("/proc/self", AT_FDCWD);
    char have[64] = "", lack[64] = "";
    const char *fix = c ? NULL : "free some memory";
    for (int k = 0; c && k < CGROUP_KINDS; k++) {
        char *list = cgroups_have(c, k) ? have : lack;
        if (list == lack && !fix)
            fix = cgroups_fix(c, k);
        size_t length = strlen(list);
        snprintf(list + length, sizeof have - length, "%s%s",
                 length ? ", " : "", limit_table[k].option);
    }
    cgroups_close(c);
    if (!fix)
        say(out, "ok", "limits", "%s of each run can be limited", have);
    else
        say(out, "limited", "limits",
            "runs that ask for a limit on %s are refused%s%s. Fix: %s", lack,
            *have ? "; there are limits on " : "", have, fix);
}

static bool find_program(const char *name) {
    const char *dir = getenv("PATH");
    char path[4096];
    while (dir && *dir) {
        size_t length = strcspn(dir, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)length, dir, name);
        if (access(path, X_OK) == 0)
            return true;
        dir += length + (dir[length] == ':');
    }
    return false;
}

static void check_programs(FILE *out) {
    const char *path;
    struct fault f;
    int busybox CLEANUP(cleanup_close) = busybox_open(&path, &f);
    if (busybox >= 0)
        say(out, "ok", "busybox", "%s: busybox:latest works offline", path);
    else
        say(out, "limited", "busybox",
            "no static busybox, so no busybox:latest. Fix: sudo apt-get "
            "install busybox-static");
    if (find_program("skopeo"))
        say(out, "ok", "skopeo", "images can be pulled from registries");
    else
        say(out, "limited", "skopeo",
            "images cannot be pulled from registries. Fix: sudo apt-get "
            "install skopeo");
    if (find_program("slirp4netns") && access("/dev/net/tun", R_OK | W_OK) == 0)
        say(out, "ok", "networking", "slirp4netns, for runs that ask for it");
    else
        say(out, "limited", "networking",
            "runs have the loopback interface only. Fix: sudo apt-get install "
            "slirp4netns; sudo modprobe tun; sudo chmod 666 /dev/net/tun");
}

static void check_runtime(FILE *out, const struct runtime *runtime,
                          const struct finding *found) {
    if (!runtime)
        return;
    if (found->works)
        say(out, "ok", "runtime", "%s makes sandboxes", runtime->path);
    else
        say(out, "missing", "runtime",
            "%s makes no sandbox. Fix: see the line of the sandbox above, or "
            "use --runtime native, which needs none",
            runtime->path);
}

int doctor_command(const struct options *o, struct fault *f) {
    const struct engine_config *config = &o->config;
    FILE *out = stdout;
    (void)f;
    const struct runtime *runtime = config->runtime;
    struct finding found = {0};
    fault_set(&found.fault, 503,
              "not tried without a data directory and a socket");
    check_kernel(out);
    bool served = check_descriptors(out);
    bool place = check_data_dir(out, config->data_dir);
    place = check_socket(out, config->socket_path) && place;
    if (place)
        try_in_child(config->data_dir, runtime, &found);
    check_sandbox(out, &found);
    check_runtime(out, runtime, &found);
    check_ids(out, &found);
    check_seccomp(out);
    check_cgroups(out);
    check_programs(out);
    check_airlock(out, &found);
    return found.works && served ? 0 : 1;
}
