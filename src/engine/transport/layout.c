/* layout.c: unpacks container images into layers (import.h). */
#define _GNU_SOURCE
#include "transport/layout.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "layer/publish.h"
#include "transport/below.h"
#include "unpack/jail.h"
#include "view/view.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As in unpack/unpack.c. */
#define MAX_BYTES (12LL << 30)
#define MAX_ENTRIES 2000000
/* This much of the disk is left to the store and to runs. */
#define SPARE_BYTES (256LL << 20)

struct stack {
    const struct importer *m;
    const struct import_options *o;
    struct fault *f;
    const struct oci_image *oci;
    int blobs;
    int64_t *below; /* known layers, the highest first */
    size_t below_count;
    struct workspace_layer *layers;
    size_t count;           /* entries of `layers` */
    int64_t bytes, entries; /* of all layers so far */
    struct import_progress progress;
};

/* ---- what is here already ---- */

static bool has_directory(const struct importer *m, int64_t layer) {
    char path[32];
    struct stat st;
    layer_path(layer, path);
    return fstatat(m->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int import_known(const struct importer *m, const struct oci_image *oci,
                 size_t *count, int64_t *top, struct fault *f) {
    *count = 0;
    *top = 0;
    for (; *count < oci->layer_count; ++*count) {
        const char *key = oci->layers[*count].key;
        int64_t layer;
        int unknown = store_imported_layer(m->store, key, &layer, f);
        if (unknown < 0)
            return -1;
        if (unknown)
            return 0;
        if (!has_directory(m, layer))
            return store_imported_layer_forget(m->store, key, f);
        *top = layer;
    }
    return 0;
}

/* ---- what is below ---- */

/* Open the tree of the first `n` of `layers` above the known ones. */
static struct view *open_view(const struct stack *s, size_t n) {
    int64_t *ids CLEANUP(cleanup_free) =
        calloc(n + s->below_count + 1, sizeof *ids);
    size_t count = 0;
    if (!ids) {
        fault_memory(s->f);
        return NULL;
    }
    for (size_t i = n; i > 0; i--)
        if (s->layers[i - 1].has_workspace)
            ids[count++] = -s->layers[i - 1].workspace.number;
    for (size_t i = 0; i < s->below_count; i++)
        ids[count++] = s->below[i];
    return view_open(s->m->dir_fd, ids, count, s->m->ids, s->f);
}

/* Whether `path` exists in the new image. */
static bool is_somewhere(const struct stack *s, const char *path) {
    struct view *v = open_view(s, s->count);
    struct item item;
    struct fault none;
    bool there = !v || inspect_stat(v, path, true, &item, &none) == 0 ||
                 none.status != 404;
    view_close(v);
    return there;
}

/* ---- one layer ---- */

/* The most bytes of the next layer: the rest that the image may have, or that
 * the disk has. */
static int64_t room(const struct stack *s) {
    int64_t most = s->o->max_bytes ? s->o->max_bytes : MAX_BYTES;
    struct statvfs v;
    int64_t left = most > s->bytes ? most - s->bytes : 1;
    if (fstatvfs(s->m->dir_fd, &v) < 0)
        return left;
    int64_t space = (int64_t)(v.f_bavail * v.f_frsize) - SPARE_BYTES;
    return space < 1 ? 1 : space < left ? space : left;
}

static int unpack_content(struct stack *s, int root, int blob,
                          const char *diff_id, struct unpack_result *result) {
    const struct import_options *o = s->o;
    int64_t most = o->max_entries ? o->max_entries : MAX_ENTRIES;
    char digest[DIGEST_SIZE];
    struct below below = {open_view(s, s->count - 1), o->deadline};
    const struct unpack_options unpack = {
        .ids = s->m->ids,
        .whiteouts = true,
        .max_bytes = room(s),
        .max_entries = most > s->entries ? most - s->entries : 1,
        .deadline = o->deadline,
        .below = below_look,
        .copy = below_copy,
        .below_arg = &below};
    int status = below.view
                     ? unpack_jailed(root, blob, &unpack, digest, result, s->f)
                     : -1;
    view_close(below.view);
    s->bytes += result->bytes;
    s->entries += result->entries;
    if (status < 0 || strcmp(digest, diff_id) == 0)
        return status;
    return fault_set(s->f, 422,
                     "bad image: a layer is not what the config says "
                     "(%.19s...)",
                     diff_id);
}

static int unpack_into(struct stack *s, struct workspace_layer *w, int blob,
                       const char *diff_id) {
    struct unpack_result result;
    int root CLEANUP(cleanup_close) = openat(
        s->m->dir_fd, w->workspace.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(s->f, "opening a workspace");
    if (unpack_content(s, root, blob, diff_id, &result) < 0)
        return -1;
    if (result.skipped)
        log_line("import: %lld device nodes or attributes were left out",
                 (long long)result.skipped);
    w->row.base = overlay_is_opaque(root);
    if (result.entries > 0)
        return 0;
    /* It is empty, so the layer below takes its place. */
    w->has_workspace = false;
    workspace_drop(s->m->layers, &w->workspace);
    return 0;
}

static int unpack_layer(struct stack *s, const struct oci_layer *l) {
    struct workspace_layer *w = &s->layers[s->count];
    int blob CLEANUP(cleanup_close) =
        oci_open_blob(s->blobs, &l->blob, &s->o->deadline, s->f);
    if (blob < 0 ||
        workspace_take_for_import(s->m->layers, &w->workspace, s->f) < 0)
        return -1;
    w->has_workspace = true;
    s->count++;
    memcpy(w->row.key, l->key, sizeof w->row.key);
    return unpack_into(s, w, blob, l->diff_id);
}

/* ---- all of them ---- */

static void report(struct stack *s, int64_t more) {
    s->progress.bytes += more;
    if (s->o->progress)
        s->o->progress(s->o->progress_arg, &s->progress);
}

static int unpack_all(struct stack *s, size_t known) {
    const struct oci_image *oci = s->oci;
    s->progress = (struct import_progress){
        .phase = "unpack", .layer = (int)known, .of = (int)oci->layer_count};
    for (size_t i = known; i < oci->layer_count; i++)
        s->progress.total += oci->layers[i].blob.size;
    report(s, 0);
    for (size_t i = known; i < oci->layer_count; i++) {
        if (unpack_layer(s, &oci->layers[i]) < 0)
            return -1;
        s->progress.layer++;
        report(s, oci->layers[i].blob.size);
    }
    return 0;
}

static void drop_all(struct stack *s) {
    for (size_t i = 0; i < s->count; i++)
        if (s->layers[i].has_workspace)
            workspace_drop(s->m->layers, &s->layers[i].workspace);
}

static int fill_image(const struct oci_image *oci,
                      const struct import_options *o, struct image *i,
                      struct fault *f) {
    *i = (struct image){.created = wall_microseconds()};
    snprintf(i->tag, sizeof i->tag, "%s", o->tag ? o->tag : "");
    snprintf(i->operation, sizeof i->operation, "%s",
             o->operation ? o->operation : "");
    uuid_ordered(i->uuid);
    i->env = oci->env ? strdup(oci->env) : NULL;
    i->cwd = oci->cwd ? strdup(oci->cwd) : NULL;
    i->user = oci->user ? strdup(oci->user) : NULL;
    if ((oci->env && !i->env) || (oci->cwd && !i->cwd) ||
        (oci->user && !i->user))
        return fault_memory(f);
    return 0;
}

static int give(struct image *i, struct image *out) {
    if (out)
        *out = *i;
    else
        image_clear(i);
    return 0;
}

int import_oci(const struct importer *m, int blobs, const struct oci_image *oci,
               const struct import_options *o, struct image *out,
               struct fault *f) {
    struct workspace_layer *layers CLEANUP(cleanup_free) =
        calloc(oci->layer_count + 1, sizeof *layers);
    int64_t *below CLEANUP(cleanup_free) = NULL;
    struct stack s = {
        .m = m, .o = o, .f = f, .oci = oci, .blobs = blobs, .layers = layers};
    struct image i = {0};
    size_t known;
    int64_t parent;
    if (!layers || fill_image(oci, o, &i, f) < 0)
        return fault_memory(f);
    if (import_known(m, oci, &known, &parent, f) < 0 ||
        (parent &&
         store_layer_chain(m->store, parent, &below, &s.below_count, f) < 0)) {
        image_clear(&i);
        return -1;
    }
    s.below = below;
    int result = unpack_all(&s, known);
    /* No run could start in a directory that does not exist. */
    if (result == 0 && i.cwd && !is_somewhere(&s, i.cwd))
        free(steal_pointer(&i.cwd));
    if (result < 0)
        drop_all(&s);
    else
        result = workspaces_publish(m->layers, layers, s.count, parent,
                                    oci->config.digest, &i, f);
    if (result == 0)
        return give(&i, out);
    image_clear(&i);
    return -1;
}

int import_same(const struct importer *m, const char *config,
                const struct import_options *o, struct image *out,
                struct fault *f) {
    struct image found, i;
    struct fault none;
    int64_t *ids CLEANUP(cleanup_free) = NULL;
    size_t count = 0;
    if (store_image_by_config(m->store, config, &found, &none) < 0)
        return none.status == 404
                   ? 1
                   : fault_set(f, none.status, "%s", none.message);
    const struct oci_image oci = {
        .env = found.env, .cwd = found.cwd, .user = found.user};
    bool whole =
        store_layer_chain(m->store, found.layer, &ids, &count, &none) == 0;
    for (size_t n = 0; n < count && whole; n++)
        whole = has_directory(m, ids[n]);
    int result = whole ? fill_image(&oci, o, &i, f) : 1;
    if (result == 0) {
        result =
            store_import_add(m->store, found.layer, NULL, 0, config, &i, f);
        if (result == 0 && (result = store_sync(m->store, f)) == 0)
            give(&i, out);
        else
            image_clear(&i);
    }
    image_clear(&found);
    return result;
}

/* ---- a layout on the disk ---- */

/* Read index.json, then the index or manifest that it names. */
static int read_layout(int dir, int blobs, const char *name,
                       const struct deadline *p, struct oci_image *oci,
                       struct fault *f) {
    struct oci_blob chosen;
    int fd CLEANUP(cleanup_close) = openat(
        dir, "index.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char *text CLEANUP(cleanup_free) = malloc(OCI_JSON_MAX + 1);
    ssize_t length =
        fd < 0 || !text ? -1 : read_all(fd, text, OCI_JSON_MAX + 1);
    if (length < 0)
        return fault_set(f, 422, "bad image: it has no index.json");
    for (int depth = 0; depth < 3; depth++) {
        int kind =
            oci_read_manifest(text, (size_t)length, name, oci, &chosen, f);
        if (kind <= 0)
            return kind;
        name = NULL; /* it names an entry of index.json only */
        free(text);
        text = oci_load_blob(blobs, &chosen, p, f);
        if (!text)
            return -1;
        length = (ssize_t)chosen.size;
    }
    return fault_set(f, 422, "bad image: an index in an index in an index");
}

int import_layout(const struct importer *m, int dir, const char *name,
                  const struct import_options *o, struct image *out,
                  struct fault *f) {
    struct oci_image oci = {0};
    if (o->tag && tag_check(o->tag, f) < 0)
        return -1;
    /* An unpacked archive may be hostile: never follow a path out of it. */
    int blobs CLEANUP(cleanup_close) =
        open_scoped(dir, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                    RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (blobs < 0)
        return fault_set(f, 422,
                         "bad image: no OCI layout: it has no "
                         "blobs/sha256");
    int result = read_layout(dir, blobs, name, &o->deadline, &oci, f);
    char *config CLEANUP(cleanup_free) =
        result < 0 ? NULL : oci_load_blob(blobs, &oci.config, &o->deadline, f);
    if (config &&
        oci_read_config(config, (size_t)oci.config.size, &oci, f) == 0)
        result = import_oci(m, blobs, &oci, o, out, f);
    else
        result = -1;
    oci_image_clear(&oci);
    return result;
}
