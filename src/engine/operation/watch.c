/* watch.c: see watch.h. */
#define _GNU_SOURCE
#include "operation/watch.h"
#include "base/descriptor.h"
#include "base/json.h"
#include "base/scope.h"
#include "operation/internal.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int operation_watch(const struct operation *op, const char *path,
                    bool recursive, struct fault *f) {
    int pair[2];
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) < 0)
        return fault_errno(f, "cannot watch");
    int ours CLEANUP(cleanup_close) = pair[0];
    if (sandbox_watch(op->sandbox, path, recursive, pair[1], f) < 0)
        return -1;
    return steal_fd(&ours);
}

/* Init is ours and sends whole packets. That the strings end, and that a status
 * is one, is checked all the same. */
static bool is_whole(const struct watch_packet *p, size_t length) {
    size_t head = offsetof(struct watch_packet, text);
    const char *end = (const char *)p + length;
    const char *first =
        length > head ? memchr(p->text, '\0', length - head) : NULL;
    return first && first + 1 < end &&
           memchr(first + 1, '\0', (size_t)(end - first - 1));
}

int watch_receive(int fd, struct watch_packet *p) {
    ssize_t n;
    do
        n = recv(fd, p, sizeof *p, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0 || !is_whole(p, (size_t)n))
        return -1;
    if (p->status < 400 || p->status > 599)
        p->status = 500;
    return 1;
}

static const char *name_of(uint32_t kind) {
    switch (kind) {
    case WATCH_CREATED:
        return "created";
    case WATCH_MODIFIED:
        return "modified";
    case WATCH_WRITTEN:
        return "written";
    case WATCH_ATTRIBUTES:
        return "attributes";
    case WATCH_DELETED:
        return "deleted";
    case WATCH_MOVED:
        return "moved";
    }
    return "overflow";
}

static void add_path(struct buffer *b, const char *key, const char *top,
                     const char *path) {
    char whole[2 * WATCH_PATH_SIZE + 2];
    const char *slash = *path && strcmp(top, "/") != 0 ? "/" : "";
    snprintf(whole, sizeof whole, "%s%s%s", top, slash, path);
    json_add_name(b, key, whole);
}

void watch_write(struct buffer *b, const char *top,
                 const struct watch_packet *p) {
    const char *second = p->text + strlen(p->text) + 1;
    json_open(b, NULL, '{');
    json_add_string(b, "type", name_of(p->kind));
    add_path(b, "path", top, p->text);
    if (p->kind == WATCH_MOVED)
        add_path(b, "from", top, second);
    if (p->kind != WATCH_OVERFLOW)
        json_add_bool(b, "directory", p->is_dir);
    json_close(b, '}');
}
