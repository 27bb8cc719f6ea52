/* imports.c: what imports add, and recognize when it comes again. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "base/uuid.h"
#include "store/database.h"
#include "store/tables.h"
#include <string.h>

/* 1: found, 0: unknown, -1. The lock is held. */
static int find_layer(struct store *s, const char *key, int64_t *layer,
                      struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_IMPORTED,
                    "SELECT layer FROM imported_layer WHERE key = ?", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, key);
    int row = store_row(s, q, f);
    if (row == 1)
        *layer = sqlite3_column_int64(q, 0);
    return row;
}

int store_imported_layer(struct store *s, const char *key, int64_t *layer,
                         struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int found = find_layer(s, key, layer, f);
    return found < 0 ? -1 : !found;
}

int store_imported_layer_forget(struct store *s, const char *key,
                                struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_IMPORTED_FORGET,
                    "DELETE FROM imported_layer WHERE key = ?", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, key);
    return store_run(s, q, f);
}

int store_image_by_config(struct store *s, const char *config,
                          struct image *out, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int found = store_find_image(
        s, QUERY_IMAGE_BY_CONFIG,
        IMAGE_COLUMNS "FROM image WHERE config = ? LIMIT 1", config, out, f);
    if (found == 0)
        fault_set(f, 404, "no image was imported with the config %s", config);
    return found == 1 ? 0 : -1;
}

static int name_layer(struct store *s, const char *key, int64_t layer,
                      struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_IMPORTED_ADD,
                    "INSERT INTO imported_layer (key, layer) VALUES (?, ?)", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, key);
    sqlite3_bind_int64(q, 2, layer);
    return store_run(s, q, f);
}

/* Adds a layer on top of *top, which it becomes. */
static int add_layer(struct store *s, struct imported_layer *l, int64_t *top,
                     struct fault *f) {
    int found = find_layer(s, l->key, top, f);
    l->known = found == 1;
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (l->id) {
        int64_t parent = l->base ? 0 : *top;
        *top = l->id;
        if (store_insert_layer(s, l->id, parent, l->size, f) < 0)
            return -1;
    }
    return name_layer(s, l->key, *top, f);
}

/* The uuid of an image that may be given for this one. 1: there is one. */
static int find_same(struct store *s, const char *config,
                     const struct image *wanted, char uuid[UUID_SIZE],
                     struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_IMAGE_SAME,
                    "SELECT uuid FROM image WHERE config = ?1 AND layer = ?2"
                    " AND (tag IS NULL OR tag = ifnull(?3, tag))"
                    " ORDER BY tag IS NOT ?3, id LIMIT 1",
                    f);
    if (!q)
        return -1;
    store_bind_text(q, 1, config);
    sqlite3_bind_int64(q, 2, wanted->layer);
    store_bind_text(q, 3, wanted->tag);
    int row = store_row(s, q, f);
    if (row == 1)
        store_copy_text(q, 0, uuid, UUID_SIZE);
    return row;
}

static int set_config(struct store *s, const char *uuid, const char *config,
                      struct fault *f) {
    int changed = store_run_texts(
        s, QUERY_IMAGE_SET_CONFIG,
        "UPDATE image SET config = ?2 WHERE uuid = ?1", uuid, config, f);
    return changed < 0 ? -1 : 0;
}

static int add_image(struct store *s, const char *config, struct image *i,
                     struct fault *f) {
    int same = find_same(s, config, i, i->uuid, f);
    if (same == 1)
        return i->tag[0] ? store_move_tag(s, i->uuid, i->tag, f) : 0;
    if (same < 0 || store_sum_layers(s, i->layer, &i->size, f) < 0 ||
        store_insert_image(s, i, f) < 0)
        return -1;
    return set_config(s, i->uuid, config, f);
}

static int add_all(struct store *s, int64_t parent,
                   struct imported_layer *layers, size_t count,
                   const char *config, struct image *i, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (store_begin(s, f) < 0)
        return -1;
    int result = 0;
    i->layer = parent;
    for (size_t n = 0; n < count && result == 0; n++)
        result = add_layer(s, &layers[n], &i->layer, f);
    if (result == 0)
        result = add_image(s, config, i, f);
    return store_end(s, result, f);
}

int store_import_add(struct store *s, int64_t parent,
                     struct imported_layer *layers, size_t count,
                     const char *config, struct image *i, struct fault *f) {
    struct image stored;
    if (add_all(s, parent, layers, count, config, i, f) < 0 ||
        store_image_by_uuid(s, i->uuid, &stored, f) < 0)
        return -1;
    image_clear(i);
    *i = stored;
    return 0;
}
