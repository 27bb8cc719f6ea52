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
                "CREATE TEMP TABLE IF NOT EXISTS pinned"
                " (layer INTEGER PRIMARY KEY);"
                "CREATE TEMP TABLE IF NOT EXISTS pinned_file"
                " (sha256 TEXT PRIMARY KEY) WITHOUT ROWID;"
                "DELETE FROM pinned; DELETE FROM pinned_file",
                f) < 0)
        return -1;
    sqlite3_stmt *layer CLEANUP(cleanup_statement) =
        prepare(s, "INSERT OR IGNORE INTO pinned VALUES (?)", f);
    sqlite3_stmt *file CLEANUP(cleanup_statement) =
        prepare(s, "INSERT OR IGNORE INTO pinned_file VALUES (?)", f);
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

/* ---- parts ---- */

/* The rows of a table that one step looks at: those with an id above `seen`, up
 * to `last`. */
struct part {
    int64_t seen, last;
    bool more; /* there may be some above `last` */
};

/* The next `most` rows, or all for -1. */
static int find_part(struct store *s, const char *table, int64_t most,
                     int64_t seen, struct part *p, struct fault *f) {
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT ifnull(max(id), ?1), count(*) FROM"
             " (SELECT id FROM main.%s WHERE id > ?1 ORDER BY id LIMIT ?2)",
             table);
    sqlite3_stmt *q CLEANUP(cleanup_statement) = prepare(s, sql, f);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, seen);
    sqlite3_bind_int64(q, 2, most);
    if (store_row(s, q, f) != 1)
        return -1;
    *p = (struct part){.seen = seen,
                       .last = sqlite3_column_int64(q, 0),
                       .more = sqlite3_column_int64(q, 1) == most};
    return 0;
}

#define IN_PART " id > ?1 AND id <= ?2 "

/* A statement about a part, which has two times beside. */
static sqlite3_stmt *prepare_part(struct store *s, const char *sql,
                                  const struct part *p, int64_t first,
                                  int64_t second, struct fault *f) {
    sqlite3_stmt *q = prepare(s, sql, f);
    if (!q)
        return NULL;
    sqlite3_bind_int64(q, 1, p->seen);
    sqlite3_bind_int64(q, 2, p->last);
    sqlite3_bind_int64(q, 3, first);
    sqlite3_bind_int64(q, 4, second);
    return q;
}

static int run_part(struct store *s, const char *sql, const struct part *p,
                    int64_t first, int64_t second, struct fault *f) {
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare_part(s, sql, p, first, second, f);
    return q ? store_run(s, q, f) : -1;
}

/* Sets times of a part that no right clock has shown to now. */
#define MEND(table, time)                                                      \
    "UPDATE " table " SET " time " = ?4 WHERE" IN_PART "AND " time             \
    " NOT BETWEEN ?3 AND ?4"

static int mend(struct store *s, const char *sql, const struct gc_times *t,
                const struct part *p, struct fault *f) {
    return t->earliest ? run_part(s, sql, p, t->earliest, t->now, f) : 0;
}

/* ---- images ---- */

/* What operations use an image for. */
#define USED_RECENTLY "1"
#define USED_LATELY "2" /* since `untold`, to run on it */
#define MADE_BY_RUN "3" /* recently */

/* One that has not ended counts. */
#define NOTE(how, image, since)                                                \
    "INSERT OR IGNORE INTO temp.use SELECT " how ", " image                    \
    " FROM operation WHERE" IN_PART "AND (finished = 0 OR finished >= " since  \
    ") AND EXISTS (SELECT 1 FROM image WHERE uuid = " image ")"
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
    struct part p;
    if (find_part(s, "operation", most, seen, &p, f) < 0 ||
        mend(s, MEND("operation", "created"), t, &p, f) < 0 ||
        mend(s, MEND("operation", "finished") " AND finished <> 0", t, &p, f) <
            0)
        return -1;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (run_part(s, statements[i], &p, t->untagged, t->untold, f) < 0)
            return -1;
    g->at.seen = p.last;
    return p.more;
}

/* An operation takes less time than a row of another table. */
enum { OPERATIONS_FOR_ROW = 4 };

static int find_uses(struct store *s, const struct gc_times *t,
                     struct gc_garbage *g, struct fault *f) {
    int64_t most = t->rows < 0 ? -1 : t->rows * OPERATIONS_FOR_ROW;
    if (t->at.seen == 0 &&
        run_sql(s,
                "CREATE TEMP TABLE IF NOT EXISTS use (how INTEGER, image TEXT,"
                " PRIMARY KEY (how, image)) WITHOUT ROWID;"
                "DELETE FROM temp.use",
                f) < 0)
        return -1;
    int more = note_uses(s, t, most, t->at.seen, g, f);
    g->more = more > 0;
    return more < 0 ? -1 : 0;
}

static int remove_images(struct store *s, const struct gc_times *t,
                         struct gc_report *r, struct gc_garbage *g,
                         struct fault *f) {
    static const char sql[] =
        "DELETE FROM image AS i WHERE" IN_PART
        "AND tag IS NULL AND public IS NULL"
        " AND layer NOT IN (SELECT layer FROM temp.pinned) AND ("
        "((created < " UNTAGGED " OR (created < " UNTOLD
        " AND EXISTS (SELECT 1 FROM operation o WHERE o.uuid = i.operation"
        " AND status = 'FAILED' AND result_image IS NULL)))"
        " AND NOT EXISTS (SELECT 1 FROM temp.use u WHERE u.image = i.uuid"
        " AND how = " USED_RECENTLY "))"
        " OR (created < " UNTOLD
        " AND EXISTS (SELECT 1 FROM operation o WHERE o.uuid = i.operation"
        " AND kind = 'image_import'"
        " AND json_extract(metadata, '$.temporary'))"
        " AND NOT EXISTS (SELECT 1 FROM temp.use u WHERE u.image = i.uuid"
        " AND how IN (" USED_LATELY ", " MADE_BY_RUN "))))";
    struct part p;
    /* What has begun since. */
    if (note_uses(s, t, -1, g->at.seen, g, f) < 0 ||
        find_part(s, "image", t->rows, t->at.reached, &p, f) < 0 ||
        mend(s, MEND("image", "created"), t, &p, f) < 0 ||
        run_part(s, sql, &p, t->untagged, t->untold, f) < 0)
        return -1;
    r->images += sqlite3_changes(s->db);
    g->at.reached = p.last;
    g->more = p.more;
    return g->more ? 0 : run_sql(s, "DELETE FROM temp.use", f);
}

/* ---- layers ---- */

/* A layer is needed while an image, or another layer, names it, and while it is
 * pinned. So each can be judged by itself, by indexes, and it does not matter
 * what else is added meanwhile.
 *
 * The upper ones go first. Most of them have larger ids; where a layer names
 * one that has been looked at already (the squashed one that stands for it), a
 * table keeps that for the next step. */

/* Notes the layers of this step, and those of them that another one stands for
 * and that nobody uses by themselves: the other one takes their names' place.
 */
static int find_layers(struct store *s, const struct gc_times *t,
                       int64_t reached, struct fault *f) {
    if (t->at.reached == 0 &&
        run_sql(
            s,
            "CREATE TEMP TABLE IF NOT EXISTS later (id INTEGER PRIMARY KEY);"
            "CREATE TEMP TABLE IF NOT EXISTS looked"
            " (id INTEGER PRIMARY KEY);"
            "CREATE TEMP TABLE IF NOT EXISTS renamed"
            " (id INTEGER PRIMARY KEY, squashed INTEGER);"
            "DELETE FROM later",
            f) < 0)
        return -1;
    static const char *const statements[] = {
        "DELETE FROM looked",
        "INSERT INTO looked SELECT id FROM later ORDER BY id DESC LIMIT ?2",
        "DELETE FROM later WHERE id IN (SELECT id FROM looked)",
        "INSERT OR IGNORE INTO looked SELECT id FROM main.layer"
        " WHERE id < ?1 ORDER BY id DESC LIMIT ?2"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_stmt *q CLEANUP(cleanup_statement) =
            prepare(s, statements[i], f);
        if (!q)
            return -1;
        sqlite3_bind_int64(q, 1, reached);
        sqlite3_bind_int64(q, 2, t->rows);
        if (store_run(s, q, f) < 0)
            return -1;
    }
    return 0;
}

static int rename_squashed(struct store *s, struct fault *f) {
    return run_sql(
        s,
        "DELETE FROM renamed;"
        "INSERT INTO renamed SELECT id, squashed FROM temp.looked"
        " JOIN main.layer USING (id) WHERE squashed IS NOT NULL"
        " AND id NOT IN (SELECT layer FROM temp.pinned);"
        "UPDATE image SET layer = (SELECT squashed FROM renamed"
        " WHERE id = layer) WHERE layer IN (SELECT id FROM renamed);"
        "UPDATE imported_layer SET layer = (SELECT squashed FROM renamed"
        " WHERE id = layer) WHERE layer IN (SELECT id FROM renamed);"
        "UPDATE layer SET parent = (SELECT r.squashed FROM renamed r"
        " WHERE r.id = parent) WHERE parent IN (SELECT id FROM renamed);"
        "UPDATE layer SET squashed = (SELECT r.squashed FROM renamed r"
        " WHERE r.id = layer.squashed)"
        " WHERE squashed IN (SELECT id FROM renamed)",
        f);
}

struct layer_step {
    int64_t reached, rows;
    int64_t seen;  /* below `reached` */
    int64_t added; /* to those of this step */
};

/* What a layer that went has needed may be next. Below `reached` it is looked
 * at anyway. */
static int look_again(struct store *s, int64_t id, int64_t needed,
                      struct layer_step *step, struct fault *f) {
    char sql[100];
    bool now = needed < id && step->added != step->rows;
    if (needed < step->reached && needed < id)
        return 0;
    step->added += now;
    snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO temp.%s VALUES (%lld)",
             now ? "looked" : "later", (long long)needed);
    return run_sql(s, sql, f);
}

/* Removes a layer that nothing needs. */
static int remove_layer(struct store *s, sqlite3_stmt *q, int64_t id,
                        struct layer_step *step, struct gc_report *r,
                        struct gc_garbage *g, struct fault *f) {
    char sql[100];
    sqlite3_reset(q);
    sqlite3_bind_int64(q, 1, id);
    int row = store_row(s, q, f);
    if (row != 1)
        return row;
    if (!grow(&g->layers, g->layer_count, sizeof *g->layers))
        return fault_memory(f);
    g->layers[g->layer_count++] = id;
    r->layers++;
    r->layer_bytes += sqlite3_column_int64(q, 0);
    for (int i = 1; i <= 2; i++)
        if (look_again(s, id, sqlite3_column_int64(q, i), step, f) < 0)
            return -1;
    snprintf(sql, sizeof sql, "DELETE FROM imported_layer WHERE layer = %lld",
             (long long)id);
    return run_sql(s, sql, f);
}

static int remove_looked(struct store *s, struct layer_step *step,
                         struct gc_report *r, struct gc_garbage *g,
                         struct fault *f) {
    sqlite3_stmt *upper CLEANUP(cleanup_statement) =
        prepare(s,
                "DELETE FROM looked WHERE id = (SELECT max(id) FROM looked)"
                " RETURNING id",
                f);
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s,
                "DELETE FROM layer WHERE id = ?1"
                " AND id NOT IN (SELECT layer FROM temp.pinned)"
                " AND NOT EXISTS (SELECT 1 FROM image WHERE layer = ?1)"
                " AND NOT EXISTS (SELECT 1 FROM layer n WHERE n.parent = ?1)"
                " AND NOT EXISTS (SELECT 1 FROM layer n WHERE n.squashed = ?1)"
                " RETURNING size, parent, squashed",
                f);
    int row = -1;
    while (upper && q && (row = store_row(s, upper, f)) == 1) {
        int64_t id = sqlite3_column_int64(upper, 0);
        sqlite3_reset(upper);
        if (id < step->reached) {
            g->at.reached = id;
            step->seen++;
        }
        if (remove_layer(s, q, id, step, r, g, f) < 0)
            return -1;
    }
    g->more = step->seen == step->rows;
    return row;
}

static int find_later(struct store *s, struct gc_garbage *g, struct fault *f) {
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare(s, "SELECT 1 FROM later LIMIT 1", f);
    int row = q ? store_row(s, q, f) : -1;
    g->more = g->more || row == 1;
    return row < 0 ? -1 : 0;
}

static int remove_layers(struct store *s, const struct gc_times *t,
                         struct gc_report *r, struct gc_garbage *g,
                         struct fault *f) {
    struct layer_step step = {
        .reached = t->at.reached ? t->at.reached : INT64_MAX, .rows = t->rows};
    if (find_layers(s, t, step.reached, f) < 0 || rename_squashed(s, f) < 0 ||
        remove_looked(s, &step, r, g, f) < 0)
        return -1;
    return find_later(s, g, f);
}

static int remove_files(struct store *s, const struct gc_times *t,
                        struct gc_report *r, struct gc_garbage *g,
                        struct fault *f) {
    struct part p;
    if (find_part(s, "file", t->rows, t->at.reached, &p, f) < 0 ||
        mend(s, MEND("file", "updated"), t, &p, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(cleanup_statement) =
        prepare_part(s,
                     "DELETE FROM file WHERE" IN_PART "AND updated < ?3"
                     " AND sha256 NOT IN (SELECT sha256 FROM temp.pinned_file)"
                     " RETURNING sha256, size",
                     &p, t->files, 0, f);
    int row = -1;
    while (q && (row = store_row(s, q, f)) == 1) {
        if (!add_text(&g->files, &g->file_count, sizeof *g->files,
                      (const char *)sqlite3_column_text(q, 0)))
            return fault_memory(f);
        r->files++;
        r->file_bytes += sqlite3_column_int64(q, 1);
    }
    g->at.reached = p.last;
    g->more = p.more;
    return row;
}

/* ---- operations ---- */

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
    g->more = (int64_t)(g->operation_count - before) == t->rows;
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
    out->more = false;
    out->at = t->at;
    if (remove_part(s, t->at.stage, t, p, r, out, f) < 0)
        return -1;
    if (!out->more && t->at.stage != GC_OPERATIONS) {
        out->more = true;
        out->at.stage = t->at.stage + 1;
        out->at.reached = 0;
    }
    return 0;
}

static int look_at_all(struct store *s, const struct gc_times *t,
                       const struct gc_pins *p, struct gc_report *r,
                       struct gc_garbage *out, struct fault *f) {
    struct gc_times next = *t;
    do {
        if (remove_some(s, &next, p, r, out, f) < 0)
            return -1;
        next.at = out->at;
    } while (out->more);
    return 0;
}

int store_remove_garbage(struct store *s, const struct gc_times *t,
                         const struct gc_pins *p, struct gc_report *r,
                         struct gc_garbage *out, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire_folded(s);
    (void)held;
    if (pin(s, p, f) < 0 || store_begin(s, f) < 0)
        return -1;
    return store_end(s, remove_some(s, t, p, r, out, f), f);
}

/* A copy in a file without a name, which only this connection has. */
static sqlite3 *copy_database(struct store *s, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = &s->checkpoint_lock;
    sqlite3 *copy = NULL;
    pthread_mutex_lock(held);
    int code = sqlite3_open_v2(
        "", &copy,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *b =
        code == SQLITE_OK
            ? sqlite3_backup_init(copy, "main", s->checkpoint_db, "main")
            : NULL;
    if (b)
        sqlite3_backup_step(b, -1);
    if (b && sqlite3_backup_finish(b) == SQLITE_OK)
        return copy;
    store_fault(copy, f);
    sqlite3_close(copy);
    return NULL;
}

int store_count_garbage(struct store *s, const struct gc_times *t,
                        const struct gc_pins *p, struct gc_report *r,
                        struct fault *f) {
    pthread_mutex_t *held = store_acquire_folded(s);
    store_release(&held); /* what was journaled is copied, too */
    struct store copy = {.db = copy_database(s, f)};
    struct gc_garbage all = {0};
    int result = -1;
    if (copy.db && pin(&copy, p, f) == 0 && run_sql(&copy, "BEGIN", f) == 0)
        result = look_at_all(&copy, t, p, r, &all, f);
    gc_garbage_free(&all);
    sqlite3_close(copy.db);
    return result;
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
