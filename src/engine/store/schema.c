/* schema.c: see schema.h. */
#include "store/schema.h"
#include "store/database.h"
#include <stdio.h>

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
    /* With the tag in the index, a filter by a common prefix does not read the
     * rows that it leaves out. */
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

    /* Nearly all operations are runs that succeeded. They are in no index but
     * that of time, so that a run writes two pages less. */
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

    "CREATE TABLE volume ("
    " name TEXT PRIMARY KEY, directory TEXT NOT NULL UNIQUE,"
    " created INTEGER NOT NULL, used INTEGER NOT NULL,"
    " quota INTEGER NOT NULL, size INTEGER NOT NULL);",

    /* Garbage collection asks of each layer by itself whether it is needed. */
    "CREATE INDEX image_layer ON image (layer);"
    "CREATE INDEX layer_parent ON layer (parent);"
    "CREATE INDEX layer_squashed ON layer (squashed)"
    " WHERE squashed IS NOT NULL;"
    "CREATE INDEX imported_layer_layer ON imported_layer (layer);",
};
#define SCHEMA_VERSION ((int)(sizeof migrations / sizeof *migrations))

int schema_exec(sqlite3 *db, const char *sql, struct fault *f) {
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

/* Each step and its new version are one transaction. */
int schema_migrate(sqlite3 *db, const char *dir, struct fault *f) {
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
        if (schema_exec(db, "BEGIN IMMEDIATE", f) < 0 ||
            schema_exec(db, migrations[version], f) < 0 ||
            schema_exec(db, mark, f) < 0)
            return -1; /* closing the connection rolls back */
    }
    return 0;
}
