/* below.c: see below.h. */
#define _GNU_SOURCE
#include "transport/below.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "layer/copy.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int below_look(void *arg, const char *path, struct unpack_below *out,
               struct fault *f) {
    const struct below *b = arg;
    char absolute[PATH_MAX + 1];
    struct item item;
    struct fault why;
    snprintf(absolute, sizeof absolute, "/%s", path);
    if (inspect_stat(b->view, absolute, false, &item, &why) < 0)
        return why.status < 500 ? 0
                                : fault_set(f, why.status, "%s", why.message);
    if (strcmp(item.path, path) != 0)
        return 0; /* the path leads through a link */
    *out = (struct unpack_below){.uid = item.st.st_uid,
                                 .gid = item.st.st_gid,
                                 .mode = item.st.st_mode,
                                 .inode = item.st.st_ino,
                                 .bytes = item.st.st_blocks * 512,
                                 .mtime = item.st.st_mtim};
    snprintf(out->target, sizeof out->target, "%s", item.target);
    return 1;
}

int below_copy(void *arg, const char *path, int root, struct fault *f) {
    const struct below *b = arg;
    char *piece CLEANUP(cleanup_free) = malloc(COPY_PIECE);
    const struct copier c = {piece, b->deadline};
    char absolute[PATH_MAX + 1];
    struct stat st;
    if (!piece)
        return fault_memory(f);
    snprintf(absolute, sizeof absolute, "/%s", path);
    int from CLEANUP(cleanup_close) = inspect_open(b->view, absolute, NULL, f);
    if (from < 0)
        return -1;
    int to CLEANUP(cleanup_close) =
        openat(root, UNPACK_COPY,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to >= 0 && fstat(from, &st) == 0 &&
        copy_data(&c, from, to, st.st_size) == 0 &&
        copy_metadata(&c, from, to, &st) == 0)
        return 0;
    fault_errno(f, "copying /%.200s of a layer below", path);
    deadline_check(&c.deadline, "the import", f);
    return -1;
}
