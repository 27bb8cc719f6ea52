/* cgroup_files.c: see cgroup_files.h. */
#define _GNU_SOURCE
#include "sandbox/cgroup_files.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 65536 };

char *cgroup_read_text(int dir, const char *name) {
    char *text = malloc(TEXT_MAX);
    int fd CLEANUP(cleanup_close) = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 || !text ? -1 : read_all(fd, text, TEXT_MAX - 1);
    if (got < 0) {
        free(text);
        return NULL;
    }
    text[got] = '\0';
    return text;
}

int cgroup_write_text(int dir, const char *name, const char *text) {
    int fd CLEANUP(cleanup_close) = openat(dir, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write_all(fd, text, strlen(text));
}

const char *next_line(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end + 1 : NULL;
}

long cgroup_counter(int fd, const char *name) {
    char text[1024];
    ssize_t got = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    size_t length = strlen(name);
    text[got > 0 ? got : 0] = '\0';
    for (const char *line = text; line && *line; line = next_line(line))
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtol(line + length, NULL, 10);
    return 0;
}

long cgroup_number(int dir, const char *file, const char *name) {
    int fd CLEANUP(cleanup_close) = openat(dir, file, O_RDONLY | O_CLOEXEC);
    return cgroup_counter(fd, name);
}

double cgroup_cpu_seconds(const struct cgroup_files *g) {
    long microseconds =
        g->cpu < 0 ? 0 : cgroup_number(g->cpu, "cpu.stat", "usage_usec");
    return microseconds > 0 ? (double)microseconds / 1e6 : -1;
}

static void read_count(int dir, const char *name, int64_t *out) {
    char *text CLEANUP(cleanup_free) = cgroup_read_text(dir, name);
    if (text && *text)
        *out = strtoll(text, NULL, 10);
}

void cgroup_memory(const struct cgroup_files *g, int64_t *now, int64_t *peak) {
    if (g->memory < 0)
        return;
    read_count(g->memory,
               g->unified ? "memory.current" : "memory.usage_in_bytes", now);
    read_count(g->memory,
               g->unified ? "memory.peak" : "memory.max_usage_in_bytes", peak);
}

int cgroup_freeze(int freezer, bool freeze, struct fault *f) {
    if (cgroup_write_text(freezer, "cgroup.freeze", freeze ? "1" : "0") == 0)
        return 0;
    return fault_errno(f, "cannot %s the sandbox's control group",
                       freeze ? "freeze" : "thaw");
}

bool cgroup_await_frozen(int freezer, int milliseconds) {
    double until = monotonic_seconds() + milliseconds / 1e3;
    int fd CLEANUP(cleanup_close) =
        openat(freezer, "cgroup.events", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && cgroup_counter(fd, "frozen") == 0) {
        int left = (int)((until - monotonic_seconds()) * 1e3);
        struct pollfd p = {.fd = fd, .events = POLLPRI};
        if (left <= 0 || (poll(&p, 1, left) < 0 && errno != EINTR))
            return false;
    }
    return fd >= 0;
}
