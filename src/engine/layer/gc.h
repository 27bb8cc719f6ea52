/* gc.h: garbage collection: old untagged images, old operations, old uploads,
 * and the layers, contents and logs that nothing refers to any more.
 *
 * Three steps, so that an engine can do the middle one on its loop, where
 * nothing begins meanwhile, and the long ones in a worker. Rows go first, then
 * directories are moved to the trash, then they are deleted: whenever it is
 * killed, what is left has no row, and the next start or collection takes it.
 */
#ifndef CONTREE_LAYER_GC_H
#define CONTREE_LAYER_GC_H

#include "layer/layers.h"

#define GC_AGE (INT64_C(180) * 86400)

/* Ages in seconds: what was not used for longer goes. An image was used when
 * it was made, and when an operation began or ended with it; a file when it
 * was uploaded. An untagged image that nobody was told of, because its
 * operation failed after it was saved, goes after a day. */
struct gc_options {
    bool dry_run; /* only report */
    int64_t untagged, operations, files;
};

/* What is in use, and stays with all that it is made of. Owned. */
struct gc_pins {
    int64_t *layers;
    size_t layer_count;
    char (*files)[65]; /* SHA-256 */
    size_t file_count;
    bool importing; /* no image and no layer goes */
};
void gc_pins_free(struct gc_pins *p);
bool gc_pin_layer(struct gc_pins *p, int64_t layer); /* false: no memory */
bool gc_pin_file(struct gc_pins *p, const char *sha256);

/* How many went, or would go, and the bytes of each kind. */
struct gc_report {
    bool dry_run;
    int64_t images, layers, layer_bytes, files, file_bytes;
    int64_t operations, logs, log_bytes;
};

struct gc;
struct gc *gc_new(int dir_fd, struct store *s, struct layers *l,
                  const struct gc_options *o, struct fault *f);
/* Contents and logs without a row. Worker. */
int gc_sweep(struct gc *g, struct fault *f);
/* Removes rows, in one transaction, and so few that a loop can wait for it.
 * Nobody may begin to use an image or a file between the making of the pins and
 * the return. */
int gc_remove_rows(struct gc *g, const struct gc_pins *p, struct fault *f);
/* Deletes what the rows were about. Worker. */
int gc_finish(struct gc *g, struct fault *f);
/* There may be more rows to remove, and then to finish. */
bool gc_has_more(const struct gc *g);
const struct gc_report *gc_result(const struct gc *g);
void gc_free(struct gc *g);

/* All three, for a data directory that nobody else uses. */
int gc_run(int dir_fd, struct store *s, struct layers *l,
           const struct gc_options *o, struct gc_report *out, struct fault *f);

/* store/garbage.c, in a worker: rows of a time before `earliest` or after `now`
 * get the time `now`. */
int store_mend_times(struct store *s, int64_t earliest, int64_t now,
                     struct fault *f);

/* store/garbage.c: what a removal of rows took; lists are owned. */
struct gc_garbage {
    int64_t *layers;
    size_t layer_count;
    char (*files)[65];
    size_t file_count;
    char (*operations)[UUID_SIZE];
    size_t operation_count;
    bool more;        /* a statement removed as many rows as it may */
    bool images_gone; /* all that may go */
};
void gc_garbage_free(struct gc_garbage *g);
/* Times in microseconds since 1970, and how many rows of each table may go at
 * most; -1: all. In a dry run all is rolled back. */
struct gc_times {
    int64_t untagged, untold, operations, files;
    int64_t rows;
    bool no_images; /* they have gone already */
};
int store_remove_garbage(struct store *s, const struct gc_times *t,
                         const struct gc_pins *p, struct gc_report *r,
                         struct gc_garbage *out, struct fault *f);
/* Calls `act` unless a file with this content is known; nobody can add one
 * meanwhile. */
int store_unless_file(struct store *s, const char *sha256,
                      void (*act)(void *arg), void *arg, struct fault *f);

#endif
