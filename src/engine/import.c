/* import.c: see import.h. */
#define _GNU_SOURCE
#include "import.h"
#include "unpack_jail.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int unpack_into(const struct importer *m, const struct workspace *w,
                       int fd, const struct import_options *o,
                       struct fault *f) {
    const struct unpack_options unpack = {.ids = m->ids,
                                          .max_bytes = o->max_bytes,
                                          .max_entries = o->max_entries,
                                          .deadline = o->deadline,
                                          .cancelled = o->cancelled};
    struct unpack_result result;
    int root CLEANUP(cleanup_close) =
        openat(m->dir_fd, w->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(f, "opening a workspace");
    if (unpack_jailed(root, fd, &unpack, NULL, &result, f) < 0)
        return -1;
    if (result.entries == 0)
        return fault_set(f, 422, "bad archive: it holds nothing");
    if (result.skipped)
        log_line("import: %lld device nodes or attributes were left out",
                 (long long)result.skipped);
    return 0;
}

int import_tar(const struct importer *m, int fd, const struct import_options *o,
               struct image *out, struct fault *f) {
    struct image i = {.created = wall_microseconds()};
    struct workspace w;
    if (o->tag && !tag_is_valid(o->tag))
        return fault_set(f, 400, "malformed tag '%.64s'", o->tag);
    snprintf(i.tag, sizeof i.tag, "%s", o->tag ? o->tag : "");
    snprintf(i.operation, sizeof i.operation, "%s",
             o->operation ? o->operation : "");
    uuid_ordered(i.uuid);
    if (workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    if (unpack_into(m, &w, fd, o, f) < 0) {
        workspace_drop(m->layers, &w);
        return -1;
    }
    if (workspace_publish_image(m->layers, &w, 0, &i, f) < 0)
        return -1;
    if (out)
        *out = i;
    return 0;
}
