/* launcher.c: whatever a forkserver answers, and with whatever descriptors,
 * each request for a cell is answered once at most, with a whole cell or a
 * fault of the API, no cell comes that was not asked for, and no descriptor
 * stays. The input is requests and answers, a byte each that says which, then
 * the beginning of an answer. */
#define _GNU_SOURCE
#include "../input.h"
#include "../packet.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"

/* The forkserver is this program, and there is neither a loop nor a log. */
static void log_nothing(const char *format, ...) {
    (void)format;
}
#define log_line log_nothing
#define waitid(type, id, info, flags) ((void)(info), 0)
#define uv_timer_stop(timer) ((void)(timer))
#define uv_timer_start(timer, callback, first, again)                          \
    ((void)(timer), (void)(callback), (void)(first), (void)(again))
#include "../../src/engine/sandbox/launcher.c"

enum { REQUESTS = 8 };

static struct asked {
    struct cell_request request;
    bool waits, answered;
    struct cell cell;
} asked[REQUESTS]; /* of this input */

static struct asked *answer(struct cell_request *r) {
    struct asked *a = (struct asked *)r;
    HOLDS(a->waits && !a->answered);
    a->answered = true;
    return a;
}

static void on_ready(struct cell_request *r, struct cell cell) {
    struct asked *a = answer(r);
    HOLDS(cell.control >= 0 && cell.pidfd >= 0);
    HOLDS((cell.net >= 0) == r->connected);
    a->cell = cell;
}

static void on_refused(struct cell_request *r, const struct fault *why) {
    answer(r);
    HOLDS(why->status >= 400 && why->status <= 599);
    HOLDS(strnlen(why->message, sizeof why->message) < sizeof why->message);
}

static void ask_one(struct launcher *l, bool connected) {
    int kind = connected ? CELL_CONNECTED : CELL_PRIVATE;
    for (int i = 0; i < REQUESTS; i++) {
        struct asked *a = &asked[i];
        if (a->waits)
            continue;
        *a = (struct asked){.request = {.ready = on_ready,
                                        .refused = on_refused,
                                        .connected = connected},
                            .waits = true,
                            .cell = {-1, -1, -1, NULL}};
        cell_queue_add(&l->waiting[kind], &a->request);
        ask_for_waiting(l);
        return;
    }
}

/* The forkserver's side: an answer with so many descriptors. */
static void send_answer(int to, uint8_t how, struct input *in) {
    struct cell_report r;
    int fds[PACKET_FDS_MAX], count = (how >> 2) % 7;
    size_t n = 1 + input_byte(in) % 16;
    n = n < in->left ? n : in->left;
    memset(&r, how & 128 ? 'x' : 0, sizeof r);
    memcpy(&r, in->at, n);
    in->at += n;
    in->left -= n;
    r.type = (int32_t)((uint32_t)r.type % (CELL_FAULT + 2));
    r.kind = (int32_t)((uint32_t)r.kind % (CELL_KINDS + 1));
    for (int i = 0; i < count; i++)
        fds[i] = eventfd(0, EFD_CLOEXEC);
    packet_send(to, &r, how & 64 ? n : sizeof r, fds, count, 0);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void check_owed(const struct forkserver_handle *s) {
    for (int kind = 0; kind < CELL_KINDS; kind++)
        HOLDS(s->owed[kind] >= 0);
    HOLDS(s->launcher->ready_count <= READY_MAX);
}

/* Until the input is at its end, or the forkserver is given up. */
static void converse(struct launcher *l, int other, struct input *in) {
    struct forkserver_handle *s = &l->forkservers[0];
    int rc = 1;
    while (in->left > 0 && rc >= 0) {
        uint8_t how = input_byte(in);
        if (how & 1) {
            ask_one(l, how & 2);
            continue;
        }
        if (how & 2)
            launcher_refill(l);
        send_answer(other, how, in);
        while ((rc = receive_answer(s)) > 0)
            check_owed(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    static struct launcher l; /* large */
    struct fault f;
    int pair[2], before = open_descriptors();
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                     pair) == 0);
    memset(asked, 0, sizeof asked);
    l = (struct launcher){.forkserver_count = 1, .ready_wanted = READY_EACH};
    for (int kind = 0; kind < CELL_KINDS; kind++)
        cell_queue_init(&l.waiting[kind]);
    l.forkservers[0] = (struct forkserver_handle){
        .launcher = &l, .socket = pair[0], .pid = getpid(), .watched = true};
    converse(&l, pair[1], &in);
    fault_set(&f, 503, "it is over");
    refuse_all(&l, &f);
    drop_cells_of(&l, &l.forkservers[0]);
    HOLDS(l.ready_count == 0);
    for (int i = 0; i < REQUESTS; i++) {
        HOLDS(asked[i].waits == asked[i].answered);
        if (asked[i].waits)
            drop_cell(asked[i].cell);
    }
    close(pair[0]);
    close(pair[1]);
    HOLDS(open_descriptors() == before);
    return 0;
}
