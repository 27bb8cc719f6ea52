/* operations.c: operations and their event logs. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "store/database.h"
#include "store/tables.h"
#include <stdlib.h>
#include <string.h>

#define SUMMARY                                                                \
    "SELECT uuid, kind, status, error, created, finished, consumed_cpu,"       \
    " consumed_memory, image_size, image, result_image, tag, "
/* A list that goes along an index; ?3 and ?4 are a status and a kind, or NULL.
 */
#define LIST(index, where)                                                     \
    SUMMARY "NULL FROM operation INDEXED BY " index                            \
            " WHERE created BETWEEN ?1 AND ?2 AND " where                      \
            " AND (?4 IS NULL OR kind = ?4)"                                   \
            " ORDER BY created DESC, id DESC LIMIT ?5 OFFSET ?6"
#define ANY_STATUS "(?3 IS NULL OR status = ?3)"

void operation_row_clear(struct operation_row *o) {
    free(o->error);
    free(o->tag);
    free(o->metadata);
    o->error = o->tag = o->metadata = NULL;
}

/* The constant with the column's spelling, so that rows need not own it. */
static const char *known(sqlite3_stmt *q, int column) {
    static const char *const words[] = {"instance", "image_import", "PENDING",
                                        "ASSIGNED", "EXECUTING",    "SUCCESS",
                                        "FAILED",   "CANCELLED"};
    const char *text = (const char *)sqlite3_column_text(q, column);
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return words[i];
    return "";
}

static int read_operation(sqlite3_stmt *q, struct operation_row *out,
                          struct fault *f) {
    *out = (struct operation_row){0};
    store_copy_text(q, 0, out->uuid, sizeof out->uuid);
    out->kind = known(q, 1);
    out->status = known(q, 2);
    out->created = sqlite3_column_int64(q, 4);
    out->finished = sqlite3_column_int64(q, 5);
    out->consumed_cpu = sqlite3_column_double(q, 6);
    out->consumed_memory = sqlite3_column_int64(q, 7);
    out->image_size = sqlite3_column_int64(q, 8);
    store_copy_text(q, 9, out->image, sizeof out->image);
    store_copy_text(q, 10, out->result_image, sizeof out->result_image);
    if (store_dup_text(q, 3, &out->error) && store_dup_text(q, 11, &out->tag) &&
        store_dup_text(q, 12, &out->metadata))
        return 0;
    operation_row_clear(out);
    return fault_memory(f);
}

#define ADD(conflict)                                                          \
    "INSERT " conflict "INTO operation (uuid, kind, status, error, created,"   \
    " finished, consumed_cpu, consumed_memory, image_size, image,"             \
    " result_image, tag, metadata)"                                            \
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

static int insert_row(struct store *s, enum query which, const char *sql,
                      const struct operation_row *o, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, o->uuid);
    store_bind_text(q, 2, o->kind);
    store_bind_text(q, 3, o->status);
    store_bind_text(q, 4, o->error);
    sqlite3_bind_int64(q, 5, o->created);
    sqlite3_bind_int64(q, 6, o->finished);
    sqlite3_bind_double(q, 7, o->consumed_cpu);
    sqlite3_bind_int64(q, 8, o->consumed_memory);
    sqlite3_bind_int64(q, 9, o->image_size);
    store_bind_text(q, 10, o->image);
    store_bind_text(q, 11, o->result_image);
    store_bind_text(q, 12, o->tag);
    store_bind_text(q, 13, o->metadata);
    return store_run(s, q, f);
}

static int add_row(struct store *s, const struct operation_row *o,
                   struct fault *f) {
    return insert_row(s, QUERY_OPERATION_ADD, ADD(""), o, f);
}

int store_operation_add(struct store *s, const struct operation_row *o,
                        struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    return add_row(s, o, f);
}

/* Gives the row's id. */
static int finish_row(struct store *s, const struct operation_row *o,
                      int64_t *id, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_OPERATION_FINISH,
        "UPDATE operation SET status = ?2, error = ?3, finished = ?4,"
        " consumed_cpu = ?5, consumed_memory = ?6, image_size = ?7,"
        " result_image = ?8, tag = ?9, metadata = ifnull(?10, metadata)"
        " WHERE uuid = ?1 RETURNING id",
        f);
    if (!q)
        return -1;
    store_bind_text(q, 1, o->uuid);
    store_bind_text(q, 2, o->status);
    store_bind_text(q, 3, o->error);
    sqlite3_bind_int64(q, 4, o->finished);
    sqlite3_bind_double(q, 5, o->consumed_cpu);
    sqlite3_bind_int64(q, 6, o->consumed_memory);
    sqlite3_bind_int64(q, 7, o->image_size);
    store_bind_text(q, 8, o->result_image);
    store_bind_text(q, 9, o->tag);
    store_bind_text(q, 10, o->metadata);
    int row = store_row(s, q, f);
    if (row == 0)
        fault_set(f, 404, "no operation %s", o->uuid);
    if (row != 1)
        return -1;
    *id = sqlite3_column_int64(q, 0);
    return store_run(s, q, f);
}

static int add_log(struct store *s, int64_t id, const char *log, size_t length,
                   struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_OPERATION_LOG_ADD,
                    "INSERT OR REPLACE INTO operation_log (operation, log)"
                    " VALUES (?, ?)",
                    f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_blob64(q, 2, log, length, SQLITE_STATIC);
    return store_run(s, q, f);
}

int store_operation_finish(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length,
                           struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int64_t id;
    if (store_begin(s, f) < 0)
        return -1;
    int result = finish_row(s, o, &id, f);
    if (result == 0 && log)
        result = add_log(s, id, log, log_length, f);
    return store_end(s, result, f);
}

static int record(struct store *s, const struct operation_row *o,
                  const char *log, size_t log_length, struct fault *f) {
    if (store_begin(s, f) < 0)
        return -1;
    int result = add_row(s, o, f);
    if (result == 0 && log)
        result =
            add_log(s, sqlite3_last_insert_rowid(s->db), log, log_length, f);
    return store_end(s, result, f);
}

int store_operation_record(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length,
                           struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    return record(s, o, log, log_length, f);
}

/* ---- the journal ---- */

struct folding {
    struct store *store;
    struct fault *fault;
};

/* A killed engine may have added it and not emptied the journal. */
static int fold_one(void *arg, const struct operation_row *o, const char *log,
                    size_t log_length) {
    struct folding *x = arg;
    struct store *s = x->store;
    if (insert_row(s, QUERY_OPERATION_FOLD, ADD("OR IGNORE "), o, x->fault) < 0)
        return -1;
    if (sqlite3_changes(s->db) == 0)
        return 0;
    return add_log(s, sqlite3_last_insert_rowid(s->db), log, log_length,
                   x->fault);
}

static int fold(struct store *s, struct fault *f) {
    struct folding x = {s, f};
    if (s->journal.count == 0)
        return 0;
    if (store_begin(s, f) < 0 ||
        store_end(s, journal_each(&s->journal, fold_one, &x), f) < 0)
        return -1;
    journal_clear(&s->journal);
    return 0;
}

/* Where folding fails, the disk is full, and garbage is to be removed. */
pthread_mutex_t *store_acquire_folded(struct store *s) {
    pthread_mutex_t *held = store_acquire(s);
    fold(s, NULL);
    return held;
}

int store_fold(struct store *s, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    return fold(s, f);
}

size_t store_unfolded(struct store *s) {
    return s->journal.count;
}

int store_operation_note(struct store *s, const struct operation_row *o,
                         const char *log, size_t log_length, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (journal_add(&s->journal, o, log, log_length))
        return 0;
    if (fold(s, f) < 0)
        return -1;
    return record(s, o, log, log_length, f);
}

/* ---- when the store opens ---- */

int store_abandon_operations(struct store *s, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_OPERATION_ABANDON,
                    "UPDATE operation SET status = 'FAILED', finished = ?,"
                    " error = 'the engine stopped while this operation ran'"
                    " WHERE status <> 'SUCCESS'"
                    " AND status IN ('PENDING', 'ASSIGNED', 'EXECUTING')",
                    f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, wall_microseconds());
    return store_run(s, q, f);
}

int store_operation_get(struct store *s, const char *uuid,
                        struct operation_row *out, struct fault *f) {
    char lower[UUID_SIZE];
    if (!uuid_parse(uuid, lower))
        return fault_set(f, 404, "no operation %.64s", uuid);
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (fold(s, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_OPERATION_GET,
                    SUMMARY "metadata FROM operation WHERE uuid = ?", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, lower);
    int row = store_row(s, q, f);
    if (row == 0)
        fault_set(f, 404, "no operation %s", lower);
    return row == 1 ? read_operation(q, out, f) : -1;
}

/* Copies the blob of column 0. */
static int copy_log(sqlite3_stmt *q, char **log, size_t *length,
                    struct fault *f) {
    *log = NULL;
    *length = 0;
    if (sqlite3_column_type(q, 0) == SQLITE_NULL)
        return 0;
    const void *data = sqlite3_column_blob(q, 0);
    *length = (size_t)sqlite3_column_bytes(q, 0);
    *log = malloc(*length + 1);
    if (!*log)
        return fault_memory(f);
    if (*length)
        memcpy(*log, data, *length);
    (*log)[*length] = 0;
    return 0;
}

int store_operation_log(struct store *s, const char *uuid, char **log,
                        size_t *length, struct fault *f) {
    char lower[UUID_SIZE];
    if (!uuid_parse(uuid, lower))
        return fault_set(f, 404, "no operation %.64s", uuid);
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (fold(s, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_OPERATION_LOG,
                    "SELECT log FROM operation LEFT JOIN operation_log"
                    " ON operation_log.operation = operation.id WHERE uuid = ?",
                    f);
    if (!q)
        return -1;
    store_bind_text(q, 1, lower);
    int row = store_row(s, q, f);
    if (row == 0)
        fault_set(f, 404, "no operation %s", lower);
    return row == 1 ? copy_log(q, log, length, f) : -1;
}

/* Chooses the index that leaves out most: see schema.c. */
static sqlite3_stmt *list_query(struct store *s,
                                const struct operation_filter *filter,
                                struct fault *f) {
    if (filter->kind && strcmp(filter->kind, "image_import") == 0)
        return store_query(
            s, QUERY_OPERATION_LIST_IMPORTS,
            LIST("operation_import", "kind = 'image_import' AND " ANY_STATUS),
            f);
    if (filter->status && strcmp(filter->status, "SUCCESS") != 0)
        return store_query(
            s, QUERY_OPERATION_LIST_OTHER,
            LIST("operation_other", "status <> 'SUCCESS' AND status = ?3"), f);
    return store_query(s, QUERY_OPERATION_LIST,
                       LIST("operation_created", ANY_STATUS), f);
}

int store_operation_list(struct store *s, const struct operation_filter *filter,
                         bool (*visit)(void *arg,
                                       const struct operation_row *o),
                         void *arg, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (fold(s, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(store_done) = list_query(s, filter, f);
    if (!q)
        return -1;
    store_bind_times(q, 1, &filter->page);
    store_bind_text(q, 3, filter->status);
    store_bind_text(q, 4, filter->kind);
    store_bind_page(q, 5, &filter->page);
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        struct operation_row o;
        if (read_operation(q, &o, f) < 0)
            return -1;
        bool more = visit(arg, &o);
        operation_row_clear(&o);
        if (!more)
            return 0;
    }
    return row;
}
