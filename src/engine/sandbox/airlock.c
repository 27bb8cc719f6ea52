#define _GNU_SOURCE
#include "sandbox/airlock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 40 << 10, /* of one report: some have a request */
    PIECE_BYTES = 16384,       /* read in one turn of the loop */
    REST_MS = 10,              /* before more is read, when that was much */
    START_MS = 10000,          /* until it is ready */
    CANNOT_LOAD = 127,         /* the exit code, as of every program */
    FINISH_MS = 3000,          /* until it has ended */
    RULES_FD = 3,              /* descriptors that it inherits */
    REPORTS_FD,
    NET_FD,
    FD_COUNT
};

struct airlock {
    struct airlock_callbacks on;
    void *arg;
    uv_process_t process;
    uv_poll_t poll;   /* of `reports` */
    uv_timer_t timer; /* kills it when it is late */
    uv_timer_t rest;  /* reading goes on */
    int reports;
    int open_handles;
    bool connected; /* or it was told why not */
    bool finishing, exited, reading;
    int code; /* it has exited with */
    size_t length;
    char text[LINE_BYTES_MAX + PIECE_BYTES];
};

static void kill_it(struct airlock *a) {
    if (!a->exited)
        uv_process_kill(&a->process, SIGKILL);
}

static void on_late(uv_timer_t *timer) {
    kill_it(timer->data);
}

static void tell_connected(struct airlock *a, const struct fault *why) {
    if (a->connected || a->finishing)
        return;
    a->connected = true;
    if (!why)
        uv_timer_stop(&a->timer);
    a->on.connected(a->arg, why);
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle) {
    struct airlock *a = handle->data;
    if (--a->open_handles > 0)
        return;
    drop_fd(&a->reports);
    a->on.ended(a->arg, !a->finishing);
    free(a);
}

/* Called when it has exited, and when its reports are at their end. */
static void end_if_over(struct airlock *a) {
    struct fault f;
    if (!a->exited || a->reading)
        return;
    if (a->code == CANNOT_LOAD)
        fault_set(&f, 503,
                  "the network cannot be provided: contree-airlock lacks a "
                  "library. Fix: sudo apt-get install libssl3 libmnl0");
    else
        fault_set(&f, 503,
                  "the network cannot be provided: contree-airlock ended with "
                  "code %d",
                  a->code);
    tell_connected(a, &f);
    watch_close(&a->poll, on_closed);
    uv_close((uv_handle_t *)&a->timer, on_closed);
    uv_close((uv_handle_t *)&a->rest, on_closed);
    uv_close((uv_handle_t *)&a->process, on_closed);
}

/* ---- its reports ---- */

static void fail(struct airlock *a, const json_t *report) {
    const char *why = json_string_value(json_object_get(report, "message"));
    struct fault f;
    fault_set(&f, 503, "the network cannot be provided: %.300s",
              why ? why : "contree-airlock does not say why");
    tell_connected(a, &f);
}

static void become_ready(struct airlock *a, const json_t *report) {
    const char *pem = json_string_value(json_object_get(report, "certificate"));
    if (pem && !a->connected && !a->finishing && a->on.certified)
        a->on.certified(a->arg, pem);
    tell_connected(a, NULL);
}

/* False: that is no report. */
static bool handle_line(struct airlock *a, const char *line, size_t length) {
    json_t *report = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(report, "event"));
    if (event && strcmp(event, "ready") == 0)
        become_ready(a, report);
    else if (event && strcmp(event, "failed") == 0)
        fail(a, report);
    else if (event)
        a->on.told(a->arg, report);
    json_decref(report);
    return event != NULL;
}

/* False: what it says is no list of reports. */
static bool handle_lines(struct airlock *a) {
    size_t at = 0;
    char *end;
    while ((end = memchr(a->text + at, '\n', a->length - at))) {
        size_t length = (size_t)(end - a->text) - at;
        if (length > LINE_BYTES_MAX || !handle_line(a, a->text + at, length))
            return false;
        at += length + 1;
    }
    a->length -= at;
    memmove(a->text, a->text + at, a->length);
    return a->length <= LINE_BYTES_MAX;
}

static void stop_reading(struct airlock *a) {
    uv_poll_stop(&a->poll);
    uv_timer_stop(&a->rest);
    a->reading = false;
    end_if_over(a);
}

static void on_reports(uv_poll_t *poll, int status, int events);

/* When it has exited, what is left is read till there is nothing, and no end is
 * waited for: another process may have its socket. */
static void on_rested(uv_timer_t *timer) {
    struct airlock *a = timer->data;
    if (a->exited)
        on_reports(&a->poll, 0, UV_READABLE);
    else
        uv_poll_start(&a->poll, UV_READABLE, on_reports);
}

/* A piece a turn, and less often when there is always more: whoever has taken
 * an airlock over cannot keep the loop busy. */
static void on_reports(uv_poll_t *poll, int status, int events) {
    struct airlock *a = poll->data;
    (void)events;
    ssize_t got = status < 0 ? 0
                             : recv(a->reports, a->text + a->length,
                                    PIECE_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR) && !a->exited)
        return;
    if (got <= 0) {
        stop_reading(a);
        return;
    }
    a->length += (size_t)got;
    if (!handle_lines(a)) {
        kill_it(a);
        stop_reading(a);
    } else if (got > PIECE_BYTES / 2 || a->exited) {
        uv_poll_stop(poll);
        uv_timer_start(&a->rest, on_rested, REST_MS, 0);
    }
}

static void on_exit_of_airlock(uv_process_t *process, int64_t code,
                               int signal) {
    struct airlock *a = process->data;
    a->exited = true;
    a->code = signal ? -signal : (int)code;
    if (!a->reading) {
        end_if_over(a);
        return;
    }
    uv_poll_stop(&a->poll);
    uv_timer_start(&a->rest, on_rested, 0, 0);
}

void airlock_finish(struct airlock *a) {
    if (a->finishing)
        return;
    a->finishing = true;
    shutdown(a->reports, SHUT_WR);
    uv_timer_start(&a->timer, on_late, FINISH_MS, 0);
}

/* Small enough to be sent as a whole, or not at all. */
int airlock_answer(struct airlock *a, const char *line, size_t length,
                   struct fault *f) {
    ssize_t sent =
        a->finishing || a->exited
            ? 0
            : send(a->reports, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == (ssize_t)length)
        return 0;
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return fault_set(f, 429, "too many answers wait for the airlock");
    if (sent > 0)
        kill_it(a); /* what follows would be the rest of it */
    return fault_set(f, 409, "the airlock of the run has ended");
}

/* ---- the start ---- */

int airlock_rules(const char *text, struct fault *f) {
    int fd CLEANUP(cleanup_close) = memfd_create("rules", MFD_CLOEXEC);
    if (fd < 0 || pwrite_all(fd, text, strlen(text), 0) < 0)
        return fault_errno(f, "cannot pass on the rules of the network");
    return steal_fd(&fd);
}

/* Which servers the airlock trusts is up to the engine's user. */
static const char *const trust_variables[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
enum { TRUST_VARIABLES = sizeof trust_variables / sizeof *trust_variables };

static void add_trust(char **env, char *made[TRUST_VARIABLES]) {
    for (int i = 0; i < TRUST_VARIABLES; i++) {
        const char *value = getenv(trust_variables[i]);
        if (value && asprintf(&made[i], "%s=%s", trust_variables[i], value) > 0)
            *env++ = made[i];
    }
}

static int spawn(struct airlock *a, uv_loop_t *loop, int program,
                 const int fds[3]) {
    char path[32];
    char *args[] = {"contree-airlock", NULL};
    char *env[3 + TRUST_VARIABLES] = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    uv_stdio_container_t stdio[FD_COUNT] = {
        [STDERR_FILENO] = {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
    for (int i = 0; i < FD_COUNT - RULES_FD; i++)
        stdio[RULES_FD + i] =
            (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fds[i]};
    uv_process_options_t options = {.file = path,
                                    .args = args,
                                    .env = env,
                                    .exit_cb = on_exit_of_airlock,
                                    .stdio = stdio,
                                    .stdio_count = FD_COUNT};
    char *trust[TRUST_VARIABLES] = {NULL};
    add_trust(env + 1, trust);
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    a->open_handles++;
    int rc = uv_spawn(loop, &a->process, &options);
    for (int i = 0; i < TRUST_VARIABLES; i++)
        free(trust[i]);
    return rc;
}

static void on_unborn(uv_handle_t *handle) {
    struct airlock *a = handle->data;
    if (--a->open_handles == 0) {
        drop_fd(&a->reports);
        free(a);
    }
}

/* uv_spawn() was called if `spawned`: then there is a handle. */
static void undo(struct airlock *a, bool spawned) {
    if (spawned)
        uv_close((uv_handle_t *)&a->process, on_unborn);
    uv_close((uv_handle_t *)&a->timer, on_unborn);
    uv_close((uv_handle_t *)&a->rest, on_unborn);
    watch_close(&a->poll, on_unborn);
}

/* From its success on the poll handle is open. */
static int watch_reports(struct airlock *a, uv_loop_t *loop, struct fault *f) {
    a->process.data = a->poll.data = a->timer.data = a->rest.data = a;
    if (watch_open(loop, &a->poll, a->reports, f) < 0)
        return -1;
    uv_timer_init(loop, &a->timer);
    uv_timer_init(loop, &a->rest);
    a->open_handles = 3;
    return 0;
}

/* Takes `a` over, also on failure. The child numbers the descriptors that it
 * inherits before it executes the program, whose own number is none of theirs.
 */
static int start(struct airlock *a, uv_loop_t *loop, int program, int net,
                 int rules, struct fault *f) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        free(a);
        return fault_errno(f, "cannot make a socket");
    }
    a->reports = ends[0];
    if (watch_reports(a, loop, f) < 0) {
        close_fd(ends[0]);
        close_fd(ends[1]);
        free(a);
        return -1;
    }
    int copy = fcntl(program, F_DUPFD_CLOEXEC, FD_COUNT);
    int rc = copy < 0
                 ? UV_EMFILE
                 : spawn(a, loop, copy, (const int[]){rules, ends[1], net});
    close_fd(copy);
    close_fd(ends[1]);
    if (rc < 0) {
        undo(a, copy >= 0);
        return fault_set(f, 503, "cannot start contree-airlock: %s",
                         uv_strerror(rc));
    }
    a->reading = true;
    uv_poll_start(&a->poll, UV_READABLE, on_reports);
    uv_timer_start(&a->timer, on_late, START_MS, 0);
    return 0;
}

struct airlock *airlock_start(uv_loop_t *loop, int program, int net, int rules,
                              const struct airlock_callbacks *on, void *arg,
                              struct fault *f) {
    struct airlock *a = calloc(1, sizeof *a);
    int rc = -1;
    if (a) {
        a->on = *on;
        a->arg = arg;
        rc = start(a, loop, program, net, rules, f);
    } else {
        fault_memory(f);
    }
    close_fd(net);
    close_fd(rules);
    return rc < 0 ? NULL : a;
}
