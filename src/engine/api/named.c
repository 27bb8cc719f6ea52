/* named.c: see named.h. */
#define _GNU_SOURCE
#include "api/named.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int named_file_read(struct request *r, struct fields *in,
                    struct named_file *out, struct fault *f) {
    const char *inode = "";
    if (!field_int(in, "fd", 0, INT32_MAX, &out->fd) && !in->fault.status)
        field_refuse(in, "fd", "is missing");
    if (!field_string(in, "inode", &inode) && !in->fault.status)
        field_refuse(in, "inode", "is missing");
    *f = in->fault;
    if (f->status)
        return -1;
    snprintf(out->inode, sizeof out->inode, "%s", inode);
    out->client = request_client(r);
    return request_is_local(r) && out->client > 0
               ? 0
               : fault_set(f, 403,
                           "descriptors can be named over the Unix socket only,"
                           " by a process that the engine sees");
}

static bool is_named(const struct named_file *file, const struct stat *st) {
    char inode[48];
    snprintf(inode, sizeof inode, "%ju.%ju", (uintmax_t)st->st_dev,
             (uintmax_t)st->st_ino);
    return S_ISREG(st->st_mode) && strcmp(inode, file->inode) == 0;
}

int named_file_open(const struct named_file *file, struct fault *f) {
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%ld/fd/%lld", file->client,
             (long long)file->fd);
    int fd CLEANUP(cleanup_close) =
        stat(path, &st) == 0 && is_named(file, &st)
            ? open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
            : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !is_named(file, &st))
        return fault_set(f, 422,
                         "descriptor %lld of the client is not that file, or "
                         "cannot be read: send its content",
                         (long long)file->fd);
    return steal_fd(&fd);
}
