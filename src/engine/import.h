/* import.h: images from outside: the machine's busybox, a tar archive. All of
 * it runs in a worker (or before the loop), and leaves nothing behind when it
 * fails. */
#ifndef CONTREE_IMPORT_H
#define CONTREE_IMPORT_H

#include "layer.h"
#include "unpack.h"

/* What every import needs. */
struct importer {
    int dir_fd; /* the data directory */
    struct store *store;
    struct layers *layers;
    struct id_range ids;
};

struct import_options {
    const char *tag;       /* moved to the image; NULL: none */
    const char *operation; /* uuid of the operation, NULL: none */
    int64_t max_bytes;     /* as in unpack_options, as the three below */
    int64_t max_entries;
    double deadline;
    const atomic_bool *cancelled;
};

/* The machine's static busybox, open for reading, and where it is. -1 and 503
 * with what to do when there is none. */
int busybox_open(const char **path, struct fault *f);

/* Makes busybox:latest of the machine's static busybox, unless some image has
 * that tag. 503 with what to do when there is no static busybox. */
int import_busybox(const struct importer *m, struct fault *f);

/* Makes an image of one layer of a root file system as tar (see unpack.h),
 * durably. `out` may be NULL. Faults as in unpack.h, and 400 for a malformed
 * tag. */
int import_tar(const struct importer *m, int fd, const struct import_options *o,
               struct image *out, struct fault *f);

#endif
