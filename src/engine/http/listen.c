/* listen.c: see listen.h. */
#define _GNU_SOURCE
#include "http/listen.h"
#include "base/descriptor.h"
#include "base/listen_tcp.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { OVERFLOW_ID = 65534 };

/* Whether others may create names beside `directory`: then a link there may be
 * another user's, which the kernel follows if fs.protected_symlinks is off. */
static bool is_shared(const char *directory) {
    char parent[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat st;
    const char *slash = strrchr(directory, '/');
    snprintf(parent, sizeof parent, "%.*s",
             (int)(slash == directory ? 1 : slash - directory), directory);
    return stat(parent, &st) < 0 || st.st_mode & 002;
}

static int open_directory(const char *directory) {
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    int fd = open(directory, flags | O_NOFOLLOW);
    if (fd < 0 && errno == ENOTDIR && !is_shared(directory))
        fd = open(directory, flags);
    return fd;
}

/* Open the directory of `path`, which is made if it is missing. Refuse one in
 * which other users could put a socket of theirs. */
static int prepare_directory(const char *path, bool group, struct fault *f) {
    char directory[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    struct stat st;
    if (*path != '/' || !slash || !slash[1])
        return fault_set(f, 400, "the socket path %s is not absolute", path);
    snprintf(directory, sizeof directory, "%.*s",
             (int)(slash == path ? 1 : slash - path), path);
    if (mkdir(directory, group ? 0750 : 0700) < 0 && errno != EEXIST)
        return fault_errno(f, "cannot make the socket directory %s", directory);
    int fd CLEANUP(cleanup_close) = open_directory(directory);
    if (fd < 0 && errno == ENOTDIR)
        return fault_set(f, 403,
                         "%s is no directory, or a link where everybody can "
                         "make one; choose another with --socket",
                         directory);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fault_errno(f, "cannot use the socket directory %s", directory);
    /* In a user namespace, /tmp of the outer root has the overflow id. */
    bool sticky = st.st_mode & S_ISVTX;
    bool ours = st.st_uid == geteuid() || st.st_uid == 0 ||
                (sticky && st.st_uid == OVERFLOW_ID);
    bool open = (st.st_mode & 022) && !sticky;
    if (!ours || open)
        return fault_set(f, 403,
                         "%s is not a directory of yours that nobody else can "
                         "write to; choose another with --socket",
                         directory);
    return steal_fd(&fd);
}

static int open_place(const char *path, bool group, struct fault *f) {
    enum { MOST = sizeof((struct sockaddr_un *)0)->sun_path - 9 };
    if (strlen(path) > MOST)
        return fault_set(f, 400,
                         "the socket path %s is longer than %d bytes, the "
                         "most a socket can have; choose another with --socket",
                         path, (int)MOST);
    return prepare_directory(path, group, f);
}

int listen_check(const char *path, struct fault *f) {
    int directory CLEANUP(cleanup_close) = open_place(path, false, f);
    return directory < 0 ? -1 : 0;
}

/* Make the socket under a temporary name, then rename it to `name`. No other
 * engine does that for the same path at the same time, for the caller holds the
 * lock of the data directory; an old temporary name is a leftover. */
static int bind_in(int directory, int fd, bool group, const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char fresh[72];
    snprintf(fresh, sizeof fresh, "%.64s.new",
             name); /* so that it fits into sun_path */
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
             directory, fresh);
    unlinkat(directory, fresh, 0);
    mode_t old = umask(group ? 0117 : 0177);
    int rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(old);
    if (rc < 0)
        return -1;
    if (listen(fd, LISTEN_BACKLOG) == 0 &&
        renameat(directory, fresh, directory, name) == 0)
        return 0;
    unlinkat(directory, fresh, 0);
    return -1;
}

int listen_socket(struct fault *f) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? fault_errno(f, "cannot make a socket") : fd;
}

int listen_unix(int fd, const char *path, bool group, struct fault *f) {
    int directory CLEANUP(cleanup_close) = open_place(path, group, f);
    if (directory < 0)
        return -1;
    if (bind_in(directory, fd, group, strrchr(path, '/') + 1) < 0)
        return fault_errno(f, "cannot listen on %s", path);
    return 0;
}

bool peer_is_us(int fd) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           peer.uid == geteuid();
}

/* The further groups of the peer: *count ids to free, or NULL. */
static gid_t *peer_groups(int fd, size_t *count) {
    socklen_t bytes = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 ||
        errno != ERANGE)
        return NULL;
    gid_t *groups = malloc(bytes);
    if (!groups ||
        getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0) {
        free(groups);
        return NULL;
    }
    *count = bytes / sizeof *groups;
    return groups;
}

/* In a user namespace, ids that it lacks become the overflow id, which is never
 * ours. */
bool peer_has_our_group(int fd) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    size_t count = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return false;
    bool found = peer.gid == getegid();
    gid_t *groups CLEANUP(cleanup_free) = peer_groups(fd, &count);
    for (size_t i = 0; i < count && !found; i++)
        found = groups[i] == getegid();
    return found;
}

long peer_process(int fd) {
    struct ucred peer = {.pid = 0};
    socklen_t length = sizeof peer;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    return peer.pid;
}
