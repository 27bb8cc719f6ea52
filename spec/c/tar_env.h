/* tar_env.h: importing tar archives into a data directory of a test's own. */
#ifndef CONTREE_TAR_ENV_H
#define CONTREE_TAR_ENV_H

#include "importing.h"
#include "layer/trash.h"
#include <unistd.h>

struct env {
    struct temp_dir d;
    struct importer m;
    struct import_options o;
    char layer[160]; /* the root of the last image */
};

static inline struct env make_env(void) {
    struct env e = {.d = temp_dir_make()};
    CHECK(open_importer(&e.m, &e.d, usual_ids));
    return e;
}

static inline void end_env(struct env *e) {
    close_importer(&e->m);
    temp_dir_remove(&e->d);
}

/* Import from `fd` and close it; return the status of the fault, or 0. */
static inline int import(struct env *e, int fd, struct fault *f) {
    struct image i;
    *f = (struct fault){0};
    int result = import_tar(&e->m, fd, &e->o, &i, f);
    close(fd);
    if (result < 0)
        return f->status;
    snprintf(e->layer, sizeof e->layer, "%s/l/%lld", e->d.path,
             (long long)i.layer);
    return 0;
}

/* Check that a failed import has left nothing. */
static inline bool left_nothing(struct env *e) {
    trash_empty(e->m.layers);
    return shell("cd %s && test -z \"$(ls trash)\" -a \"$(echo $(ls l))\" = '0 "
                 "places' && "
                 "test $(find w -type f | wc -l) = 0",
                 e->d.path);
}

#endif
