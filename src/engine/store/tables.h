/* tables.h: parts of transactions that begin in another file of this room. The
 * caller holds the lock. */
#ifndef CONTREE_STORE_TABLES_H
#define CONTREE_STORE_TABLES_H

#include "base/fault.h"
#include "store/database.h"
#include "store/store.h"
#include <stdint.h>

/* Images. The tag of a new one is moved to it. */
int store_insert_image(struct store *s, const struct image *i, struct fault *f);
/* Run a lookup of one image by `key`. 1: found; 0: not found; -1. */
int store_find_image(struct store *s, enum query which, const char *sql,
                     const char *key, struct image *out, struct fault *f);
/* What such a lookup selects, before FROM. */
#define IMAGE_COLUMNS                                                          \
    "SELECT uuid, tag, operation, created, size, layer, env, cwd, user "
int store_find_uuid(struct store *s, const char *uuid, struct image *out,
                    struct fault *f);

/* Tags. Take i->tag from the image that has it. */
int store_take_tag(struct store *s, const struct image *i, struct fault *f);
/* Move `tag` to an image. */
int store_move_tag(struct store *s, const char *uuid, const char *tag,
                   struct fault *f);

/* Layers. */
int store_sum_layers(struct store *s, int64_t layer, int64_t *bytes,
                     struct fault *f);
int store_insert_layer(struct store *s, int64_t id, int64_t parent,
                       int64_t size, struct fault *f);

/* Operations. Like store_acquire(), and the journal is in the tables if the
 * disk has room. */
pthread_mutex_t *store_acquire_folded(struct store *s);

/* When the store opens; these two take the lock themselves. Read the counter
 * from which layer ids are taken, and mark operations that an engine left
 * running as FAILED. */
int store_read_layer_counter(struct store *s, struct fault *f);
int store_abandon_operations(struct store *s, struct fault *f);

#endif
