/* spare.c: see spare.h. */
#define _GNU_SOURCE
#include "unpack/spare.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "unpack/message.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Out of the way of the child's own descriptors. */
enum { ABOVE_CHILDS = 16 };

/* A workspace puts what has changed on two images at once. */
enum { SPARES = 2 };

/* This process has them, as it has children: whoever unpacks takes one. */
static struct {
    pthread_mutex_t lock;
    struct unpacker waiting[SPARES];
    size_t count;
    double asked; /* when one was last wanted */
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- start ---- */

static int make_actions(int control, posix_spawn_file_actions_t *a) {
    int error = posix_spawn_file_actions_init(a);
    if (error)
        return error;
    for (int fd = 0; fd < UNPACK_CONTROL && !error; fd++)
        error = posix_spawn_file_actions_addopen(a, fd, "/dev/null", O_RDWR, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(a, control, UNPACK_CONTROL);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(a, UNPACK_CONTROL + 1);
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
static int spawn(int control, pid_t *pid) {
    char *argv[] = {(char[]){UNPACK_NAME}, NULL}, *envp[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = make_actions(control, &actions);
    if (error)
        return error;
    error = make_attributes(&attributes);
    if (!error) {
        error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv,
                            envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int unpacker_start(struct unpacker *u, struct fault *f) {
    int ends[2];
    *u = (struct unpacker){.control = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fault_errno(f, "unpacking: making a socket");
    u->control = ends[0];
    int given = fcntl(ends[1], F_DUPFD_CLOEXEC, ABOVE_CHILDS);
    close_fd(ends[1]);
    errno = given < 0 ? errno : spawn(given, &u->pid);
    if (errno) {
        u->pid = 0;
        fault_errno(f, "unpacking: starting a process for it");
    }
    drop_fd(&given);
    return u->pid ? 0 : (drop_fd(&u->control), -1);
}

int unpacker_end(struct unpacker *u) {
    int status = 0;
    drop_fd(&u->control);
    if (u->pid <= 0)
        return 0;
    kill(u->pid, SIGKILL);
    while (waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    u->pid = 0;
    return status;
}

/* ---- ahead ---- */

bool spare_take(struct unpacker *u) {
    pthread_mutex_lock(&spare.lock);
    bool there = spare.count > 0;
    *u =
        there ? spare.waiting[--spare.count] : (struct unpacker){.control = -1};
    spare.asked = monotonic_seconds();
    pthread_mutex_unlock(&spare.lock);
    return there;
}

static size_t wanted(double seconds) {
    bool lately =
        spare.asked > 0 && monotonic_seconds() - spare.asked < seconds;
    return lately ? SPARES : 0;
}

enum spare_state spare_state(double seconds) {
    pthread_mutex_lock(&spare.lock);
    bool waits = spare.count > 0, due = spare.count != wanted(seconds);
    pthread_mutex_unlock(&spare.lock);
    return due ? SPARE_DUE : waits ? SPARE_WAITS : SPARE_NONE;
}

void spare_keep(double seconds) {
    struct fault f;
    pthread_mutex_lock(&spare.lock);
    size_t count = wanted(seconds);
    while (spare.count > count)
        unpacker_end(&spare.waiting[--spare.count]);
    while (spare.count < count &&
           unpacker_start(&spare.waiting[spare.count], &f) == 0)
        spare.count++;
    if (spare.count < count)
        spare.asked = 0; /* whoever unpacks next tries it, and tells */
    pthread_mutex_unlock(&spare.lock);
}
