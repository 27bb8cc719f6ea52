/* files.c: uploaded files. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "store/database.h"
#include <ctype.h>
#include <string.h>

#define COLUMNS "uuid, sha256, size, created, updated"

static void read_file(sqlite3_stmt *q, struct stored_file *out) {
    store_copy_text(q, 0, out->uuid, sizeof out->uuid);
    store_copy_text(q, 1, out->sha256, sizeof out->sha256);
    out->size = sqlite3_column_int64(q, 2);
    out->created = sqlite3_column_int64(q, 3);
    out->updated = sqlite3_column_int64(q, 4);
}

static int find_file(struct store *s, enum query which, const char *sql,
                     const char *key, struct stored_file *out,
                     struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, key);
    int row = store_row(s, q, f);
    if (row == 0)
        return fault_set(f, 404, "no file %.64s", key);
    if (row == 1)
        read_file(q, out);
    return row == 1 ? 0 : -1;
}

int store_file_by_sha256(struct store *s, const char *sha256,
                         struct stored_file *out, struct fault *f) {
    char lower[65] = "";
    for (size_t i = 0; i < sizeof lower - 1 && sha256[i]; i++)
        lower[i] = (char)tolower((unsigned char)sha256[i]);
    return find_file(s, QUERY_FILE_BY_SHA256,
                     "SELECT " COLUMNS " FROM file WHERE sha256 = ?", lower,
                     out, f);
}

int store_file_by_uuid(struct store *s, const char *uuid,
                       struct stored_file *out, struct fault *f) {
    char lower[UUID_SIZE];
    if (!uuid_parse(uuid, lower))
        return fault_set(f, 404, "no file %.64s", uuid);
    return find_file(s, QUERY_FILE_BY_UUID,
                     "SELECT " COLUMNS " FROM file WHERE uuid = ?", lower, out,
                     f);
}

int store_file_add(struct store *s, const char *sha256, int64_t size,
                   struct stored_file *out, struct fault *f) {
    char uuid[UUID_SIZE];
    uuid_ordered(uuid);
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_FILE_ADD,
                    "INSERT INTO file (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?4)"
                    " ON CONFLICT (sha256) DO UPDATE SET updated = ?4"
                    " RETURNING " COLUMNS,
                    f);
    if (!q)
        return -1;
    store_bind_text(q, 1, uuid);
    store_bind_text(q, 2, sha256);
    sqlite3_bind_int64(q, 3, size);
    sqlite3_bind_int64(q, 4, wall_microseconds());
    if (store_row(s, q, f) != 1)
        return -1;
    read_file(q, out);
    /* The change is committed by the step that finds no further row. */
    return store_run(s, q, f);
}

int store_file_list(struct store *s, const struct page *page,
                    bool (*visit)(void *arg, const struct stored_file *x),
                    void *arg, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_FILE_LIST,
                    "SELECT " COLUMNS " FROM file WHERE created BETWEEN ? AND ?"
                    " ORDER BY created DESC, id DESC LIMIT ? OFFSET ?",
                    f);
    if (!q)
        return -1;
    store_bind_times(q, 1, page);
    store_bind_page(q, 3, page);
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        struct stored_file x;
        read_file(q, &x);
        if (!visit(arg, &x))
            return 0;
    }
    return row;
}
