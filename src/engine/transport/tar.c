/* tar.c: see import.h. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "layer/publish.h"
#include "transport/import.h"
#include "transport/registry.h"
#include "unpack/jail.h"
#include "unpack/kind.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int unpack_into(const struct importer *m, const struct workspace *w,
                       int fd, const struct import_options *o,
                       struct fault *f) {
    const struct unpack_options unpack = {.ids = m->ids,
                                          .max_bytes = o->max_bytes,
                                          .max_entries = o->max_entries,
                                          .deadline = o->deadline};
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

/* ---- what other programs saved ---- */

static int import_docker(const struct importer *m,
                         const struct import_options *o, struct image *out,
                         struct fault *f) {
    const struct saved_archive s = {"docker-archive", o->file, o->name};
    bool unreadable;
    if (!o->file)
        return fault_set(
            f, 422,
            "this is what docker save writes, which cannot be read "
            "from a pipe: docker save NAME -o FILE, then "
            "contree-engine import docker-archive:FILE");
    return registry_import_archive(m, &s, o, out, &unreadable, f);
}

/* Import what was unpacked, if it is a saved image. 1: it is a root file
 * system. */
static int import_other(const struct importer *m, int root,
                        const struct import_options *o, struct image *out,
                        struct fault *f) {
    char inner[NAME_MAX + 1];
    switch (kind_of_tree(root, inner)) {
    case TREE_OCI:
        return import_layout(m, root, o->name, o, out, f);
    case TREE_DOCKER:
        return import_docker(m, o, out, f);
    case TREE_DIR:
        return fault_set(f, 422,
                         "this is an image as skopeo keeps it in a directory: "
                         "skopeo copy dir:DIR oci:NEW, then contree-engine "
                         "import oci:NEW");
    case TREE_NESTED:
        return fault_set(f, 422,
                         "its root file system is in the directory '%.100s', "
                         "where nothing would find it: unpack it, then tar -C "
                         "%.100s -c . | contree-engine import -",
                         inner, inner);
    default:
        return o->saved
                   ? fault_set(f, 422,
                               "this is not a saved image but the tar of a "
                               "root file system: contree-engine import %.200s",
                               o->file ? o->file : "-")
                   : 1;
    }
}

static int import_root(const struct importer *m, const struct workspace *w,
                       const struct import_options *o, struct image *out,
                       struct fault *f) {
    struct image i = {.created = wall_microseconds()};
    snprintf(i.tag, sizeof i.tag, "%s", o->tag ? o->tag : "");
    snprintf(i.operation, sizeof i.operation, "%s",
             o->operation ? o->operation : "");
    uuid_ordered(i.uuid);
    if (workspace_publish_image(m->layers, w, 0, &i, f) < 0)
        return -1;
    if (out)
        *out = i;
    return 0;
}

int import_tar(const struct importer *m, int fd, const struct import_options *o,
               struct image *out, struct fault *f) {
    struct workspace w;
    if (o->tag && tag_check(o->tag, f) < 0)
        return -1;
    if (workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    int result = unpack_into(m, &w, fd, o, f);
    int root CLEANUP(cleanup_close) =
        result < 0
            ? -1
            : openat(m->dir_fd, w.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result == 0)
        result = root < 0 ? fault_errno(f, "opening a workspace")
                          : import_other(m, root, o, out, f);
    if (result == 1)
        return import_root(m, &w, o, out, f);
    workspace_drop(m->layers, &w);
    return result;
}
