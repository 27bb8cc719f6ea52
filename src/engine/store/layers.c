/* layers.c: the rows of layers, and chains of them. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "store/database.h"
#include "store/tables.h"
#include <stdlib.h>

/* Layer ids are taken from the database this many at a time. */
#define LAYER_BLOCK 256

int store_read_layer_counter(struct store *s, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_HIGHEST,
                    "SELECT max(reserved, (SELECT ifnull(max(id), 0) FROM"
                    " layer)) + 1 FROM layer_counter",
                    f);
    if (!q || store_row(s, q, f) < 0)
        return -1;
    s->next_layer = s->layer_limit = sqlite3_column_int64(q, 0);
    if (s->next_layer < 1)
        return fault_set(f, 500, "contree.db is damaged: no layer counter");
    (void)held;
    return 0;
}

int store_layer_reserve(struct store *s, int64_t *id, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (s->next_layer == s->layer_limit) {
        sqlite3_stmt *q CLEANUP(store_done) = store_query(
            s, QUERY_LAYER_RESERVE, "UPDATE layer_counter SET reserved = ?", f);
        if (!q)
            return -1;
        sqlite3_bind_int64(q, 1, s->next_layer + LAYER_BLOCK - 1);
        if (store_run(s, q, f) < 0)
            return -1;
        s->layer_limit = s->next_layer + LAYER_BLOCK;
    }
    *id = s->next_layer++;
    return 0;
}

static int insert_layer(struct store *s, int64_t id, int64_t parent,
                        int64_t size, int level, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_LAYER_ADD,
        "INSERT INTO layer (id, parent, size, level) VALUES (?, ?, ?, ?)", f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int64(q, 2, parent);
    sqlite3_bind_int64(q, 3, size);
    sqlite3_bind_int(q, 4, size > LARGE_BYTES ? LEVEL_LARGE : level);
    return store_run(s, q, f);
}

int store_insert_layer(struct store *s, int64_t id, int64_t parent,
                       int64_t size, struct fault *f) {
    return insert_layer(s, id, parent, size, 0, f);
}

int store_snapshot_add(struct store *s, int64_t id, int64_t parent,
                       int64_t size, const struct image *i, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (store_begin(s, f) < 0)
        return -1;
    int result = store_insert_layer(s, id, parent, size, f);
    if (result == 0)
        result = store_insert_image(s, i, f);
    return store_end(s, result, f);
}

/* One statement, since each statement takes and drops SQLite's file locks. The
 * limit ends the loop of a damaged table. */
#define CHAIN_QUERY(result)                                                    \
    "WITH RECURSIVE chain (name, id, parent, size, level) AS ("                \
    " SELECT n.id, l.id, l.parent, l.size, l.level FROM layer n"               \
    " JOIN layer l ON l.id = ifnull(n.squashed, n.id) WHERE n.id = ?"          \
    " UNION ALL SELECT n.id, l.id, l.parent, l.size, l.level FROM chain"       \
    " JOIN layer n ON n.id = chain.parent"                                     \
    " JOIN layer l ON l.id = ifnull(n.squashed, n.id) LIMIT 100000)"           \
    " SELECT " result " FROM chain"

static bool append_layer(struct chain_layer **list, size_t *count,
                         sqlite3_stmt *q) {
    /* Grows at the powers of two. */
    if ((*count & (*count - 1)) == 0) {
        size_t capacity = *count ? *count * 2 : 1;
        struct chain_layer *more = realloc(*list, capacity * sizeof **list);
        if (!more)
            return false;
        *list = more;
    }
    (*list)[(*count)++] =
        (struct chain_layer){.name = sqlite3_column_int64(q, 0),
                             .id = sqlite3_column_int64(q, 1),
                             .parent = sqlite3_column_int64(q, 2),
                             .size = sqlite3_column_int64(q, 3),
                             .level = sqlite3_column_int(q, 4)};
    return true;
}

int store_layer_list(struct store *s, int64_t layer, struct chain_layer **list,
                     size_t *count, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    struct chain_layer *chain CLEANUP(cleanup_free) = NULL;
    int64_t next = layer;
    size_t used = 0;
    int row = 0;
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_LAYER_CHAIN, CHAIN_QUERY("name, id, parent, size, level"), f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, layer);
    while (next && (row = store_row(s, q, f)) == 1) {
        if (!append_layer(&chain, &used, q))
            return fault_memory(f);
        next = chain[used - 1].parent;
    }
    if (next && row == 0)
        fault_set(f, 500, "contree.db is damaged: layer %lld is missing",
                  (long long)next);
    if (next)
        return -1;
    *list = steal_pointer(&chain);
    *count = used;
    return 0;
}

int store_layer_chain(struct store *s, int64_t layer, int64_t **ids,
                      size_t *count, struct fault *f) {
    struct chain_layer *chain CLEANUP(cleanup_free) = NULL;
    if (store_layer_list(s, layer, &chain, count, f) < 0)
        return -1;
    *ids = malloc((*count + 1) * sizeof **ids);
    if (!*ids)
        return fault_memory(f);
    for (size_t i = 0; i < *count; i++)
        (*ids)[i] = chain[i].id;
    return 0;
}

/* 404 when the layer is gone. */
static int replace_layer(struct store *s, int64_t name, int64_t by,
                         struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_SQUASH,
                    "UPDATE layer SET squashed = ?2 WHERE id = ?1", f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, name);
    sqlite3_bind_int64(q, 2, by);
    if (store_run(s, q, f) < 0)
        return -1;
    return sqlite3_changes(s->db) == 1
               ? 0
               : fault_set(f, 404, "layer %lld is gone", (long long)name);
}

int store_layer_squash(struct store *s, int64_t id, int64_t size,
                       const struct chain_layer *chain, size_t count,
                       struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int level = 1;
    for (size_t i = 0; i < count; i++)
        if (chain[i].level < LEVEL_LARGE && chain[i].level >= level)
            level = chain[i].level + 1;
    if (store_begin(s, f) < 0)
        return -1;
    int result = insert_layer(s, id, chain[count - 1].parent, size, level, f);
    if (result == 0)
        result = replace_layer(s, chain[0].name, id, f);
    return store_end(s, result, f);
}

int store_sum_layers(struct store *s, int64_t layer, int64_t *bytes,
                     struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_LAYER_BYTES, CHAIN_QUERY("ifnull(sum(size), 0)"), f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, layer);
    if (store_row(s, q, f) < 0)
        return -1;
    *bytes = sqlite3_column_int64(q, 0);
    return 0;
}

int store_layer_each(struct store *s, bool (*visit)(void *arg, int64_t id),
                     void *arg, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_LAYER_EACH, "SELECT id FROM layer ORDER BY id", f);
    int row = -1;
    while (q && (row = store_row(s, q, f)) == 1)
        if (!visit(arg, sqlite3_column_int64(q, 0)))
            return 0;
    return row;
}
