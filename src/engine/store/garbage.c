/* garbage.c: the rows that garbage collection removes; see layer/gc.h. */
#define _GNU_SOURCE
#include "store/garbage.h"
#include "base/scope.h"
#include "store/database.h"
#include "store/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gc_garbage_free(struct gc_garbage *g) {
    free(g->layers);
    free(g->files);
    free(g->operations);
    *g = (struct gc_garbage){0};
}

/* Makes room for one more; grows at the powers of two. */
static bool grow(void *list, size_t count, size_t size) {
    if (count & (count - 1))
        return true;
    void **p = list, *more = realloc(*p, (count ? count * 2 : 1) * size);
    if (more)
        *p = more;
    return more;
}

void gc_pins_free(struct gc_pins *p) {
    free(p->layers);
    free(p->files);
    *p = (struct gc_pins){0};
}

bool gc_pin_layer(struct gc_pins *p, int64_t layer) {
    if (!grow(&p->layers, p->layer_count, sizeof *p->layers))
        return false;
    p->layers[p->layer_count++] = layer;
    return true;
}

static bool add_text(void *list, size_t *count, size_t size, const char *text) {
    if (!grow(list, *count, size))
        return false;
    snprintf(*(char **)list + (*count)++ * size, size, "%s", text ? text : "");
    return true;
}

bool gc_pin_file(struct gc_pins *p, const char *sha256) {
    return add_text(&p->files, &p->file_count, sizeof *p->files, sha256);
}

/* A statement that is used once. */
static void cleanup_statement(sqlite3_stmt **q) {
    sqlite3_finalize(*q);
}

static sqlite3_stmt *prepare(struct store *s, const char *sql,
                             struct fault *f) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        store_fault(s->db, f);
    return q;
}

static int run_sql(struct store *s, const char *sql, struct fault *f) {
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_fault(s->db, f);
    return 0;
}

static int pin(struct store *s, const struct gc_pins *p, struct fault *f) {
    if (run_sql(s,
                "CREATE TEMP TABLE IF NOT EXISTS pinned (layer INTEGER);"
                "CREATE TEMP TABLE IF NOT EXISTS pinned_file (sha256 TEXT);"
                "DELETE FROM pinned; DELETE FROM pinned_file",
                f) < 0)
        return -1;
    sqlite3_stmt *layer CLEANUP(cleanup_statement) =
        prepare(s, "INSERT INTO pinned VALUES (?)", f);
    sqlite3_stmt *file CLEANUP(cleanup_statement) =
        prepare(s, "INSERT INTO pinned_file VALUES (?)", f);
    if (!layer || !file)
        return -1;
    for (size_t i = 0; i < p->layer_count; i++) {
        sqlite3_reset(layer);
        sqlite3_bind_int64(layer, 1, p->layers[i]);
        if (store_run(s, layer, f) < 0)
            return -1;
    }
    for (size_t i = 0; i < p->file_count; i++) {
        sqlite3_reset(file);
        store_bind_text(file, 1, p->files[i]);
        if (store_run(s, file, f) < 0)
            return -1;
    }
    return 0;
}

int store_mend_times(struct store *s, int64_t earliest, int64_t now,
                     struct fault *f) {
    static const char *const statements[] = {
        "UPDATE image SET created = ?2 WHERE created NOT BETWEEN ?1 AND ?2",
        "UPDATE file SET updated = ?2 WHERE updated NOT BETWEEN ?1 AND ?2",
        "UPDATE operation SET created = ?2"
        " WHERE created NOT BETWEEN ?1 AND ?2",
        "UPDATE operation SET finished = ?2"
        " WHERE finished <> 0 AND finished NOT BETWEEN ?1 AND ?2"};
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire_folded(s);
    (void)held;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_stmt *q CLEANUP(cleanup_statement) =
            prepare(s, statements[i], f);
        if (!q)
            return -1;
        sqlite3_bind_int64(q, 1, earliest);
        sqlite3_bind_int64(q, 2, now);
        if (store_run(s, q, f) < 0)
            return -1;
    }
    return 0;
}

/* One of the statements below took `count` rows. */
static void note_rows(struct gc_garbage *g, const struct gc_times *t,
                      int64_t count) {
    g->more = g->more || count == t->rows;
}

/* ---- images ---- */

/* Looking at an operation takes less time than removing a row. */
enum { OPERATIONS_FOR_ROW = 10 };

/* The last one of the next operations. Returns whether there are more, or -1.
 */
static int find_next(struct store *s, int64_t most, int64_t seen, int64_t *last,
                     struct fault *f) {
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s,
                "SELECT max(id), count(*) FROM (SELECT id FROM operation"
                " WHERE id > ?1 ORDER BY id LIMIT ?2)",
                f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, seen);
    sqlite3_bind_int64(q, 2, most);
    if (store_row(s, q, f) != 1)
        return -1;
    int64_t count = sqlite3_column_int64(q, 1);
    *last = count ? sqlite3_column_int64(q, 0) : seen;
    return count == most;
}

/* What operations use an image for. */
#define USED_RECENTLY "1"
#define USED_LATELY "2" /* since `untold`, to run on it */
#define MADE_BY_RUN "3" /* recently */

/* One that has not ended counts. */
#define NOTE(how, image, since)                                                \
    "INSERT OR IGNORE INTO temp.use SELECT " how ", " image                    \
    " FROM operation WHERE id > ?1 AND id <= ?2 AND " image " IS NOT NULL"     \
    " AND (finished = 0 OR finished >= " since ")"
#define UNTAGGED "?3"
#define UNTOLD "?4"

/* Goes on to note the uses of images, by operations from `seen` on. */
static int note_uses(struct store *s, const struct gc_times *t, int64_t most,
                     int64_t seen, struct gc_garbage *g, struct fault *f) {
    static const char *const statements[] = {
        NOTE(USED_RECENTLY, "image", UNTAGGED),
        NOTE(USED_RECENTLY, "result_image", UNTAGGED),
        NOTE(USED_LATELY, "image", UNTOLD),
        NOTE(MADE_BY_RUN, "result_image", UNTAGGED) " AND kind = 'instance'"};
    int more = find_next(s, most, seen, &g->seen, f);
    for (size_t i = 0; more >= 0 && i < sizeof statements / sizeof *statements;
         i++) {
        sqlite3_stmt *q CLEANUP(cleanup_statement) =
            prepare(s, statements[i], f);
        if (!q)
            return -1;
        sqlite3_bind_int64(q, 1, seen);
        sqlite3_bind_int64(q, 2, g->seen);
        sqlite3_bind_int64(q, 3, t->untagged);
        sqlite3_bind_int64(q, 4, t->untold);
        if (store_run(s, q, f) < 0)
            return -1;
    }
    return more;
}

static int find_uses(struct store *s, const struct gc_times *t,
                     struct gc_garbage *g, struct fault *f) {
    int64_t most = t->rows < 0 ? -1 : t->rows * OPERATIONS_FOR_ROW;
    if (t->seen == 0 &&
        run_sql(s,
                "CREATE TEMP TABLE IF NOT EXISTS use (how INTEGER, image TEXT,"
                " PRIMARY KEY (how, image)) WITHOUT ROWID;"
                "DELETE FROM temp.use",
                f) < 0)
        return -1;
    int more = note_uses(s, t, most, t->seen, g, f);
    g->more = more > 0;
    return more < 0 ? -1 : 0;
}

static int remove_images(struct store *s, const struct gc_times *t,
                         struct gc_report *r, struct gc_garbage *g,
                         struct fault *f) {
    /* What has begun since. */
    if (note_uses(s, t, -1, g->seen, g, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(cleanup_statement) = prepare(
        s,
        "DELETE FROM image WHERE uuid IN (SELECT uuid FROM image i"
        " WHERE tag IS NULL AND public IS NULL"
        " AND layer NOT IN (SELECT layer FROM temp.pinned) AND ("
        "((created < ?1"
        " OR (created < ?2 AND operation IN (SELECT uuid FROM operation"
        " WHERE status = 'FAILED' AND status <> 'SUCCESS'"
        " AND result_image IS NULL)))"
        " AND NOT EXISTS (SELECT 1 FROM temp.use u WHERE u.image = i.uuid"
        " AND how = " USED_RECENTLY "))"
        " OR (created < ?2 AND operation IN (SELECT uuid FROM operation"
        " WHERE kind = 'image_import'"
        " AND json_extract(metadata, '$.temporary'))"
        " AND NOT EXISTS (SELECT 1 FROM temp.use u WHERE u.image = i.uuid"
        " AND how IN (" USED_LATELY ", " MADE_BY_RUN ")))) LIMIT ?3)",
        f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, t->untagged);
    sqlite3_bind_int64(q, 2, t->untold);
    sqlite3_bind_int64(q, 3, t->rows);
    if (store_run(s, q, f) < 0)
        return -1;
    r->images += sqlite3_changes(s->db);
    note_rows(g, t, sqlite3_changes(s->db));
    return g->more ? 0 : run_sql(s, "DELETE FROM temp.use", f);
}

/* ---- layers ---- */

/* Notes the layers that chains of images, and what is pinned, are made of. One
 * that another stands for is none of them, although it is named: the other one
 * takes its name's place. */
static int find_used_layers(struct store *s, struct fault *f) {
    return run_sql(
        s,
        "CREATE TEMP TABLE IF NOT EXISTS used (id INTEGER PRIMARY KEY);"
        "DELETE FROM used;"
        "WITH RECURSIVE chain (id) AS ("
        " SELECT ifnull(squashed, layer.id) FROM image"
        " JOIN layer ON layer.id = image.layer"
        " UNION SELECT layer FROM temp.pinned"
        " UNION SELECT ifnull(n.squashed, n.id) FROM chain"
        " JOIN layer l USING (id) JOIN layer n ON n.id = l.parent)"
        "INSERT INTO used SELECT id FROM chain;"
        "CREATE TEMP TABLE IF NOT EXISTS renamed"
        " (id INTEGER PRIMARY KEY, squashed INTEGER);"
        "DELETE FROM renamed;"
        "INSERT INTO renamed SELECT id, squashed FROM main.layer WHERE"
        " squashed IS NOT NULL AND id NOT IN (SELECT id FROM used);"
        "UPDATE image SET layer = (SELECT squashed FROM renamed"
        " WHERE id = layer) WHERE layer IN (SELECT id FROM renamed);"
        "UPDATE imported_layer SET layer = (SELECT squashed FROM renamed"
        " WHERE id = layer) WHERE layer IN (SELECT id FROM renamed);"
        "UPDATE layer SET parent = (SELECT r.squashed FROM renamed r"
        " WHERE r.id = parent) WHERE parent IN (SELECT id FROM renamed);"
        "UPDATE layer SET squashed = NULL WHERE squashed IN"
        " (SELECT id FROM layer WHERE id NOT IN (SELECT id FROM used))",
        f);
}

/* Finding them takes longer than removing one, so many go at once; the upper
 * ones first, which have larger ids. */
enum { LAYERS_FOR_ROW = 10 };

static int remove_layers(struct store *s, const struct gc_times *t,
                         struct gc_report *r, struct gc_garbage *g,
                         struct fault *f) {
    int64_t most = t->rows < 0 ? -1 : t->rows * LAYERS_FOR_ROW;
    if (find_used_layers(s, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s,
                "DELETE FROM layer WHERE id IN (SELECT id FROM layer"
                " WHERE id NOT IN (SELECT id FROM temp.used)"
                " ORDER BY id DESC LIMIT ?) RETURNING id, size",
                f);
    int row = -1;
    if (q)
        sqlite3_bind_int64(q, 1, most);
    while (q && (row = store_row(s, q, f)) == 1) {
        if (!grow(&g->layers, g->layer_count, sizeof *g->layers))
            return fault_memory(f);
        g->layers[g->layer_count++] = sqlite3_column_int64(q, 0);
        r->layers++;
        r->layer_bytes += sqlite3_column_int64(q, 1);
    }
    g->more = (int64_t)g->layer_count == most;
    return row < 0 ? -1
                   : run_sql(s,
                             "DELETE FROM imported_layer WHERE layer NOT IN"
                             " (SELECT id FROM layer)",
                             f);
}

static int remove_files(struct store *s, const struct gc_times *t,
                        struct gc_report *r, struct gc_garbage *g,
                        struct fault *f) {
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s,
                "DELETE FROM file WHERE sha256 IN (SELECT sha256 FROM file"
                " WHERE updated < ?1 AND sha256 NOT IN"
                " (SELECT sha256 FROM temp.pinned_file) LIMIT ?2)"
                " RETURNING sha256, size",
                f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, t->files);
    sqlite3_bind_int64(q, 2, t->rows);
    size_t before = g->file_count;
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        if (!add_text(&g->files, &g->file_count, sizeof *g->files,
                      (const char *)sqlite3_column_text(q, 0)))
            return fault_memory(f);
        r->files++;
        r->file_bytes += sqlite3_column_int64(q, 1);
    }
    note_rows(g, t, (int64_t)(g->file_count - before));
    return row;
}

/* Both statements take the same ones: the oldest, by an index. By id, all rows
 * would be looked at where none is as old. */
#define OLD_OPERATIONS                                                         \
    "(SELECT id FROM operation WHERE finished <> 0 AND finished < ?1"          \
    " AND created < ?1 ORDER BY created, id LIMIT ?2)"

static int remove_logs(struct store *s, const struct gc_times *t,
                       struct gc_report *r, struct fault *f) {
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s,
                "DELETE FROM operation_log WHERE operation IN " OLD_OPERATIONS
                " RETURNING length(log)",
                f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, t->operations);
    sqlite3_bind_int64(q, 2, t->rows);
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        r->logs++;
        r->log_bytes += sqlite3_column_int64(q, 0);
    }
    return row;
}

static int remove_operations(struct store *s, const struct gc_times *t,
                             struct gc_report *r, struct gc_garbage *g,
                             struct fault *f) {
    if (remove_logs(s, t, r, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(cleanup_statement) = prepare(
        s,
        "DELETE FROM operation WHERE id IN " OLD_OPERATIONS " RETURNING uuid",
        f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, t->operations);
    sqlite3_bind_int64(q, 2, t->rows);
    size_t before = g->operation_count;
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        if (!add_text(&g->operations, &g->operation_count,
                      sizeof *g->operations,
                      (const char *)sqlite3_column_text(q, 0)))
            return fault_memory(f);
        r->operations++;
    }
    note_rows(g, t, (int64_t)(g->operation_count - before));
    return row;
}

static int remove_part(struct store *s, enum gc_stage stage,
                       const struct gc_times *t, const struct gc_pins *p,
                       struct gc_report *r, struct gc_garbage *out,
                       struct fault *f) {
    switch (stage) {
    case GC_USES:
        return find_uses(s, t, out, f);
    case GC_IMAGES:
        return p->importing ? 0 : remove_images(s, t, r, out, f);
    case GC_LAYERS:
        return p->importing ? 0 : remove_layers(s, t, r, out, f);
    case GC_FILES:
        return remove_files(s, t, r, out, f);
    default:
        return remove_operations(s, t, r, out, f);
    }
}

/* Each stage looks at many rows, so each has a turn of the loop for itself. */
static int remove_some(struct store *s, const struct gc_times *t,
                       const struct gc_pins *p, struct gc_report *r,
                       struct gc_garbage *out, struct fault *f) {
    out->stage = t->stage;
    out->seen = t->seen;
    if (remove_part(s, t->stage, t, p, r, out, f) < 0)
        return -1;
    if (!out->more && t->stage != GC_OPERATIONS) {
        out->more = true;
        out->stage = t->stage + 1;
    }
    return 0;
}

static int look_at_all(struct store *s, const struct gc_times *t,
                       const struct gc_pins *p, struct gc_report *r,
                       struct gc_garbage *out, struct fault *f) {
    for (enum gc_stage stage = GC_USES; stage <= GC_OPERATIONS; stage++)
        if (remove_part(s, stage, t, p, r, out, f) < 0)
            return -1;
    return 0;
}

int store_remove_garbage(struct store *s, const struct gc_times *t,
                         const struct gc_pins *p, struct gc_report *r,
                         struct gc_garbage *out, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire_folded(s);
    (void)held;
    if (pin(s, p, f) < 0 || store_begin(s, f) < 0)
        return -1;
    int result = r->dry_run ? look_at_all(s, t, p, r, out, f)
                            : remove_some(s, t, p, r, out, f);
    if (result == 0 && r->dry_run) {
        gc_garbage_free(out);
        store_end(s, -1, f);
        return 0;
    }
    return store_end(s, result, f);
}

int store_unless_file(struct store *s, const char *sha256,
                      void (*act)(void *arg), void *arg, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire_folded(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s, "SELECT 1 FROM file WHERE sha256 = ?", f);
    if (!q)
        return -1;
    store_bind_text(q, 1, sha256);
    int row = store_row(s, q, f);
    if (row == 0)
        act(arg);
    return row < 0 ? -1 : 0;
}
