/* reports.c: whatever the init of a sandbox reports, in whatever order, its
 * sandbox tells in the order of a life: started once and first, and nothing
 * behind the end; texts have an end, faults a status, and no descriptor stays.
 * The input is reports: a byte for each (its descriptors, its length), then its
 * beginning. */
#define _GNU_SOURCE
#include "../input.h"
#include "../packet.h"
#include "base/turn.h"
#include "sandbox/launcher.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* The loop would tell; this program has none. */
#define launcher_loop(l) ((void)(l), (uv_loop_t *)NULL)
#define launcher_refill(l) ((void)(l))
#define turn_is_long(loop) ((void)(loop), false)
#define uv_poll_start(poll, events, callback)                                  \
    ((void)(poll), (void)(events), (void)(callback))
#define uv_is_active(handle) ((void)(handle), 0)
#include "../../src/engine/sandbox/sandbox.c"

/* What was told of the sandbox. */
struct told {
    bool started, ended;
};

static struct told *alive(void *arg) {
    struct told *t = arg;
    HOLDS(t->started && !t->ended);
    return t;
}

static void check_fault(const struct fault *f) {
    HOLDS(f->status >= 400 && f->status <= 599);
    HOLDS(strnlen(f->message, sizeof f->message) < sizeof f->message);
}

static void on_started(void *arg) {
    struct told *t = arg;
    HOLDS(!t->started && !t->ended);
    t->started = true;
}
static void on_failed(void *arg, const struct fault *why) {
    struct told *t = arg;
    HOLDS(!t->ended);
    t->ended = true;
    check_fault(why);
}
static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a, int terminal) {
    (void)spid;
    (void)pid;
    alive(arg);
    HOLDS(!a->home || strlen(a->home) < ACCOUNT_HOME_SIZE);
    HOLDS(!a->user || strlen(a->user) < ACCOUNT_NAME_SIZE);
    if (terminal >= 0)
        close(terminal);
}
static void on_spawn_failed(void *arg, int spid, const struct fault *why) {
    (void)spid;
    alive(arg);
    check_fault(why);
}
static void on_exited(void *arg, int spid, const struct sandbox_exit *e) {
    HOLDS(e->code >= -1 && e->code < 256);
    alive(arg)->ended = spid == 1;
}
static void on_paused(void *arg, bool all) {
    (void)all;
    alive(arg);
}
static void on_socket(void *arg, unsigned id, int fd, const struct fault *why) {
    (void)id;
    alive(arg);
    HOLDS((fd < 0) == (why != NULL));
    if (fd >= 0)
        close(fd);
    else
        check_fault(why);
}

static const struct sandbox_callbacks callbacks = {.started = on_started,
                                                   .failed = on_failed,
                                                   .spawned = on_spawned,
                                                   .spawn_failed =
                                                       on_spawn_failed,
                                                   .exited = on_exited,
                                                   .paused = on_paused,
                                                   .socket = on_socket};

static void send_report(int to, struct input *in) {
    struct report r;
    uint8_t how = input_byte(in);
    int fds[2] = {0, 0}, count = (how & 3) % 3;
    size_t n = in->left < sizeof r ? in->left : sizeof r;
    n = how & 64 && n > 120 ? 120 : n;
    memset(&r, how & 32 ? 'x' : 0, sizeof r);
    memcpy(&r, in->at, n);
    r.type %= REPORT_TRACE + 2;
    r.spid %= 3;
    in->at += n;
    in->left -= n;
    packet_send(to, &r, how & 16 ? n : sizeof r, fds, count, MSG_DONTWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct told told = {0};
    struct sandbox s = {.on = callbacks,
                        .arg = &told,
                        .rules = -1,
                        .certificate = -1,
                        .has_cell = true};
    int pair[2], before = open_descriptors();
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                     pair) == 0);
    s.last = &s.first;
    s.cell = (struct cell){.control = pair[0], .pidfd = -1, .net = -1};
    while (in.left > 0) {
        send_report(pair[1], &in);
        if (receive_reports(&s) == NO_MORE_NOW)
            continue;
        /* The socket of one that was killed is shut down. */
        HOLDS(told.ended);
        break;
    }
    drop_messages(&s, NULL);
    HOLDS(open_descriptors() == before + 2);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
