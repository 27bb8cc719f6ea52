/* open.c: opening the store, and making durable what is written. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/scope.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/tables.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Pages in the log that make a checkpoint due: 4 MB. */
#define CHECKPOINT_PAGES 1024

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages) {
    struct store *s = arg;
    (void)db;
    (void)name;
    s->wal_pages = pages;
    return SQLITE_OK;
}

static sqlite3 *connect_database(const char *dir, struct fault *f) {
    sqlite3 *db = NULL;
    char *path = NULL;
    if (asprintf(&path, "%s/contree.db", dir) < 0) {
        fault_memory(f);
        return NULL;
    }
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &db, flags, NULL);
    free(path);
    if (code != SQLITE_OK || schema_exec(db,
                                         "PRAGMA busy_timeout = 10000;"
                                         "PRAGMA journal_mode = WAL;"
                                         "PRAGMA synchronous = NORMAL;"
                                         "PRAGMA wal_autocheckpoint = 0;"
                                         "PRAGMA trusted_schema = OFF;"
                                         "PRAGMA temp_store = MEMORY",
                                         f) < 0) {
        if (code != SQLITE_OK)
            fault_set(f, 500, "opening %s/contree.db: %s", dir,
                      sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

static int open_database(struct store *s, int dir_fd, const char *dir,
                         struct fault *f) {
    if (!(s->db = connect_database(dir, f)) ||
        schema_migrate(s->db, dir, f) < 0 ||
        journal_open(&s->journal, dir_fd, f) < 0)
        return -1;
    sqlite3_wal_hook(s->db, on_commit, s);
    if (store_abandon_operations(s, f) < 0 ||
        store_read_layer_counter(s, f) < 0)
        return -1;
    s->checkpoint_db = connect_database(dir, f);
    if (!s->checkpoint_db)
        return -1;
    /* A second descriptor is safe for this file, because SQLite's locks are not
     * on it. Closing one of contree.db would drop its locks. */
    s->wal_fd = openat(dir_fd, "contree.db-wal", O_RDONLY | O_CLOEXEC);
    if (s->wal_fd < 0 || fsync(dir_fd) < 0)
        return fault_errno(f, "%s/contree.db-wal", dir);
    return store_sync(s, f);
}

struct store *store_open(int dir_fd, const char *dir, struct fault *f) {
    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        fault_memory(f);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->checkpoint_lock, NULL);
    s->wal_fd = s->journal.fd = -1;
    s->lock_fd = store_lock(dir_fd, dir, f);
    if (s->lock_fd < 0 || open_database(s, dir_fd, dir, f) < 0) {
        store_close(s);
        return NULL;
    }
    return s;
}

void store_close(struct store *s) {
    if (!s)
        return;
    /* What the disk has no room for stays in the journal. */
    if (s->journal.count)
        store_fold(s, NULL);
    journal_close(&s->journal);
    for (int i = 0; i < QUERY_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->checkpoint_db);
    /* The last connection that closes folds the log into the database. */
    sqlite3_close(s->db);
    drop_fd(&s->wal_fd);
    drop_fd(&s->lock_fd);
    pthread_mutex_destroy(&s->checkpoint_lock);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void store_trim(struct store *s) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    sqlite3_db_release_memory(s->db);
}

int store_sync(struct store *s, struct fault *f) {
    if (fdatasync(s->wal_fd) < 0)
        return fault_errno(f, "syncing contree.db-wal");
    return 0;
}

bool store_checkpoint_due(struct store *s) {
    return s->wal_pages >= CHECKPOINT_PAGES;
}

int store_checkpoint(struct store *s, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = &s->checkpoint_lock;
    pthread_mutex_lock(held);
    int result = sqlite3_wal_checkpoint_v2(
        s->checkpoint_db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    /* A writer is restarting the log just now. The next checkpoint will do. */
    if (result == SQLITE_BUSY)
        return 0;
    if (result != SQLITE_OK)
        return store_fault(s->checkpoint_db, f);
    /* The next commit starts the log anew, or counts what is left. */
    s->wal_pages = 0;
    return 0;
}
