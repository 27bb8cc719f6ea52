/* volumes.c: volumes, which runs share. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "store/database.h"

#define COLUMNS "name, directory, created, used, quota, size"

static void read_volume(sqlite3_stmt *q, struct stored_volume *out) {
    store_copy_text(q, 0, out->name, sizeof out->name);
    store_copy_text(q, 1, out->directory, sizeof out->directory);
    out->created = sqlite3_column_int64(q, 2);
    out->used = sqlite3_column_int64(q, 3);
    out->quota = sqlite3_column_int64(q, 4);
    out->size = sqlite3_column_int64(q, 5);
}

int store_volume_get(struct store *s, const char *name,
                     struct stored_volume *out, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_VOLUME_GET,
                    "SELECT " COLUMNS " FROM volume WHERE name = ?", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, name);
    int row = store_row(s, q, f);
    if (row == 0)
        return fault_set(f, 404, "no volume \"%.256s\"", name);
    if (row == 1)
        read_volume(q, out);
    return row == 1 ? 0 : -1;
}

int store_volume_add(struct store *s, const struct stored_volume *v,
                     struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_VOLUME_ADD,
                    "INSERT INTO volume (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (name) DO NOTHING",
                    f);
    if (!q)
        return -1;
    store_bind_text(q, 1, v->name);
    store_bind_text(q, 2, v->directory);
    sqlite3_bind_int64(q, 3, v->created);
    sqlite3_bind_int64(q, 4, v->used);
    sqlite3_bind_int64(q, 5, v->quota);
    sqlite3_bind_int64(q, 6, v->size);
    if (store_run(s, q, f) < 0)
        return -1;
    return sqlite3_changes(s->db) == 1;
}

/* Runs a change of the row of a directory: of a volume as it is known, not of a
 * later one of the same name. `count` numbers follow the directory. */
static int change(struct store *s, enum query which, const char *sql,
                  const struct stored_volume *v, const int64_t *numbers,
                  int count, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, v->directory);
    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(q, 2 + i, numbers[i]);
    return store_run(s, q, f);
}

int store_volume_use(struct store *s, const struct stored_volume *v,
                     int64_t now, struct fault *f) {
    const int64_t numbers[] = {now, VOLUME_UNMEASURED};
    return change(s, QUERY_VOLUME_USE,
                  "UPDATE volume SET used = ?2, size = ?3 WHERE directory = ?1",
                  v, numbers, 2, f);
}

int store_volume_measured(struct store *s, const struct stored_volume *v,
                          int64_t size, struct fault *f) {
    const int64_t numbers[] = {v->used, size};
    return change(s, QUERY_VOLUME_MEASURED,
                  "UPDATE volume SET size = ?3 WHERE directory = ?1"
                  " AND used = ?2",
                  v, numbers, 2, f);
}

int store_volume_limit(struct store *s, const struct stored_volume *v,
                       int64_t quota, struct fault *f) {
    return change(s, QUERY_VOLUME_LIMIT,
                  "UPDATE volume SET quota = ?2 WHERE directory = ?1", v,
                  &quota, 1, f);
}

int store_volume_remove(struct store *s, const struct stored_volume *v,
                        struct fault *f) {
    return change(s, QUERY_VOLUME_REMOVE,
                  "DELETE FROM volume WHERE directory = ?1", v, NULL, 0, f);
}

int store_volume_list(struct store *s,
                      bool (*visit)(void *arg, const struct stored_volume *v),
                      void *arg, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_VOLUME_LIST,
                    "SELECT " COLUMNS " FROM volume ORDER BY name", f);
    int row = -1;
    while (q && (row = store_row(s, q, f)) == 1) {
        struct stored_volume v;
        read_volume(q, &v);
        if (!visit(arg, &v))
            return 0;
    }
    return row;
}
