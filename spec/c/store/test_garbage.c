/* test_garbage.c: which layers garbage collection leaves, whatever was done to
 * them before and between its steps. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/uuid.h"
#include "store/garbage.h"
#include "store_env.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7 }; /* of a step: many steps */

struct world {
    struct temp_dir d;
    struct store *s;
    sqlite3 *db; /* what is there, and deletes images */
    struct gc_pins pins;
    unsigned seed;
    int images;
};

static int roll(struct world *w, int sides) {
    return rand_r(&w->seed) % sides;
}

static int64_t number(struct world *w, const char *sql) {
    sqlite3_stmt *q = NULL;
    int64_t n = 0;
    CHECK(sqlite3_prepare_v2(w->db, sql, -1, &q, NULL) == SQLITE_OK);
    if (sqlite3_step(q) == SQLITE_ROW)
        n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static int64_t any_image_layer(struct world *w) {
    char sql[100];
    snprintf(sql, sizeof sql,
             "SELECT layer FROM image ORDER BY (id * %d) %% 1009 LIMIT 1",
             1 + roll(w, 1000));
    return number(w, sql);
}

/* An image with a layer of its own on one that is there, or the same one. */
static void add_image(struct world *w, int64_t parent) {
    struct fault f = {0};
    struct image i = {.created = 1};
    uuid_random(i.uuid);
    if (roll(w, 8) == 0) {
        i.layer = parent;
        CHECK(store_image_add(w->s, &i, &f) == 0);
        return;
    }
    CHECK(store_layer_reserve(w->s, &i.layer, &f) == 0);
    CHECK(store_snapshot_add(w->s, i.layer, parent, 1, &i, &f) == 0);
}

static void squash(struct world *w) {
    struct fault f = {0};
    struct chain_layer *chain = NULL;
    size_t count = 0;
    int64_t id;
    CHECK(store_layer_list(w->s, any_image_layer(w), &chain, &count, &f) == 0);
    if (count > 2) {
        size_t from = (size_t)roll(w, (int)count - 1),
               most = 2 + (size_t)roll(w, (int)(count - from) - 1);
        CHECK(store_layer_reserve(w->s, &id, &f) == 0);
        CHECK(store_layer_squash(w->s, id, (int64_t)most, chain + from, most,
                                 &f) == 0);
    }
    free(chain);
}

/* A run begins, which pins its image's layer and those that it mounts; or all
 * runs end, and leave an image. */
static void pin_or_not(struct world *w) {
    struct fault f = {0};
    struct chain_layer *chain = NULL;
    size_t count = 0;
    if (w->pins.layer_count) {
        add_image(w, w->pins.layers[0]);
        gc_pins_free(&w->pins);
        return;
    }
    int64_t layer = any_image_layer(w);
    CHECK(store_layer_list(w->s, layer, &chain, &count, &f) == 0);
    CHECK(gc_pin_layer(&w->pins, layer));
    for (size_t i = 0; i < count; i++)
        CHECK(gc_pin_layer(&w->pins, chain[i].id));
    free(chain);
}

static void change(struct world *w) {
    switch (roll(w, 12)) {
    case 0:
    case 1:
    case 2:
        squash(w);
        break;
    case 3:
        pin_or_not(w);
        break;
    case 4:
        CHECK(sqlite3_exec(w->db,
                           "DELETE FROM image WHERE id IN (SELECT id FROM image"
                           " WHERE id > 1 ORDER BY random() LIMIT 3)",
                           NULL, NULL, NULL) == SQLITE_OK);
        break;
    default:
        add_image(w, any_image_layer(w));
    }
}

/* Each image has all layers of its chain, which weigh as much as ever: a
 * squashed layer weighs as much as those that it stands for. */
static void check_images(struct world *w) {
    sqlite3_stmt *q = NULL;
    CHECK(sqlite3_prepare_v2(w->db, "SELECT layer FROM image", -1, &q, NULL) ==
          SQLITE_OK);
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct fault f = {0};
        struct chain_layer *chain = NULL;
        size_t count = 0;
        if (store_layer_list(w->s, sqlite3_column_int64(q, 0), &chain, &count,
                             &f) < 0)
            printf("# seed %u: %s\n", w->seed, f.message);
        CHECK(f.status == 0);
        free(chain);
    }
    sqlite3_finalize(q);
    for (size_t i = 0; i < w->pins.layer_count; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM layer WHERE id = %lld",
                 (long long)w->pins.layers[i]);
        CHECK_NUMBER(number(w, sql), 1);
    }
}

/* Collect; with `busy`, things go on between the steps. */
static void collect(struct world *w, bool busy) {
    struct gc_report r = {0};
    struct gc_garbage g = {0};
    struct fault f = {0};
    int steps = 0;
    do {
        struct gc_times t = {.rows = ROWS, .at = g.at};
        gc_garbage_free(&g);
        CHECK(store_remove_garbage(w->s, &t, &w->pins, &r, &g, &f) == 0);
        CHECK(g.layer_count <= 3 * ROWS);
        check_images(w);
        for (int i = 0; busy && i < 3; i++)
            change(w);
    } while (g.more && ++steps < 10000 && check_ok);
    CHECK(steps < 10000);
    gc_garbage_free(&g);
}

/* What nothing needs: the rest of what chains of images are made of, from a
 * squashed layer on that one. */
#define UNNEEDED                                                               \
    "WITH RECURSIVE chain (id) AS ("                                           \
    " SELECT ifnull(squashed, layer.id) FROM image"                            \
    " JOIN layer ON layer.id = image.layer"                                    \
    " UNION SELECT ifnull(n.squashed, n.id) FROM chain"                        \
    " JOIN layer l USING (id) JOIN layer n ON n.id = l.parent)"                \
    " SELECT count(*) FROM layer WHERE id NOT IN (SELECT id FROM chain)"

static void whatever_happens(void) {
    for (unsigned round = 0; round < 12 && check_ok; round++) {
        char path[200];
        struct world w = {.d = temp_dir_make(), .seed = round};
        struct fault f = {0};
        struct image first = {.created = 1, .tag = "first"};
        w.s = open_store(&w.d);
        snprintf(path, sizeof path, "%s/contree.db", w.d.path);
        CHECK(sqlite3_open(path, &w.db) == SQLITE_OK);
        uuid_random(first.uuid);
        CHECK(store_layer_reserve(w.s, &first.layer, &f) == 0);
        CHECK(store_snapshot_add(w.s, first.layer, 0, 1, &first, &f) == 0);
        for (int i = 0; i < 150; i++)
            change(&w);
        collect(&w, true);
        collect(&w, true);
        gc_pins_free(&w.pins);
        /* The second time at the latest. */
        collect(&w, false);
        collect(&w, false);
        CHECK_NUMBER(number(&w, UNNEEDED), 0);
        CHECK_NUMBER(
            number(&w, "SELECT count(*) FROM layer WHERE squashed NOTNULL"), 0);
        sqlite3_close(w.db);
        store_close(w.s);
        temp_dir_remove(&w.d);
    }
}

int main(void) {
    RUN(whatever_happens,
        "between the steps anything may happen: what is needed stays");
    return CHECK_DONE();
}
