/* env.h: a data directory with its store and its layers, for a test function.
 */
#ifndef CONTREE_ENV_H
#define CONTREE_ENV_H

#include "base/fault.h"
#include "base/uuid.h"
#include "check.h"
#include "layer/layers.h"
#include "layer/publish.h"
#include "layer/survey.h"
#include "layer/trash.h"
#include "layer/workspace.h"
#include "temp_dir.h"

#define BASE 100000 /* the first id of the sandboxes */

struct env {
    struct temp_dir d;
    struct store *s;
    struct layers *l;
};

/* Open the store and the layers. Print the reason when that fails. */
static inline bool open_env(struct env *e, uid_t base) {
    struct fault f = {0};
    e->s = store_open(e->d.fd, e->d.path, &f);
    e->l = e->s ? layers_open(e->d.fd, e->s, base, &f) : NULL;
    if (!e->l)
        printf("# open: %s\n", f.message);
    return e->l;
}

/* Publish a workspace as a layer with an image. `bytes` may be NULL. */
static inline int publish_layer(struct env *e, const struct workspace *w,
                                int64_t parent, int64_t *layer, int64_t *bytes,
                                struct fault *f) {
    struct image i = {.created = 1};
    uuid_random(i.uuid);
    if (workspace_publish_image(e->l, w, parent, &i, f) < 0)
        return -1;
    *layer = i.layer;
    if (bytes)
        *bytes = i.size;
    return 0;
}

static inline struct env make_env_in(struct temp_dir d) {
    struct env e = {.d = d};
    CHECK(open_env(&e, BASE));
    return e;
}

static inline void close_env(struct env *e) {
    layers_close(e->l);
    store_close(e->s);
}

static inline void end_env(struct env *e) {
    close_env(e);
    temp_dir_remove(&e->d);
}

#endif
