/* database.c: opening, locking, transactions, durability and the layers' rows.
 * Images are in images.c, imports in imports.c, files in
 * files.c, operations in operations.c. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "store/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The ladder: step N takes a database from user_version N to N + 1. Steps are
 * never edited once released, only added. */
static const char *const migrations[] = {
    "CREATE TABLE layer_counter (reserved INTEGER NOT NULL);"
    "INSERT INTO layer_counter VALUES (0);"
    "CREATE TABLE layer ("
    " id INTEGER PRIMARY KEY, parent INTEGER NOT NULL,"
    " size INTEGER NOT NULL);"

    "CREATE TABLE image ("
    " id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, tag TEXT UNIQUE,"
    " operation TEXT, created INTEGER NOT NULL, size INTEGER NOT NULL,"
    " layer INTEGER NOT NULL, env TEXT);"
    "CREATE INDEX image_created ON image (created);"
    /* Holds the tag too, so that a filter by a common prefix needs no visit of
     * the rows that it leaves out. */
    "CREATE INDEX image_tagged ON image (created, tag) WHERE tag IS NOT NULL;"

    "CREATE TABLE file ("
    " id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE,"
    " sha256 TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL);"
    "CREATE INDEX file_created ON file (created);"

    /* metadata may be large: as the last column it costs lists nothing. */
    "CREATE TABLE operation ("
    " id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " status TEXT NOT NULL, error TEXT, created INTEGER NOT NULL,"
    " finished INTEGER NOT NULL, consumed_cpu REAL NOT NULL,"
    " consumed_memory INTEGER NOT NULL, image_size INTEGER NOT NULL,"
    " image TEXT, result_image TEXT, tag TEXT, metadata TEXT);"
    "CREATE INDEX operation_created ON operation (created);"
    "CREATE INDEX operation_status ON operation (status, created);"
    "CREATE INDEX operation_kind ON operation (kind, created);"
    "CREATE TABLE operation_log ("
    " operation INTEGER PRIMARY KEY, log BLOB NOT NULL);",

    "CREATE TABLE imported_layer ("
    " key TEXT PRIMARY KEY, layer INTEGER NOT NULL) WITHOUT ROWID;",

    /* Of imported images: where commands run, and the digest of the config. */
    "ALTER TABLE image ADD COLUMN cwd TEXT;"
    "ALTER TABLE image ADD COLUMN config TEXT;"
    "CREATE INDEX image_config ON image (config) WHERE config IS NOT NULL;",

    /* See struct chain_layer; `squashed` is the layer that stands for it. */
    "ALTER TABLE layer ADD COLUMN level INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE layer ADD COLUMN squashed INTEGER;"
    "UPDATE layer SET level = 100 WHERE size > 64 << 20;",

    /* Nearly all operations are runs that succeeded: only the others have more
     * than their place in time, so that a run writes two pages less. */
    "DROP INDEX operation_status;"
    "DROP INDEX operation_kind;"
    "CREATE INDEX operation_other ON operation (status, created)"
    " WHERE status <> 'SUCCESS';"
    "CREATE INDEX operation_import ON operation (created)"
    " WHERE kind = 'image_import';",

    /* See store_tag_set(). */
    "ALTER TABLE image ADD COLUMN public TEXT;"
    "UPDATE image SET public = tag WHERE operation IS NULL;"
    "CREATE UNIQUE INDEX image_public ON image (public)"
    " WHERE public IS NOT NULL;",

    /* Of imported images: USER. */
    "ALTER TABLE image ADD COLUMN user TEXT;",
};
#define SCHEMA_VERSION ((int)(sizeof migrations / sizeof *migrations))

/* Layer ids are taken from the database this many at a time. */
#define LAYER_BLOCK 256
/* Pages in the log that make a checkpoint due: 4 MB. */
#define CHECKPOINT_PAGES 1024

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

int store_lock(int dir_fd, const char *dir, struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault_errno(f, "%s/lock", dir);
    char pid[16] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fault_errno(f, "locking %s/lock", dir);
        long holder =
            pread(fd, pid, sizeof pid - 1, 0) > 0 ? strtol(pid, NULL, 10) : 0;
        if (holder <= 0)
            return fault_set(f, 409, "another contree-engine uses %s", dir);
        return fault_set(f, 409, "another contree-engine (pid %ld) uses %s",
                         holder, dir);
    }
    int length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)length, 0) != length)
        return fault_errno(f, "writing %s/lock", dir);
    return steal_fd(&fd);
}

int store_announce(struct store *s, const char *socket, struct fault *f) {
    char text[PATH_MAX + 32];
    int length = snprintf(text, sizeof text, "%d\n%s\n", (int)getpid(), socket);
    if (length >= (int)sizeof text ||
        pwrite(s->lock_fd, text, (size_t)length, 0) != length)
        return fault_errno(f, "writing the lock");
    return 0;
}

bool store_served_on(const char *dir, char *socket, size_t size) {
    char path[PATH_MAX], text[PATH_MAX + 32];
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path)
        return false;
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read_all(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *line = strchr(text, '\n');
    char *end = line ? strchr(++line, '\n') : NULL;
    if (!end || end == line || (size_t)(end - line) >= size)
        return false;
    *end = 0;
    memcpy(socket, line, (size_t)(end - line) + 1);
    return true;
}

static int exec_sql(sqlite3 *db, const char *sql, struct fault *f) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_fault(db, f);
    return 0;
}

static int schema_version(sqlite3 *db, int *version, struct fault *f) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL) !=
            SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW) {
        store_fault(db, f);
        sqlite3_finalize(q);
        return -1;
    }
    *version = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return 0;
}

/* Each step and the version it leads to are one transaction. */
static int migrate(sqlite3 *db, const char *dir, struct fault *f) {
    int version;
    if (schema_version(db, &version, f) < 0)
        return -1;
    if (version < 0 || version > SCHEMA_VERSION)
        return fault_set(f, 500,
                         "%s/contree.db was made by a newer contree-engine "
                         "(schema %d, this one knows %d): use that one, or "
                         "another data directory",
                         dir, version, SCHEMA_VERSION);
    for (; version < SCHEMA_VERSION; version++) {
        char mark[64];
        snprintf(mark, sizeof mark, "PRAGMA user_version = %d; COMMIT",
                 version + 1);
        if (exec_sql(db, "BEGIN IMMEDIATE", f) < 0 ||
            exec_sql(db, migrations[version], f) < 0 ||
            exec_sql(db, mark, f) < 0)
            return -1; /* closing the connection rolls back */
    }
    return 0;
}

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
    if (code != SQLITE_OK || exec_sql(db,
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

static int first_layer(struct store *s, struct fault *f) {
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

static int open_database(struct store *s, int dir_fd, const char *dir,
                         struct fault *f) {
    if (!(s->db = connect_database(dir, f)) || migrate(s->db, dir, f) < 0)
        return -1;
    sqlite3_wal_hook(s->db, on_commit, s);
    if (store_abandon_operations(s, f) < 0 || first_layer(s, f) < 0)
        return -1;
    s->checkpoint_db = connect_database(dir, f);
    if (!s->checkpoint_db)
        return -1;
    /* SQLite's locks are not on this file, so a descriptor of our own is safe;
     * one of contree.db would drop its locks when closed. */
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
    s->wal_fd = -1;
    s->lock_fd = store_lock(dir_fd, dir, f);
    if (s->lock_fd < 0 || open_database(s, dir_fd, dir, f) < 0) {
        store_close(s);
        return NULL;
    }
    return s;
}

bool store_is_there(const struct store *s) {
    struct stat st;
    return fstat(s->lock_fd, &st) == 0 && st.st_nlink > 0;
}

void store_close(struct store *s) {
    if (!s)
        return;
    for (int i = 0; i < QUERY_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->checkpoint_db);
    /* The last one to close folds the log into the database. */
    sqlite3_close(s->db);
    drop_fd(&s->wal_fd);
    drop_fd(&s->lock_fd);
    pthread_mutex_destroy(&s->checkpoint_lock);
    pthread_mutex_destroy(&s->lock);
    free(s);
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
    /* A writer may just be starting the log anew: next time, then. */
    if (result == SQLITE_BUSY)
        return 0;
    if (result != SQLITE_OK)
        return store_fault(s->checkpoint_db, f);
    /* The next commit starts the log anew, or counts what is left. */
    s->wal_pages = 0;
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

int store_layer_add(struct store *s, int64_t id, int64_t parent, int64_t size,
                    struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    return store_insert_layer(s, id, parent, size, f);
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

int store_layer_bytes(struct store *s, int64_t layer, int64_t *bytes,
                      struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    return store_sum_layers(s, layer, bytes, f);
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
