/* garbage.h: the store's part of garbage collection (layer/gc.h): finds and
 * removes rows that nothing needs. */
#ifndef CONTREE_STORE_GARBAGE_H
#define CONTREE_STORE_GARBAGE_H

#include "store/store.h"

/* What is in use: it stays, with everything that it is made of. Owned. */
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

/* How many rows were removed, or would be in a dry run, and the bytes of each
 * kind. */
struct gc_report {
    bool dry_run;
    int64_t images, layers, layer_bytes, files, file_bytes;
    int64_t operations, logs, log_bytes;
};

/* Operations tell which images were used: they go only when all images have
 * gone that may, and then no image is looked at any more. */
enum gc_stage { GC_USES, GC_IMAGES, GC_LAYERS, GC_FILES, GC_OPERATIONS };

/* Where a step ended, and the next one begins; 0 at first. */
struct gc_place {
    enum gc_stage stage;
    int64_t seen;    /* the last operation that was looked at */
    int64_t reached; /* the last row of another table */
};

/* What the removed rows were about. The lists are owned. */
struct gc_garbage {
    int64_t *layers;
    size_t layer_count;
    char (*files)[65];
    size_t file_count;
    char (*operations)[UUID_SIZE];
    size_t operation_count;
    bool more; /* there is a next step */
    struct gc_place at;
};
void gc_garbage_free(struct gc_garbage *g);
/* `untold` is the time for images that nobody was told of, and temporary ones.
 * Times in microseconds since 1970. If there is an `earliest` time, rows of one
 * before it, or after `now`, get the time `now` first. Looks at so many rows of
 * one stage. */
struct gc_times {
    int64_t untagged, untold, operations, files;
    int64_t earliest, now;
    int64_t rows;
    struct gc_place at; /* of the step before */
};
int store_remove_garbage(struct store *s, const struct gc_times *t,
                         const struct gc_pins *p, struct gc_report *r,
                         struct gc_garbage *out, struct fault *f);
/* Worker. Counts what would be removed, by removing it from a copy, for which
 * nobody waits. `rows` is -1. */
int store_count_garbage(struct store *s, const struct gc_times *t,
                        const struct gc_pins *p, struct gc_report *r,
                        struct fault *f);
/* Calls `act` unless a file with this content is known; nobody can add one
 * meanwhile. */
int store_unless_file(struct store *s, const char *sha256,
                      void (*act)(void *arg), void *arg, struct fault *f);

#endif
