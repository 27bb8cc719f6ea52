/* merge.c: see merge.h. */
#define _GNU_SOURCE
#include "merge/merge.h"
#include "base/clock.h"
#include "layer/layers.h"
#include "layer/publish.h"
#include "layer/workspace.h"
#include "merge/ancestor.h"
#include "merge/upper.h"
#include "view/view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void merge_outcome_clear(struct merge_outcome *o) {
    image_clear(&o->image);
    conflicts_free(&o->conflicts);
}

static struct view *open_image(const struct merger *m, const struct image *i,
                               struct fault *f) {
    return layers_view(m->dir_fd, m->store, i->layer, m->ids, f);
}

static int look(void *arg, const char *path, struct upper_like *out,
                struct fault *f) {
    return merge_look(arg, path, out, f);
}

/* Fills the workspace. */
static int fill(const struct merger *m, struct tree_merge *t,
                const struct workspace *w, int64_t *made, struct fault *f) {
    struct upper u = {.dir_fd = m->dir_fd,
                      .ids = m->ids,
                      .copier.deadline = t->deadline,
                      .look = look,
                      .arg = t,
                      .f = f,
                      .to = -1,
                      .links = -1};
    t->upper = &u;
    int result = upper_open(&u, w) < 0 ? -1 : merge_trees(t, f);
    *made = u.made;
    upper_close(&u);
    return result;
}

static int fill_from(const struct merger *m, const struct merge_order *o,
                     const struct image *base, const struct workspace *w,
                     struct merge_outcome *out, struct fault *f) {
    struct tree_merge t = {.dir_fd = m->dir_fd,
                           .prefer = o->prefer,
                           .deadline = o->deadline,
                           .conflicts = &out->conflicts};
    int result = -1;
    if ((t.base = open_image(m, base, f)) &&
        (t.ours = open_image(m, o->ours, f)) &&
        (t.theirs = open_image(m, o->theirs, f)))
        result = fill(m, &t, w, &out->changes, f);
    view_close(t.base);
    view_close(t.ours);
    view_close(t.theirs);
    return result;
}

static int copy_text(char **to, const char *from, struct fault *f) {
    if (!from || (*to = strdup(from)))
        return 0;
    return fault_memory(f);
}

/* The image is ours but for its files. */
static int describe(const struct merge_order *o, struct image *i,
                    struct fault *f) {
    const struct image *ours = o->ours;
    i->created = wall_microseconds();
    i->layer = ours->layer;
    i->size = ours->size;
    snprintf(i->tag, sizeof i->tag, "%s", o->tag ? o->tag : "");
    snprintf(i->operation, sizeof i->operation, "%s",
             o->operation ? o->operation : "");
    if (copy_text(&i->env, ours->env, f) < 0 ||
        copy_text(&i->cwd, ours->cwd, f) < 0 ||
        copy_text(&i->user, ours->user, f) < 0)
        return -1;
    uuid_ordered(i->uuid);
    return 0;
}

/* Consumes the workspace. */
static int publish(const struct merger *m, const struct workspace *w,
                   struct merge_outcome *out, struct fault *f) {
    struct image *i = &out->image;
    int result;
    if (out->changes > 0) {
        result = workspace_publish_image(m->layers, w, i->layer, i, f);
    } else {
        workspace_drop(m->layers, w);
        result =
            store_image_add(m->store, i, f) < 0 ? -1 : store_sync(m->store, f);
    }
    if (result < 0)
        i->uuid[0] = 0;
    return result;
}

static int merge(const struct merger *m, const struct merge_order *o,
                 const struct image *base, struct merge_outcome *out,
                 struct fault *f) {
    struct workspace w;
    memcpy(out->base, base->uuid, UUID_SIZE);
    if (workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    int result = fill_from(m, o, base, &w, out, f);
    out->refused =
        result == 0 && o->prefer == MERGE_NEITHER && out->conflicts.count > 0;
    if (result == 0 && !out->refused) {
        if (describe(o, &out->image, f) == 0)
            return publish(m, &w, out, f);
        result = -1;
    }
    workspace_drop(m->layers, &w);
    return result;
}

int merge_images(const struct merger *m, const struct merge_order *o,
                 struct merge_outcome *out, struct fault *f) {
    struct image found = {0};
    *out = (struct merge_outcome){.changes = 0};
    conflicts_init(&out->conflicts);
    if (!o->base &&
        merge_ancestor(m->store, o->ours->uuid, o->theirs->uuid, &found, f) < 0)
        return -1;
    int result = merge(m, o, o->base ? o->base : &found, out, f);
    image_clear(&found);
    return result;
}
