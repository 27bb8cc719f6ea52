/* descriptor.c: see descriptor.h. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FRAMES = 32, NUMBERS = 65536 };

/* How many handles are open on each number, of whatever loop. Global, because
 * numbers are: what one thread closes another may watch. */
static atomic_uchar watched[NUMBERS];

/* ---- strictness ---- */

bool is_strict(void) {
    static atomic_int known; /* 0 not yet, 1 no, 2 yes */
    int answer = known;
    if (!answer) {
        const char *value = getenv("CONTREE_STRICT");
        known = answer = value && strcmp(value, "1") == 0 ? 2 : 1;
    }
    return answer == 2;
}

_Noreturn void die_strictly(const char *what) {
    static const char hint[] =
        " (CONTREE_STRICT=1). Here; addr2line -fipe PROGRAM names +0x...:\n";
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    ssize_t ignored = write(STDERR_FILENO, what, strlen(what));
    ignored = write(STDERR_FILENO, hint, sizeof hint - 1);
    (void)ignored;
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    abort();
}

/* ---- closing ---- */

static void check_close(int fd, const char *file, int line) {
    char what[160];
    if (!is_strict() || fd >= NUMBERS || !watched[fd])
        return;
    snprintf(what, sizeof what, "%s:%d closes %d, which the loop watches", file,
             line, fd);
    die_strictly(what);
}

static void check_closed(int fd, const char *file, int line) {
    char what[160];
    if (errno != EBADF || !is_strict())
        return;
    snprintf(what, sizeof what, "%s:%d closes %d, which is not open", file,
             line, fd);
    die_strictly(what);
}

void close_fd_at(int fd, const char *file, int line) {
    int error = errno;
    if (fd < 0)
        return;
    check_close(fd, file, line);
    if (close(fd) < 0)
        check_closed(fd, file, line);
    errno = error;
}

void drop_fd_at(int *fd, const char *file, int line) {
    close_fd_at(steal_fd(fd), file, line);
}

void cleanup_close(int *fd) {
    drop_fd_at(fd, "the end of a block", 0);
}

int steal_fd(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* ---- how many ---- */

/* An engine that does nothing has 30 to 70, by how many processors it serves;
 * its workers open a few each. A run has its init (2), streams (3), log, and
 * with limits its control groups (up to 6). A relay has two sockets, and two
 * pipes while bytes are in them. */
enum {
    LIMIT_MIN = 192,
    LIMIT_MAX = 65536,
    OWN = 112,
    EACH_RUN = 10,
    EACH_RELAY = 6,
    CONNECTIONS_MAX = 4096,
    STRANGERS_MAX = 64
};

static size_t at_most(size_t number, size_t maximum) {
    return number < maximum ? number : maximum;
}

static size_t raise_limit(void) {
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 0;
    rlim_t wanted = l.rlim_max < LIMIT_MAX ? l.rlim_max : LIMIT_MAX;
    if (l.rlim_cur < wanted) {
        l.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &l) < 0 &&
            getrlimit(RLIMIT_NOFILE, &l) < 0)
            return 0;
    }
    return at_most(l.rlim_cur, LIMIT_MAX);
}

int descriptors_share(struct descriptors *out, struct fault *f) {
    size_t limit = raise_limit();
    if (limit < LIMIT_MIN)
        return fault_set(f, 503,
                         "the engine may have %zu descriptors, and needs %d at "
                         "least. " DESCRIPTORS_FIX,
                         limit, LIMIT_MIN);
    size_t spare = limit - OWN;
    out->runs = spare / 2 / EACH_RUN;
    out->mounts = spare / 8 / 2;
    out->connections = at_most(spare / 8, CONNECTIONS_MAX);
    out->relays = spare / 4 / EACH_RELAY;
    out->strangers = at_most(out->connections / 2, STRANGERS_MAX);
    return 0;
}

/* ---- watching ---- */

static void count(const uv_poll_t *poll, int by) {
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)poll, &fd) == 0 && fd < NUMBERS)
        watched[fd] += (unsigned char)by;
}

int watch_open(uv_loop_t *loop, uv_poll_t *poll, int fd, struct fault *f) {
    int error = uv_poll_init(loop, poll, fd);
    if (error)
        return fault_set(f, 503, "cannot watch a descriptor: %s",
                         uv_strerror(error));
    count(poll, 1);
    return 0;
}

void watch_close(uv_poll_t *poll, uv_close_cb closed) {
    count(poll, -1);
    uv_close((uv_handle_t *)poll, closed);
}
