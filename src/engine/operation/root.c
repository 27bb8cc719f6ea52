/* root.c: see root.h. */
#include "operation/root.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "layer/layers.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include <stdlib.h>
#include <string.h>

struct root root_of(const struct operation *op) {
    const struct run *r = &op->run;
    return (struct root){
        .layers = op->layers,
        .layer_count = op->layer_count,
        .hostname = r->hostname,
        .shm_bytes = r->shm_bytes,
        /* One byte more than the layer may have. A file of this size is found
         * to be too much when the run is kept. */
        .max_file_bytes =
            r->max_layer_bytes < INT64_MAX ? r->max_layer_bytes + 1 : 0,
        .image_etc = run_image_etc(r),
        .places = !r->image_etc,
        .networking = r->networking,
        .rules = r->rules.text,
        .trusts = r->rules.trusts,
        .tracing = r->tracing,
        .limits = r->limits,
        .mounts = r->mounts,
    };
}

bool root_equals(const struct root *a, const struct root *b) {
    return a->mounts.count == 0 && b->mounts.count == 0 && !a->rules &&
           !b->rules && !a->tracing && !b->tracing &&
           a->layer_count == b->layer_count &&
           memcmp(a->layers, b->layers, a->layer_count * sizeof *a->layers) ==
               0 &&
           strcmp(a->hostname, b->hostname) == 0 &&
           a->shm_bytes == b->shm_bytes &&
           a->max_file_bytes == b->max_file_bytes &&
           a->image_etc == b->image_etc && a->places == b->places &&
           a->networking == b->networking &&
           limits_equal(&a->limits, &b->limits);
}

static struct sandbox *start(struct engine *e, const struct root *root,
                             const struct workspace *w,
                             const struct sandbox_callbacks *callbacks,
                             void *arg, struct fault *f) {
    size_t count = root->layer_count;
    char(*paths)[32] CLEANUP(cleanup_free) = calloc(count + 1, sizeof *paths);
    const char **lowers CLEANUP(cleanup_free) =
        calloc(count + 1, sizeof *lowers);
    struct sandbox_mount *mounts CLEANUP(cleanup_free) =
        run_mounts_list(&root->mounts);
    if (!paths || !lowers || (root->mounts.count && !mounts)) {
        fault_memory(f);
        return NULL;
    }
    for (size_t i = 0; i <= count; i++) {
        layer_path(i < count ? root->layers[i] : 0, paths[i]);
        lowers[i] = paths[i];
    }
    if (root->places)
        lowers[count] = LAYER_PLACES;
    struct sandbox_spec spec = {
        .lowers = lowers,
        .lower_count = count + 1,
        .upper = w->upper,
        .work = w->work,
        .hostname = root->hostname,
        .shm_bytes = root->shm_bytes,
        .image_etc = root->image_etc,
        .limits = root->limits,
        .networking = root->networking,
        .rules = root->rules,
        .trusts = root->trusts,
        .tracing = root->tracing,
        .max_file_bytes = root->max_file_bytes,
        .mounts = mounts,
        .mount_count = root->mounts.count,
    };
    return sandbox_start(e->launcher, &spec, callbacks, arg, f);
}

struct sandbox *root_start(struct engine *e, const struct root *root,
                           const struct sandbox_callbacks *callbacks, void *arg,
                           struct workspace *out, struct fault *f) {
    if (workspace_take(e->layers, out, f) < 0)
        return NULL;
    struct sandbox *s = NULL;
    if (workspace_inherit_root(e->layers, out, root->layers[0], f) == 0)
        s = start(e, root, out, callbacks, arg, f);
    if (!s)
        workspace_drop(e->layers, out);
    return s;
}

void root_end(struct engine *e, const struct workspace *w) {
    workspace_leave(e->layers, w);
    operations_recycle(e->operations);
}
