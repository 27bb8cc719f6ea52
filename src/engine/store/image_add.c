/* image_add.c: a new image, which takes its tag from the one that has it. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "store/database.h"
#include "store/tables.h"

int store_insert_image(struct store *s, const struct image *i,
                       struct fault *f) {
    if (i->tag[0] && store_take_tag(s, i, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_IMAGE_ADD,
        "INSERT INTO image (uuid, tag, operation, created, size, layer, env,"
        " cwd, user, public) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
        " iif(?3 IS NULL, ?2, NULL))",
        f);
    if (!q)
        return -1;
    store_bind_text(q, 1, i->uuid);
    store_bind_text(q, 2, i->tag);
    store_bind_text(q, 3, i->operation);
    sqlite3_bind_int64(q, 4, i->created);
    sqlite3_bind_int64(q, 5, i->size);
    sqlite3_bind_int64(q, 6, i->layer);
    store_bind_text(q, 7, i->env);
    store_bind_text(q, 8, i->cwd);
    store_bind_text(q, 9, i->user);
    return store_run(s, q, f);
}

int store_image_add(struct store *s, const struct image *i, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (store_begin(s, f) < 0)
        return -1;
    return store_end(s, store_insert_image(s, i, f), f);
}
