/* database.h: the connection: its lock, statements, transactions and columns.
 * For this room only. */
#ifndef CONTREE_STORE_DATABASE_H
#define CONTREE_STORE_DATABASE_H

#include "base/fault.h"
#include "store/journal.h"
#include "store/store.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every statement is prepared once, on first use; its text is in the file that
 * runs it. */
enum query {
    QUERY_BEGIN,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERY_LAYER_HIGHEST,
    QUERY_LAYER_RESERVE,
    QUERY_LAYER_ADD,
    QUERY_LAYER_CHAIN,
    QUERY_LAYER_SQUASH,
    QUERY_LAYER_BYTES,
    QUERY_LAYER_EACH,
    QUERY_LAYER_IMPORTED,
    QUERY_LAYER_IMPORTED_ADD,
    QUERY_LAYER_IMPORTED_FORGET,
    QUERY_IMAGE_BY_CONFIG,
    QUERY_IMAGE_SAME,
    QUERY_IMAGE_SET_CONFIG,
    QUERY_IMAGE_BY_UUID,
    QUERY_IMAGE_BY_TAG,
    QUERY_IMAGE_LIST,
    QUERY_IMAGE_LIST_TAGGED,
    QUERY_IMAGE_LIST_UUID,
    QUERY_IMAGE_LIST_PREFIX_FEW,
    QUERY_IMAGE_LIST_PREFIX_MANY,
    QUERY_IMAGE_COUNT_PREFIX,
    QUERY_IMAGE_ADD,
    QUERY_IMAGE_BY_PUBLIC,
    QUERY_TAG_CLEAR,
    QUERY_TAG_CLEAR_PUBLIC,
    QUERY_TAG_RESTORE,
    QUERY_TAG_SET,
    QUERY_TAG_REMOVE,
    QUERY_FILE_BY_SHA256,
    QUERY_FILE_BY_UUID,
    QUERY_FILE_ADD,
    QUERY_FILE_LIST,
    QUERY_OPERATION_ADD,
    QUERY_OPERATION_FOLD,
    QUERY_OPERATION_FINISH,
    QUERY_OPERATION_LOG_ADD,
    QUERY_OPERATION_ABANDON,
    QUERY_OPERATION_GET,
    QUERY_OPERATION_LOG,
    QUERY_OPERATION_LIST,
    QUERY_OPERATION_LIST_OTHER,
    QUERY_OPERATION_LIST_IMPORTS,
    QUERY_VOLUME_GET,
    QUERY_VOLUME_ADD,
    QUERY_VOLUME_USE,
    QUERY_VOLUME_MEASURED,
    QUERY_VOLUME_LIMIT,
    QUERY_VOLUME_REMOVE,
    QUERY_VOLUME_LIST,
    QUERY_TOTALS,
    QUERY_COUNT
};

struct store {
    pthread_mutex_t lock; /* of all members without a lock of their own */
    sqlite3 *db;
    sqlite3_stmt *statements[QUERY_COUNT];
    int64_t next_layer, layer_limit; /* reserved and not yet given out */
    int lock_fd, wal_fd;
    _Atomic int wal_pages;
    struct journal journal;

    /* A second connection, because a checkpoint syncs and must not make the
     * others wait. */
    pthread_mutex_t checkpoint_lock;
    sqlite3 *checkpoint_db;
};

/* pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s); */
pthread_mutex_t *store_acquire(struct store *s);
void store_release(pthread_mutex_t **held);

/* sqlite3_stmt *q CLEANUP(store_done) = store_query(s, QUERY_X, "...", f);
 * declared after `held`, so that it is reset before the lock goes. NULL with
 * the fault when it cannot be prepared. */
sqlite3_stmt *store_query(struct store *s, enum query which, const char *sql,
                          struct fault *f);
void store_done(sqlite3_stmt **q);
/* Runs a statement that gives no row. */
int store_run(struct store *s, sqlite3_stmt *q, struct fault *f);
/* Run a change with two texts as its parameters: the number of rows that it
 * changed, or -1. */
int store_run_texts(struct store *s, enum query which, const char *sql,
                    const char *first, const char *second, struct fault *f);
/* 1: a row; 0: no more; -1: fault. */
int store_row(struct store *s, sqlite3_stmt *q, struct fault *f);
/* Transactions. `result` decides between commit and rollback and is given back,
 * or -1 when the commit failed. */
int store_begin(struct store *s, struct fault *f);
int store_end(struct store *s, int result, struct fault *f);
/* Fills the fault from the connection's last error; -1. */
int store_fault(sqlite3 *db, struct fault *f);

/* NULL and "" are both bound as NULL. */
void store_bind_text(sqlite3_stmt *q, int index, const char *text);
/* `since` and `until` at index and index + 1. */
void store_bind_times(sqlite3_stmt *q, int index, const struct page *page);
/* `limit` and `offset` at index and index + 1. */
void store_bind_page(sqlite3_stmt *q, int index, const struct page *page);
void store_copy_text(sqlite3_stmt *q, int column, char *out, size_t size);
/* NULL stays NULL. False: out of memory. */
bool store_dup_text(sqlite3_stmt *q, int column, char **out);

#endif
