/* database.c: see database.h. */
#define _GNU_SOURCE
#include "store/database.h"
#include "base/scope.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

pthread_mutex_t *store_acquire(struct store *s) {
    pthread_mutex_lock(&s->lock);
    return &s->lock;
}

void store_release(pthread_mutex_t **held) {
    pthread_mutex_unlock(*held);
}

int store_fault(sqlite3 *db, struct fault *f) {
    int code = sqlite3_errcode(db), system = sqlite3_system_errno(db);
    bool full = code == SQLITE_FULL || (code == SQLITE_IOERR &&
                                        (system == ENOSPC || system == EDQUOT));
    return fault_set(f, full ? 507 : 500, "the image store (contree.db): %s",
                     sqlite3_errmsg(db));
}

sqlite3_stmt *store_query(struct store *s, enum query which, const char *sql,
                          struct fault *f) {
    sqlite3_stmt **q = &s->statements[which];
    if (!*q && sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, q,
                                  NULL) != SQLITE_OK)
        store_fault(s->db, f);
    return *q;
}

void store_done(sqlite3_stmt **q) {
    if (*q) {
        sqlite3_reset(*q);
        sqlite3_clear_bindings(*q);
    }
}

int store_row(struct store *s, sqlite3_stmt *q, struct fault *f) {
    switch (sqlite3_step(q)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return store_fault(s->db, f);
    }
}

int store_run(struct store *s, sqlite3_stmt *q, struct fault *f) {
    return store_row(s, q, f) < 0 ? -1 : 0;
}

static int run_plain(struct store *s, enum query which, const char *sql,
                     struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    return q ? store_run(s, q, f) : -1;
}

int store_begin(struct store *s, struct fault *f) {
    return run_plain(s, QUERY_BEGIN, "BEGIN IMMEDIATE", f);
}

int store_end(struct store *s, int result, struct fault *f) {
    if (result == 0 && run_plain(s, QUERY_COMMIT, "COMMIT", f) == 0)
        return 0;
    /* SQLite has rolled back by itself after some failures. */
    if (!sqlite3_get_autocommit(s->db))
        run_plain(s, QUERY_ROLLBACK, "ROLLBACK", NULL);
    return -1;
}

void store_bind_text(sqlite3_stmt *q, int index, const char *text) {
    if (text && *text)
        sqlite3_bind_text(q, index, text, -1, SQLITE_STATIC);
}

void store_bind_times(sqlite3_stmt *q, int index, const struct page *page) {
    sqlite3_bind_int64(q, index, page->since ? page->since : INT64_MIN);
    sqlite3_bind_int64(q, index + 1, page->until ? page->until : INT64_MAX);
}

void store_bind_page(sqlite3_stmt *q, int index, const struct page *page) {
    /* A negative limit would mean "all" to SQLite. */
    sqlite3_bind_int64(q, index, page->limit < 0 ? 0 : page->limit);
    sqlite3_bind_int64(q, index + 1, page->offset);
}

void store_copy_text(sqlite3_stmt *q, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    snprintf(out, size, "%s", text ? text : "");
}

bool store_dup_text(sqlite3_stmt *q, int column, char **out) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

int store_run_texts(struct store *s, enum query which, const char *sql,
                    const char *first, const char *second, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, first);
    store_bind_text(q, 2, second);
    return store_run(s, q, f) < 0 ? -1 : sqlite3_changes(s->db);
}
