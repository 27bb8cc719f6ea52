/* jail.c: see jail.h. This is the parent's side; child.c is the other. */
#define _GNU_SOURCE
#include "unpack/jail.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "unpack/flusher.h"
#include "unpack/message.h"
#include "unpack/spare.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 100 };

struct jail {
    const struct unpack_options *o;
    struct fault *f;
    int root, input;
    struct flusher *flusher;
    struct unpacker child;
    bool waited;             /* the child, for an archive */
    bool heard;              /* it has sent something */
    struct unpack_message m; /* the last one */
};

/* ---- start ---- */

/* The order, with the directory and the archive. */
static int send_packet(int control, const struct unpack_order *order, int root,
                       int input) {
    const int fds[] = {root, input};
    union {
        char bytes[CMSG_SPACE(sizeof fds)];
        struct cmsghdr align;
    } extra = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)order, sizeof *order};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = extra.bytes,
                             .msg_controllen = sizeof extra.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    return TEMP_FAILURE_RETRY(sendmsg(control, &message, MSG_NOSIGNAL)) < 0 ? -1
                                                                            : 0;
}

/* Order the process that waits, or a new one where none waits or it is dead. */
static int start(struct jail *j, const struct unpack_order *order) {
    j->waited = spare_take(&j->child) &&
                send_packet(j->child.control, order, j->root, j->input) == 0;
    if (j->waited)
        return 0;
    unpacker_end(&j->child);
    if (unpacker_start(&j->child, j->f) < 0)
        return -1;
    if (send_packet(j->child.control, order, j->root, j->input) == 0)
        return 0;
    return fault_errno(j->f, "unpacking: talking to the process");
}

static int begin(struct jail *j, bool layer) {
    const struct unpack_options *o = j->o;
    struct unpack_order order = {.parent = getpid(),
                                 .ids = o->ids.count,
                                 .layer = layer,
                                 .whiteouts = o->whiteouts,
                                 .asks = o->below != NULL,
                                 .max_bytes = o->max_bytes,
                                 .max_entries = o->max_entries,
                                 .deadline = o->deadline.at};
    snprintf(order.at, sizeof order.at, "%s", o->at ? o->at : "");
    return start(j, &order);
}

/* ---- answers ---- */

static int write_map(const struct jail *j, const char *name) {
    char path[64], own[64], text[IDS_MAP_SIZE];
    snprintf(path, sizeof path, "/proc/%d/%s", j->child.pid, name);
    snprintf(own, sizeof own, "/proc/self/%s", name);
    ids_map(&j->o->ids, own, text);
    int fd CLEANUP(cleanup_close) = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : write_all(fd, text, strlen(text));
}

static int map_ids(struct jail *j, struct unpack_answer *a) {
    if (write_map(j, "uid_map") < 0 || write_map(j, "gid_map") < 0)
        return fault_errno(j->f, "unpacking: mapping ids");
    a->status = 0;
    return 0;
}

static int look_below(struct jail *j, struct unpack_answer *a) {
    const struct unpack_options *o = j->o;
    a->status =
        o->below ? o->below(o->below_arg, j->m.path, &a->below, j->f) : 0;
    return a->status < 0 ? -1 : 0;
}

static int copy_below(struct jail *j, struct unpack_answer *a) {
    const struct unpack_options *o = j->o;
    if (!o->below)
        return fault_set(j->f, 500, "unpacking: there is nothing below");
    a->status = o->copy(o->below_arg, j->m.path, j->root, j->f);
    return a->status;
}

/* Answers a message. 1: it was the last one. */
static int answer(struct jail *j) {
    struct unpack_answer a = {.status = -1};
    j->m.path[sizeof j->m.path - 1] = '\0';
    int result = j->m.kind == UNPACK_MAP     ? map_ids(j, &a)
                 : j->m.kind == UNPACK_BELOW ? look_below(j, &a)
                 : j->m.kind == UNPACK_FILE  ? copy_below(j, &a)
                                             : 1;
    if (result == 0 && TEMP_FAILURE_RETRY(send(j->child.control, &a, sizeof a,
                                               MSG_NOSIGNAL)) < 0)
        return fault_errno(j->f, "unpacking: talking to the process");
    return result;
}

/* Serves the child until it is done (0), is dead (1) or must be stopped
 * (-1). */
static int converse(struct jail *j) {
    struct pollfd p = {.fd = j->child.control, .events = POLLIN};
    int last = 0;
    while (last == 0) {
        if (deadline_check(&j->o->deadline, "the archive", j->f) < 0)
            return -1;
        int ready = poll(&p, 1, TICK_MS);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n =
            TEMP_FAILURE_RETRY(recv(j->child.control, &j->m, sizeof j->m, 0));
        if (n != (ssize_t)sizeof j->m)
            return 1;
        j->heard = true;
        if (j->m.kind == UNPACK_ADVANCED)
            flusher_wake(&j->flusher, j->root);
        else
            last = answer(j);
    }
    return last < 0 ? -1 : 0;
}

/* One that waited may be dying when it gets its order. Nothing is lost: it
 * reads the archive only after its first message. */
static int run(struct jail *j, bool layer) {
    for (;;) {
        int outcome = begin(j, layer);
        if (outcome == 0)
            outcome = converse(j);
        if (outcome <= 0 || !j->waited || j->heard)
            return outcome;
        unpacker_end(&j->child);
    }
}

/* ---- end ---- */

static int tell_death(struct jail *j, int status) {
    if (WIFSIGNALED(status))
        return fault_set(j->f, 422,
                         "bad archive: the process that unpacked it died of "
                         "signal %d",
                         WTERMSIG(status));
    return fault_set(j->f, 500, "the process that unpacks ended with %d",
                     WEXITSTATUS(status));
}

static int64_t within(int64_t value, int64_t most) {
    return value < 0 ? 0 : most > 0 && value > most ? most : value;
}

/* Takes the child's result over. None of its fields is trusted: callers add
 * them up. */
static int take_outcome(struct jail *j, char *digest,
                        struct unpack_result *result) {
    struct unpack_message *m = &j->m;
    m->fault.message[sizeof m->fault.message - 1] = '\0';
    m->digest[sizeof m->digest - 1] = '\0';
    *result = (struct unpack_result){
        .entries = within(m->result.entries, j->o->max_entries),
        .bytes = within(m->result.bytes, j->o->max_bytes),
        .skipped = within(m->result.skipped, INT32_MAX)};
    if (digest)
        memcpy(digest, m->digest, sizeof m->digest);
    if (m->status == 0)
        return 0;
    bool sensible = m->fault.status >= 400 && m->fault.status < 600;
    return fault_set(j->f, sensible ? m->fault.status : 500, "%s",
                     m->fault.message);
}

int unpack_jailed(int root, int fd, const struct unpack_options *o,
                  char digest[DIGEST_SIZE], struct unpack_result *result,
                  struct fault *f) {
    struct jail *j = calloc(1, sizeof *j);
    *result = (struct unpack_result){0};
    if (!j)
        return fault_memory(f);
    *j = (struct jail){
        .o = o, .f = f, .root = root, .input = fd, .child = {.control = -1}};
    int outcome = run(j, digest != NULL);
    int status = unpacker_end(&j->child);
    flusher_close(&j->flusher);
    if (outcome > 0)
        outcome = tell_death(j, status);
    else if (outcome == 0)
        outcome = take_outcome(j, digest, result);
    free(j);
    return outcome;
}
