/* layer.c: see import_layer() in import.h. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "layer/layers.h"
#include "layer/publish.h"
#include "transport/below.h"
#include "transport/import.h"
#include "unpack/jail.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads what follows the archive. A sender that breaks off ends the pipe as
 * well, but cancels the import before. */
static int read_rest(int fd, const struct deadline *d, struct fault *f) {
    char rest[16384];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (deadline_check(d, "the archive", f) == 0) {
        int ready = poll(&p, 1, 100);
        ssize_t n = ready > 0 ? read(fd, rest, sizeof rest) : -1;
        if (n == 0)
            return deadline_check(d, "the archive", f);
        if (n < 0 && ready != 0 && errno != EINTR)
            return fault_errno(f, "reading an archive");
    }
    return -1;
}

/* The number of entries, or -1. */
static int64_t unpack_on(const struct importer *m, const struct image *parent,
                         int fd, const char *at, int root,
                         const struct import_options *o, struct fault *f) {
    struct below below = {
        layers_view(m->dir_fd, m->store, parent->layer, m->ids, f),
        o->deadline};
    const struct unpack_options unpack = {.ids = m->ids,
                                          .whiteouts = true,
                                          .at = at,
                                          .max_bytes = o->max_bytes,
                                          .max_entries = o->max_entries,
                                          .deadline = o->deadline,
                                          .below = below_look,
                                          .copy = below_copy,
                                          .below_arg = &below};
    struct unpack_result result;
    int status =
        below.view ? unpack_jailed(root, fd, &unpack, NULL, &result, f) : -1;
    view_close(below.view);
    if (status < 0 || read_rest(fd, &o->deadline, f) < 0)
        return -1;
    if (overlay_is_opaque(root))
        return fault_set(f, 422, "bad archive: it would hide the whole image");
    if (result.skipped)
        log_line("a layer: %lld device nodes or attributes were left out",
                 (long long)result.skipped);
    return result.entries;
}

static int fill(struct image *i, const struct image *parent,
                const struct import_options *o, struct fault *f) {
    *i = (struct image){.created = wall_microseconds(),
                        .layer = parent->layer,
                        .size = parent->size};
    uuid_ordered(i->uuid);
    snprintf(i->tag, sizeof i->tag, "%s", o->tag ? o->tag : "");
    snprintf(i->operation, sizeof i->operation, "%s",
             o->operation ? o->operation : "");
    i->env = parent->env ? strdup(parent->env) : NULL;
    i->cwd = parent->cwd ? strdup(parent->cwd) : NULL;
    i->user = parent->user ? strdup(parent->user) : NULL;
    if ((parent->env && !i->env) || (parent->cwd && !i->cwd) ||
        (parent->user && !i->user))
        return fault_memory(f);
    return 0;
}

/* Consumes the workspace. */
static int publish(const struct importer *m, const struct workspace *w,
                   int64_t entries, struct image *i, struct fault *f) {
    if (entries > 0)
        return workspace_publish_image(m->layers, w, i->layer, i, f);
    workspace_drop(m->layers, w);
    return store_image_add(m->store, i, f) < 0 ? -1 : store_sync(m->store, f);
}

int import_layer(const struct importer *m, const struct image *parent, int fd,
                 const char *at, const struct import_options *o,
                 struct image *out, struct fault *f) {
    struct workspace w;
    struct image i = {0};
    if (workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    int root CLEANUP(cleanup_close) =
        openat(m->dir_fd, w.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t entries = root < 0 ? fault_errno(f, "opening a workspace")
                               : unpack_on(m, parent, fd, at, root, o, f);
    int result = entries < 0 ? -1 : fill(&i, parent, o, f);
    if (result == 0)
        result = publish(m, &w, entries, &i, f);
    else
        workspace_drop(m->layers, &w);
    if (result == 0 && out)
        *out = i;
    else
        image_clear(&i);
    return result;
}
