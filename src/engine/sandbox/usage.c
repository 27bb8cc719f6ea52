/* usage.c: see usage.h. The kernel's files are small texts of known form, which
 * sscanf reads. Names of programs, which may be anything, are skipped. */
#define _GNU_SOURCE
#include "sandbox/usage.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "sandbox/sandbox.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 8192, /* twice as many as a sandbox may have */
    TEXT_MAX = 65536,
    CHILDREN_MAX = 1 << 20
};

/* Read /proc/PID/NAME into `text`; false if it cannot be read. */
static bool read_proc(pid_t pid, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd CLEANUP(cleanup_close) = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read_all(fd, text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    return got >= 0;
}

/* The value behind `name` in a text of lines. */
static int64_t value_of(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

/* The process that a descriptor means; -1: it has ended. */
static pid_t pid_of(int pidfd) {
    char name[64], text[1024];
    snprintf(name, sizeof name, "fdinfo/%d", pidfd);
    if (!read_proc(getpid(), name, text, sizeof text))
        return -1;
    return (pid_t)value_of(text, "Pid:");
}

/* ---- one process ---- */

/* Its times have those of the children that it has waited for. */
static double cpu_of(pid_t pid, char *text, size_t size) {
    unsigned long long own[2] = {0}, children[2] = {0};
    if (!read_proc(pid, "stat", text, size))
        return 0;
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 1,
                       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
                       "%llu %llu",
                       &own[0], &own[1], &children[0], &children[1]) != 4)
        return 0;
    return (double)(own[0] + own[1] + children[0] + children[1]) /
           (double)sysconf(_SC_CLK_TCK);
}

/* Its share of the memory that it has mapped; if that is secret, all of it. */
static int64_t memory_of(pid_t pid, char *text, size_t size) {
    int64_t resident = 0;
    if (read_proc(pid, "smaps_rollup", text, size) && strstr(text, "\nPss:"))
        return value_of(text, "\nPss:") * 1024;
    if (!read_proc(pid, "statm", text, size) ||
        sscanf(text, "%*d %" SCNd64, &resident) != 1)
        return 0;
    return resident * sysconf(_SC_PAGESIZE);
}

static void add_process(struct usage *u, pid_t pid, bool group, char *text,
                        size_t size) {
    u->cpu_seconds += cpu_of(pid, text, size);
    if (!group)
        u->memory_bytes += memory_of(pid, text, size);
    if (!read_proc(pid, "io", text, size))
        return;
    u->read_bytes += value_of(text, "\nread_bytes:");
    u->written_bytes += value_of(text, "\nwrite_bytes:") -
                        value_of(text, "\ncancelled_write_bytes:");
}

/* ---- all of them ---- */

struct pids {
    pid_t list[PROCESSES_MAX];
    size_t count;
};

/* Add the children of all threads of a process. */
static bool add_children(struct pids *p, pid_t pid, char *text) {
    char name[64], path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    struct dirent **threads = NULL;
    int count = scandir(path, &threads, NULL, NULL);
    bool told = false;
    for (int i = 0; i < count; i++) {
        int tid = (int)strtol(threads[i]->d_name, NULL, 10);
        snprintf(name, sizeof name, "task/%d/children", tid);
        if (tid > 0 && read_proc(pid, name, text, CHILDREN_MAX)) {
            char *rest = text;
            for (long child; (child = strtol(rest, &rest, 10)) > 0;)
                if (p->count < PROCESSES_MAX)
                    p->list[p->count++] = (pid_t)child;
            told = true;
        }
        free(threads[i]);
    }
    free(threads);
    return told;
}

/* How many pid namespaces a process is in, as far as we see, and its number in
 * the innermost. */
static int depth_of(pid_t pid, pid_t *innermost, char *text) {
    int depth = 0;
    const char *at = read_proc(pid, "status", text, TEXT_MAX)
                         ? strstr(text, "\nNSpid:")
                         : NULL;
    char *rest = (char *)(at ? at + strlen("\nNSpid:") : ""), *end;
    for (; *rest == '\t'; rest = end, depth++) {
        long number = strtol(rest, &end, 10);
        if (end == rest)
            break;
        *innermost = (pid_t)number;
    }
    return depth;
}

/* The init that a runtime has started: it is the first process of a namespace
 * within that of `cell`. The runtime's own processes are outside. */
static pid_t find_init(struct pids *p, pid_t cell, char *text) {
    pid_t innermost = 0;
    int depth = depth_of(cell, &innermost, text);
    p->list[0] = cell;
    p->count = 1;
    for (size_t i = 0; i < p->count; i++) {
        if (depth_of(p->list[i], &innermost, text) == depth + 1 &&
            innermost == 1)
            return p->list[i];
        add_children(p, p->list[i], text);
    }
    return -1;
}

static int add_all(struct usage *u, pid_t first, const struct usage_source *s,
                   struct fault *f) {
    struct pids *p CLEANUP(cleanup_free) = malloc(sizeof *p);
    char *text CLEANUP(cleanup_free) = malloc(CHILDREN_MAX);
    bool told = true, group = s->groups.memory >= 0;
    if (!p || !text)
        return fault_memory(f);
    if (s->under_runtime)
        first = find_init(p, first, text);
    if (first < 0) /* it has ended */
        return 0;
    p->list[0] = first;
    p->count = 1;
    for (size_t i = 0; i < p->count; i++) {
        told = add_children(p, p->list[i], text) || (i > 0 && told);
        add_process(u, p->list[i], group, text, TEXT_MAX);
    }
    u->processes = told ? (int64_t)p->count - 1 : -1;
    if (!told) /* then only the first process was found */
        u->read_bytes = u->written_bytes = -1;
    return 0;
}

/* Lines of "name: received bytes, 7 more counts, sent bytes". */
static void add_network(struct usage *u, pid_t pid) {
    char text[8192], name[32];
    int64_t in, out;
    u->received_bytes = u->sent_bytes = -1;
    if (!read_proc(pid, "net/dev", text, sizeof text))
        return;
    u->received_bytes = u->sent_bytes = 0;
    for (const char *line = strchr(text, '\n'); line;
         line = strchr(line + 1, '\n')) {
        if (sscanf(line,
                   " %31[^: ]: %" SCNd64 " %*d %*d %*d %*d %*d %*d %*d "
                   "%" SCNd64,
                   name, &in, &out) != 3 ||
            strcmp(name, "lo") == 0)
            continue;
        u->received_bytes += in;
        u->sent_bytes += out;
    }
}

static bool has_ended(int pidfd) {
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

static void use_groups(struct usage *u, const struct usage_source *s) {
    double cpu = cgroup_cpu_seconds(&s->groups);
    if (cpu >= 0)
        u->cpu_seconds = cpu;
    cgroup_memory(&s->groups, &u->memory_bytes, &u->memory_peak_bytes);
}

int usage_read(const struct usage_source *s, struct usage *out,
               struct fault *f) {
    pid_t pid = pid_of(s->pidfd);
    *out = (struct usage){.memory_peak_bytes = -1};
    if (pid > 0 && add_all(out, pid, s, f) < 0)
        return -1;
    if (pid > 0)
        add_network(out, pid);
    use_groups(out, s);
    if (pid > 0 && !has_ended(s->pidfd))
        return 0;
    return fault_set(f, 409, "the operation is not running any more");
}

int usage_open(const struct sandbox *s, struct usage_source *out,
               struct fault *f) {
    *out = (struct usage_source){-1, false, {-1, -1, false}};
    out->under_runtime = sandbox_has_runtime(s);
    out->pidfd = sandbox_open_pidfd(s);
    if (out->pidfd < 0)
        return fault_set(f, 409, "the operation has no sandbox now");
    sandbox_open_groups(s, &out->groups);
    return 0;
}

void usage_close(struct usage_source *s) {
    drop_fd(&s->pidfd);
    drop_fd(&s->groups.memory);
    drop_fd(&s->groups.cpu);
}
