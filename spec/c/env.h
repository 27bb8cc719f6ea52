/* env.h: a data directory with its store and its layers, for a test function.
 */
#ifndef CONTREE_ENV_H
#define CONTREE_ENV_H

#include "base/fault.h"
#include "check.h"
#include "layer/layers.h"
#include "temp_dir.h"

#define BASE 100000 /* the first id of the sandboxes */

struct env {
    struct temp_dir d;
    struct store *s;
    struct layers *l;
};

/* Opens the store and the layers; prints why it cannot. */
static inline bool open_env(struct env *e, uid_t base) {
    struct fault f = {0};
    e->s = store_open(e->d.fd, e->d.path, &f);
    e->l = e->s ? layers_open(e->d.fd, e->s, base, &f) : NULL;
    if (!e->l)
        printf("# open: %s\n", f.message);
    return e->l;
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
