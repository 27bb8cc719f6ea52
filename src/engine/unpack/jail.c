/* jail.c: see jail.h. This is the parent's side; child.c is the other. */
#define _GNU_SOURCE
#include "unpack/jail.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "unpack/message.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 100, ABOVE_CHILDS = 16, EARLY_BYTES = 64 << 20 };

struct jail {
    const struct unpack_options *o;
    struct fault *f;
    int root, input;
    off_t written;         /* of the input, with what was made of it */
    int given[UNPACK_FDS]; /* duplicates, which become the child's descriptors
                            */
    int control;
    pid_t pid;
    struct unpack_message m; /* the last one */
};

/* ---- start ---- */

static int make_actions(const struct jail *j, posix_spawn_file_actions_t *a) {
    int error = posix_spawn_file_actions_init(a);
    if (error)
        return error;
    for (int fd = 0; fd < UNPACK_ROOT && !error; fd++)
        error = posix_spawn_file_actions_addopen(a, fd, "/dev/null", O_RDWR, 0);
    for (int fd = UNPACK_ROOT; fd < UNPACK_FDS && !error; fd++)
        error = posix_spawn_file_actions_adddup2(a, j->given[fd], fd);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(a, UNPACK_FDS);
    if (error)
        posix_spawn_file_actions_destroy(a);
    return error;
}

/* The child blocks and ignores no signal, and is in a process group of its
 * own. */
static int make_attributes(posix_spawnattr_t *a) {
    sigset_t none, all;
    int error = posix_spawnattr_init(a);
    if (error)
        return error;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(a, &none);
    posix_spawnattr_setsigdefault(a, &all);
    return posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK |
                                           POSIX_SPAWN_SETSIGDEF |
                                           POSIX_SPAWN_SETPGROUP);
}

/* The child gets an empty environment: ours may contain secrets. */
static int spawn(struct jail *j) {
    char *argv[] = {(char[]){UNPACK_NAME}, NULL}, *envp[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = make_actions(j, &actions);
    if (error)
        return error;
    error = make_attributes(&attributes);
    if (!error) {
        error = posix_spawn(&j->pid, "/proc/self/exe", &actions, &attributes,
                            argv, envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int start(struct jail *j, int root, int input) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fault_errno(j->f, "unpacking: making a socket");
    j->control = ends[0];
    const int from[UNPACK_FDS] = {[UNPACK_ROOT] = root,
                                  [UNPACK_INPUT] = input,
                                  [UNPACK_CONTROL] = ends[1]};
    bool there = true;
    for (int fd = UNPACK_ROOT; fd < UNPACK_FDS; fd++) {
        j->given[fd] = fcntl(from[fd], F_DUPFD_CLOEXEC, ABOVE_CHILDS);
        there = there && j->given[fd] >= 0;
    }
    close_fd(ends[1]);
    errno = there ? spawn(j) : errno;
    if (!there || errno)
        return fault_errno(j->f, "unpacking: starting a process for it");
    for (int fd = UNPACK_ROOT; fd < UNPACK_FDS; fd++)
        drop_fd(&j->given[fd]);
    return 0;
}

static int send_order(const struct jail *j, bool layer) {
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
    if (send(j->control, &order, sizeof order, MSG_NOSIGNAL) < 0)
        return fault_errno(j->f, "unpacking: talking to the process");
    return 0;
}

/* ---- answers ---- */

static int write_map(const struct jail *j, const char *name) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s", j->pid, name);
    snprintf(text, sizeof text, "0 %u %u\n", (unsigned)j->o->ids.base,
             (unsigned)j->o->ids.count);
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
    if (result == 0 && send(j->control, &a, sizeof a, MSG_NOSIGNAL) < 0)
        return fault_errno(j->f, "unpacking: talking to the process");
    return result;
}

/* Whoever wants a durable tree syncs it in the end. Of a large archive most is
 * on disk by then: the disk works while the child does. The offset of a file is
 * the child's; a pipe has none. */
static void write_early(struct jail *j) {
    off_t at = lseek(j->input, 0, SEEK_CUR);
    if (at - j->written < EARLY_BYTES)
        return;
    j->written = at;
    if (syncfs(j->root) < 0)
        return; /* the last sync tells */
}

/* Serves the child until it is done (0), is dead (1) or must be stopped
 * (-1). */
static int converse(struct jail *j) {
    struct pollfd p = {.fd = j->control, .events = POLLIN};
    int last = 0;
    while (last == 0) {
        if (deadline_check(&j->o->deadline, "the archive", j->f) < 0)
            return -1;
        int ready = poll(&p, 1, TICK_MS);
        if (ready == 0)
            write_early(j);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = recv(j->control, &j->m, sizeof j->m, 0);
        if (n != (ssize_t)sizeof j->m)
            return 1;
        last = answer(j);
    }
    return last < 0 ? -1 : 0;
}

/* ---- end ---- */

/* Kills the child and waits for its end. */
static int end(struct jail *j) {
    int status = 0;
    for (int fd = UNPACK_ROOT; fd < UNPACK_FDS; fd++)
        drop_fd(&j->given[fd]);
    drop_fd(&j->control);
    if (j->pid <= 0)
        return 0;
    kill(j->pid, SIGKILL);
    while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static int tell_death(struct jail *j, int status) {
    if (WIFSIGNALED(status))
        return fault_set(j->f, 422,
                         "bad archive: the process that unpacked it died of "
                         "signal %d",
                         WTERMSIG(status));
    return fault_set(j->f, 500, "the process that unpacks ended with %d",
                     WEXITSTATUS(status));
}

/* Takes the child's result over. None of its fields is trusted. */
static int take_outcome(struct jail *j, char *digest,
                        struct unpack_result *result) {
    struct unpack_message *m = &j->m;
    m->fault.message[sizeof m->fault.message - 1] = '\0';
    m->digest[sizeof m->digest - 1] = '\0';
    *result = m->result;
    if (result->bytes < 0 || result->entries < 0)
        *result = (struct unpack_result){0};
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
    *j =
        (struct jail){.o = o, .f = f, .root = root, .input = fd, .control = -1};
    for (int i = 0; i < UNPACK_FDS; i++)
        j->given[i] = -1;
    int outcome = start(j, root, fd);
    if (outcome == 0)
        outcome = send_order(j, digest != NULL);
    if (outcome == 0)
        outcome = converse(j);
    int status = end(j);
    if (outcome > 0)
        outcome = tell_death(j, status);
    else if (outcome == 0)
        outcome = take_outcome(j, digest, result);
    free(j);
    return outcome;
}
