/* test_launcher.c: what becomes of a request for a cell when its forkserver
 * fails. The forkserver is this program. */
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static int send_error;   /* of the next request; 0: none */
static int timers_begun; /* by the launcher, which has no loop here */

static ssize_t send_or_fail(int fd, const void *data, size_t length,
                            int flags) {
    errno = send_error;
    send_error = 0;
    return errno ? -1 : send(fd, data, length, flags);
}
#define send send_or_fail
#define uv_timer_stop(timer) ((void)(timer))
#define uv_timer_start(timer, callback, first, again)                          \
    ((void)(timer), (void)(callback), (void)(first), (void)(again),            \
     timers_begun++)
#include "../../../src/engine/sandbox/launcher.c"
#undef send

static struct launcher l; /* large */
static int other;         /* the forkserver's side */
static struct cell_request request;
static struct cell got;
static struct fault refusal;

static void on_ready(struct cell_request *r, struct cell cell) {
    (void)r;
    got = cell;
}

static void on_refused(struct cell_request *r, const struct fault *why) {
    (void)r;
    refusal = *why;
}

static void begin(void) {
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                     pair) == 0);
    l = (struct launcher){.forkserver_count = 1};
    for (int kind = 0; kind < CELL_KINDS; kind++)
        cell_queue_init(&l.waiting[kind]);
    l.forkservers[0] = (struct forkserver_handle){
        .launcher = &l, .socket = pair[0], .greeted = true, .watched = true};
    other = pair[1];
    got = (struct cell){-1, -1, -1, NULL};
    refusal = (struct fault){0};
    request = (struct cell_request){
        .ready = on_ready, .refused = on_refused, .connected = true};
    timers_begun = 0;
}

static void end(void) {
    close(l.forkservers[0].socket);
    close(other);
}

static int asked(void) {
    char kind;
    int count = 0;
    while (recv(other, &kind, 1, 0) == 1)
        count += kind == CELL_CONNECTED;
    return count;
}

static void fail_one(void) {
    struct cell_report r = {
        .type = CELL_FAULT, .kind = CELL_CONNECTED, .status = 507};
    strcpy(r.message, "the disk is full");
    CHECK_NUMBER(send(other, &r, sizeof r, 0), sizeof r);
    CHECK_NUMBER(receive_answer(&l.forkservers[0]), 1);
    ask_for_waiting(&l);
}

static void test_fails_once(void) {
    begin();
    CHECK(!launcher_take(&l, &request, &got));
    CHECK_NUMBER(asked(), 1);
    fail_one();
    CHECK_NUMBER(refusal.status, 0);
    CHECK_NUMBER(asked(), 1);
    fail_one();
    CHECK_NUMBER(refusal.status, 507);
    CHECK_STRING(refusal.message, "the disk is full");
    CHECK_NUMBER(asked(), 0);
    CHECK_NUMBER(l.waiting[CELL_CONNECTED].count, 0);
    /* Each has two attempts, also one that is used again. */
    CHECK(!launcher_take(&l, &request, &got));
    refusal.status = 0;
    fail_one();
    CHECK_NUMBER(refusal.status, 0);
    CHECK_NUMBER(asked(), 2);
    end();
}

static void test_keeps_its_place(void) {
    begin();
    struct cell_request second = request;
    CHECK(!launcher_take(&l, &request, &got));
    CHECK(!launcher_take(&l, &second, &got));
    fail_one();
    CHECK(l.waiting[CELL_CONNECTED].first == &request);
    CHECK(request.next == &second && !second.next);
    CHECK_NUMBER(l.waiting[CELL_CONNECTED].count, 2);
    CHECK_NUMBER(asked(), 3);
    end();
}

static void test_cannot_be_asked(void) {
    static const int errors[] = {ENOBUFS, EINTR, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        begin();
        send_error = errors[i];
        CHECK(!launcher_take(&l, &request, &got));
        CHECK_NUMBER(asked(), 0);
        CHECK_NUMBER(timers_begun, 1);
        launcher_refill(&l); /* as the timer does */
        CHECK_NUMBER(asked(), 1);
        end();
    }
    begin();
    send_error = EAGAIN; /* it is full, and will answer */
    CHECK(!launcher_take(&l, &request, &got));
    CHECK_NUMBER(timers_begun, 0);
    end();
}

int main(void) {
    RUN(test_fails_once, "a request whose cell fails is made once more");
    RUN(test_keeps_its_place, "it keeps its place before others");
    RUN(test_cannot_be_asked, "what could not be asked for is asked for soon");
    return CHECK_DONE();
}
