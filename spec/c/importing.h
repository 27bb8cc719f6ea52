/* importing.h: a data directory to import into, and OCI layouts. */
#ifndef CONTREE_IMPORTING_H
#define CONTREE_IMPORTING_H

#include "base/fault.h"
#include "check.h"
#include "temp_dir.h"
#include "transport/import.h"
#include <limits.h>

#define BASE 100000 /* the first id of the sandboxes */

static const struct id_range usual_ids = {BASE, 65536};

/* Open a data directory for imports. Print the reason when that fails. */
static inline bool open_importer(struct importer *m, const struct temp_dir *d,
                                 struct id_range ids) {
    struct fault f = {0};
    m->dir_fd = d->fd;
    m->ids = ids;
    m->store = store_open(d->fd, d->path, &f);
    m->layers = m->store ? layers_open(d->fd, m->store, ids.base, &f) : NULL;
    if (!m->layers)
        printf("# open: %s\n", f.message);
    return m->layers;
}

static inline void close_importer(struct importer *m) {
    layers_close(m->layers);
    store_close(m->store);
}

/* Run shell commands that make a layout in DIR/oci (spec/support/layout.sh). */
static inline void make_layout(const struct temp_dir *d, const char *commands) {
    char path[100], here[PATH_MAX];
    snprintf(path, sizeof path, "%s/make", d->path);
    FILE *script = fopen(path, "w");
    fprintf(script, ". %s/spec/support/layout.sh\n%s\n",
            getcwd(here, sizeof here), commands);
    fclose(script);
    CHECK(shell("cd %s && sh -e make", d->path));
}

#endif
