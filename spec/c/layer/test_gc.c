/* test_gc.c: garbage collection removes garbage and nothing else, even when it
 * is interrupted. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/uuid.h"
#include "env.h"
#include "layer/blob.h"
#include "layer/gc.h"
#include "layer/squash.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define DAY (INT64_C(86400) * 1000000)

static struct env make_env(void) {
    struct env e = make_env_in(temp_dir_make());
    CHECK(shell("mkdir %s/e", e.d.path));
    return e;
}

static bool exists(const struct env *e, const char *format, long long number) {
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, format, number);
    return fstatat(e->d.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Delete the images of a layer but not the layer. */
static void forget_images(struct env *e, int64_t layer) {
    char path[200], sql[64];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/contree.db", e->d.path);
    snprintf(sql, sizeof sql, "DELETE FROM image WHERE layer = %lld",
             (long long)layer);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
          sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

/* Make a layer that no image needs. */
static int64_t make_layer(struct env *e, int64_t parent) {
    struct workspace w;
    struct fault f = {0};
    int64_t id = 0;
    CHECK(workspace_take(e->l, &w, &f) == 0);
    CHECK(shell("echo 1234567 > %s/%s/f; mkdir %s/%s/d", e->d.path, w.upper,
                e->d.path, w.upper));
    CHECK(publish_layer(e, &w, parent, &id, NULL, &f) == 0);
    forget_images(e, id);
    return id;
}

static struct image make_image(struct env *e, int64_t layer, const char *tag,
                               int64_t age_days) {
    struct fault f = {0};
    struct image i = {.created = wall_microseconds() - age_days * DAY,
                      .layer = layer};
    uuid_random(i.uuid);
    snprintf(i.tag, sizeof i.tag, "%s", tag);
    CHECK(store_image_add(e->s, &i, &f) == 0);
    return i;
}

static bool has_image(struct env *e, const struct image *i) {
    struct image found;
    if (store_image_by_uuid(e->s, i->uuid, &found, NULL) < 0)
        return false;
    image_clear(&found);
    return true;
}

static struct stored_file make_file(struct env *e, const char *text) {
    struct fault f = {0};
    struct stored_file x = {0};
    struct upload *u = upload_begin(e->d.fd, 1000, &f);
    CHECK(u && upload_write(u, text, strlen(text), &f) == 0);
    CHECK(upload_finish(u, e->s, &x, &f) == 0);
    return x;
}

static bool has_file(struct env *e, const struct stored_file *x) {
    struct stored_file found;
    int fd = blob_open(e->d.fd, x->sha256, NULL);
    bool row = store_file_by_sha256(e->s, x->sha256, &found, NULL) == 0;
    CHECK(row == (fd >= 0));
    if (fd >= 0)
        close(fd);
    return row;
}

/* Add a finished operation on `image`. */
static struct operation_row make_operation(struct env *e, const char *image,
                                           int64_t age_days, const char *log) {
    struct fault f = {0};
    int64_t then = wall_microseconds() - age_days * DAY;
    struct operation_row o = {.kind = "instance",
                              .status = "SUCCESS",
                              .created = then,
                              .finished = then + 1,
                              .image_size = -1};
    uuid_ordered(o.uuid);
    snprintf(o.image, sizeof o.image, "%s", image);
    CHECK(store_operation_record(e->s, &o, log, log ? strlen(log) : 0, &f) ==
          0);
    return o;
}

static bool has_operation(struct env *e, const struct operation_row *o) {
    struct operation_row found;
    if (store_operation_get(e->s, o->uuid, &found, NULL) < 0)
        return false;
    operation_row_clear(&found);
    return true;
}

static const struct gc_options usual = {
    .untagged = GC_AGE, .operations = GC_AGE, .files = GC_AGE};

static struct gc_report collect(struct env *e, struct gc_options o,
                                const struct gc_pins *pins) {
    static const struct gc_pins nothing;
    struct fault f = {0};
    struct gc *g = gc_new(e->d.fd, e->s, e->l, &o, &f);
    CHECK(gc_sweep(g, &f) == 0);
    do {
        CHECK(gc_remove_rows(g, pins ? pins : &nothing, &f) == 0);
        CHECK(gc_finish(g, &f) == 0);
    } while (gc_has_more(g));
    struct gc_report r = *gc_result(g);
    gc_free(g);
    return r;
}

static void images(void) {
    struct env e = make_env();
    int64_t base = make_layer(&e, 0), next = make_layer(&e, base),
            old = make_layer(&e, next), older = make_layer(&e, old),
            recent = make_layer(&e, base), used = make_layer(&e, base),
            alone = make_layer(&e, 0);
    struct image tagged = make_image(&e, next, "keep:me", 900);
    struct image gone = make_image(&e, older, "", 181);
    struct image fresh = make_image(&e, recent, "", 179);
    struct image busy = make_image(&e, used, "", 400);
    struct image empty = make_image(&e, 0, "", 1);
    make_operation(&e, busy.uuid, 3, NULL);
    make_operation(&e, gone.uuid, 200, NULL);
    struct gc_options dry = usual;
    dry.dry_run = true;
    struct gc_report first = collect(&e, dry, NULL);
    CHECK_NUMBER(first.images, 1);
    CHECK_NUMBER(first.layers, 3);
    CHECK_NUMBER(first.layer_bytes, 24);
    CHECK(has_image(&e, &gone) && exists(&e, "l/%lld", older));
    struct gc_report r = collect(&e, usual, NULL);
    CHECK_NUMBER(r.images, 1);
    CHECK_NUMBER(r.layers, 3);
    CHECK_NUMBER(r.layer_bytes, 24);
    CHECK(!has_image(&e, &gone) && has_image(&e, &tagged) &&
          has_image(&e, &fresh) && has_image(&e, &busy) &&
          has_image(&e, &empty));
    CHECK(exists(&e, "l/%lld", 0) && exists(&e, "l/%lld", base) &&
          exists(&e, "l/%lld", next) && exists(&e, "l/%lld", recent) &&
          exists(&e, "l/%lld", used));
    CHECK(!exists(&e, "l/%lld", old) && !exists(&e, "l/%lld", older) &&
          !exists(&e, "l/%lld", alone));
    CHECK(exists(&e, "trash", 0) &&
          shell("! ls -A %s/trash | grep .", e.d.path));
    r = collect(&e, usual, NULL);
    CHECK_NUMBER(r.images + r.layers, 0);
    /* An id is never given out twice. */
    CHECK(make_layer(&e, base) > alone);
    end_env(&e);
}

/* Record two layers as imported, under the keys "a" and "b". */
static void remember(const struct env *e, int64_t a, int64_t b) {
    char path[100], sql[100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/contree.db", e->d.path);
    snprintf(sql, sizeof sql,
             "INSERT INTO imported_layer VALUES ('a', %d), ('b', %d)", (int)a,
             (int)b);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
          sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

/* An image was saved, but the disk was full or the engine was killed before
 * the operation could record it. */
static void untold(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image images[3];
    static const char *const status[] = {"FAILED", "SUCCESS", "FAILED"};
    for (int i = 0; i < 3; i++) {
        struct operation_row o = make_operation(&e, "", i == 2 ? 0 : 2, NULL);
        o.status = status[i];
        CHECK(store_operation_finish(e.s, &o, NULL, 0, &f) == 0);
        images[i] = (struct image){.created = o.created, .layer = 0};
        uuid_random(images[i].uuid);
        memcpy(images[i].operation, o.uuid, UUID_SIZE);
        CHECK(store_image_add(e.s, &images[i], &f) == 0);
    }
    CHECK_NUMBER(collect(&e, usual, NULL).images, 1);
    CHECK(!has_image(&e, &images[0]) && has_image(&e, &images[1]) &&
          has_image(&e, &images[2]));
    end_env(&e);
}

/* An image that was made for a run which is not kept goes a day after its last
 * use, unless it has a tag or is the result of a run. */
static void temporary(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image images[6];
    for (int i = 0; i < 6; i++) {
        struct operation_row o = {
            .kind = "image_import", .status = "SUCCESS", .image_size = -1};
        o.created = wall_microseconds() - (i == 1 ? 0 : 2 * DAY);
        o.finished = o.created + 1;
        o.metadata = i == 2 ? (char[]){"{}"} : (char[]){"{\"temporary\":true}"};
        uuid_ordered(o.uuid);
        images[i] = (struct image){.created = o.created, .layer = 0};
        uuid_random(images[i].uuid);
        memcpy(images[i].operation, o.uuid, UUID_SIZE);
        memcpy(o.result_image, images[i].uuid, UUID_SIZE);
        snprintf(images[i].tag, TAG_SIZE, "%s", i == 3 ? "kept" : "");
        CHECK(store_image_add(e.s, &images[i], &f) == 0);
        CHECK(store_operation_record(e.s, &o, NULL, 0, &f) == 0);
    }
    make_operation(&e, images[4].uuid, 0, NULL);
    struct operation_row run = make_operation(&e, images[5].uuid, 2, NULL);
    memcpy(run.result_image, images[5].uuid, UUID_SIZE);
    CHECK(store_operation_finish(e.s, &run, NULL, 0, &f) == 0);
    CHECK_NUMBER(collect(&e, usual, NULL).images, 1);
    CHECK(!has_image(&e, &images[0]));
    for (int i = 1; i < 6; i++)
        CHECK(has_image(&e, &images[i]));
    end_env(&e);
}

static void pinned(void) {
    struct env e = make_env();
    int64_t base = make_layer(&e, 0), top = make_layer(&e, base);
    struct image image = make_image(&e, top, "", 900);
    int64_t reading = make_layer(&e, 0), other = make_layer(&e, 0);
    struct stored_file in_use = make_file(&e, "in use"),
                       unused = make_file(&e, "unused");
    struct gc_options all = {.files = -1};
    struct gc_pins pins = {0};
    struct fault f = {0};
    remember(&e, reading, other);
    CHECK(gc_pin_layer(&pins, top) && gc_pin_layer(&pins, reading) &&
          gc_pin_file(&pins, in_use.sha256));
    pins.importing = true;
    struct gc_report r = collect(&e, all, &pins);
    CHECK_NUMBER(r.images + r.layers, 0);
    CHECK_NUMBER(r.files, 1);
    pins.importing = false;
    r = collect(&e, all, &pins);
    CHECK(has_image(&e, &image) && has_file(&e, &in_use) &&
          !has_file(&e, &unused));
    CHECK(exists(&e, "l/%lld", base) && exists(&e, "l/%lld", reading) &&
          !exists(&e, "l/%lld", other));
    CHECK_NUMBER(r.layers, 1);
    int64_t found;
    CHECK_NUMBER(store_imported_layer(e.s, "a", &found, &f), 0);
    CHECK_NUMBER(store_imported_layer(e.s, "b", &found, &f), 1);
    gc_pins_free(&pins);
    end_env(&e);
}

/* A squashed layer replaces others. They are removed once no image or run needs
 * them by themselves, and references to them are moved to the squashed one. */
static void squashed(void) {
    struct env e = make_env();
    struct fault f = {0};
    static const atomic_bool go_on;
    int64_t a = make_layer(&e, 0), b = make_layer(&e, a), c = make_layer(&e, b),
            d = make_layer(&e, c), alone = make_layer(&e, 0);
    struct image at_c = make_image(&e, c, "c", 900);
    make_image(&e, b, "", 900);
    make_image(&e, d, "d", 900);
    remember(&e, c, alone);
    struct chain_layer *chain;
    size_t count;
    CHECK_NUMBER(store_layer_list(e.s, d, &chain, &count, &f), 0);
    const struct squash_range range = {1, 2};
    CHECK_NUMBER(squash_layers(e.l, chain, count, range, &go_on, &f), 0);
    free(chain);
    CHECK_NUMBER(store_layer_list(e.s, d, &chain, &count, &f), 0);
    CHECK(count == 3 && chain[0].id == d && chain[1].name == c &&
          chain[1].level == 1 && chain[1].parent == a && chain[2].id == a);
    int64_t by = chain[1].id;
    free(chain);
    /* A run that began before the squash pins the whole old chain. */
    struct gc_pins pins = {0};
    CHECK(gc_pin_layer(&pins, d) && gc_pin_layer(&pins, c) &&
          gc_pin_layer(&pins, b) && gc_pin_layer(&pins, a));
    CHECK_NUMBER(collect(&e, usual, &pins).layers, 1);
    CHECK(exists(&e, "l/%lld", b) && exists(&e, "l/%lld", c) &&
          !exists(&e, "l/%lld", alone));
    gc_pins_free(&pins);
    /* A run that began after it pins the new chain. */
    CHECK(gc_pin_layer(&pins, d) && gc_pin_layer(&pins, by) &&
          gc_pin_layer(&pins, a));
    CHECK_NUMBER(collect(&e, usual, &pins).layers, 2);
    gc_pins_free(&pins);
    CHECK(!exists(&e, "l/%lld", b) && !exists(&e, "l/%lld", c) &&
          exists(&e, "l/%lld", by) && exists(&e, "l/%lld", a));
    int64_t found = 0;
    CHECK_NUMBER(store_imported_layer(e.s, "a", &found, &f), 0);
    CHECK_NUMBER(found, by);
    struct image i;
    CHECK_NUMBER(store_image_by_uuid(e.s, at_c.uuid, &i, &f), 0);
    CHECK_NUMBER(i.layer, by);
    CHECK_NUMBER(store_layer_list(e.s, d, &chain, &count, &f), 0);
    CHECK(count == 3 && chain[1].name == by && chain[1].id == by);
    free(chain);
    close_env(&e);
    CHECK(open_env(&e, BASE));
    CHECK_NUMBER(collect(&e, usual, NULL).layers, 0);
    end_env(&e);
}

static void operations_and_files(void) {
    struct env e = make_env();
    struct operation_row old = make_operation(&e, "", 181, "12345"),
                         in_file = make_operation(&e, "", 181, NULL),
                         recent = make_operation(&e, "", 179, "x");
    struct stored_file file = make_file(&e, "content");
    CHECK(shell("cd %s && printf 123 > e/%s.log && printf 12 > e/%s.log && "
                "printf 45 > e/%s.raw && printf 6 > e/%s.in && "
                "touch -d '3 days ago' e/* && mkdir -p b/ab && "
                "printf 1234 > b/ab/orphan && printf 7 > e/running.log && "
                "printf 8 > e/left.log && touch -d '2 days ago' e/left.log",
                e.d.path, in_file.uuid, recent.uuid, in_file.uuid,
                in_file.uuid));
    struct gc_options dry = usual;
    dry.dry_run = true;
    struct gc_report r = collect(&e, dry, NULL);
    CHECK_NUMBER(r.operations, 2);
    CHECK(exists(&e, "b/ab/orphan", 0) && exists(&e, "e/left.log", 0) &&
          has_operation(&e, &old));
    r = collect(&e, usual, NULL);
    CHECK(!has_operation(&e, &old) && !has_operation(&e, &in_file) &&
          has_operation(&e, &recent) && has_file(&e, &file));
    CHECK_NUMBER(r.operations, 2);
    CHECK_NUMBER(r.logs, 3);
    CHECK_NUMBER(r.log_bytes, 5 + 3 + 2 + 1 + 1);
    CHECK_NUMBER(r.files, 1);
    CHECK_NUMBER(r.file_bytes, 4);
    CHECK(!exists(&e, "b/ab/orphan", 0) && !exists(&e, "e/left.log", 0) &&
          exists(&e, "e/running.log", 0));
    CHECK(shell("test $(ls %s/e | wc -l) = 2", e.d.path));
    struct gc_options all = usual;
    all.files = -1;
    r = collect(&e, all, NULL);
    CHECK(!has_file(&e, &file));
    CHECK_NUMBER(r.file_bytes, 7);
    file = make_file(&e, "content");
    CHECK(has_file(&e, &file));
    end_env(&e);
}

struct sweeper {
    struct env *e;
    atomic_bool stop;
};

static void *sweep(void *arg) {
    struct sweeper *s = arg;
    while (!s->stop)
        collect(s->e, usual, NULL);
    return NULL;
}

/* Collection may remove the content of an upload that has no row yet. The
 * upload must succeed all the same. */
static void uploads_meanwhile(void) {
    struct env e = make_env();
    struct sweeper s = {.e = &e};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sweep, &s) == 0);
    for (int i = 0; i < 300 && check_ok; i++) {
        char text[40];
        snprintf(text, sizeof text, "content %d", i);
        struct stored_file x = make_file(&e, text);
        CHECK(has_file(&e, &x));
    }
    s.stop = true;
    pthread_join(thread, NULL);
    end_env(&e);
}

/* Collect in a child, and kill the child after `microseconds`. */
static void collect_and_die(struct env *e, unsigned microseconds) {
    close_env(e);
    pid_t child = fork();
    if (child == 0) {
        if (!open_env(e, BASE))
            _exit(1);
        collect(e, (struct gc_options){.files = -1}, NULL);
        _exit(0);
    }
    usleep(microseconds);
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(open_env(e, BASE));
}

static void killed(void) {
    struct env e = make_env();
    int64_t base = make_layer(&e, 0);
    struct image keep = make_image(&e, base, "keep", 900);
    for (unsigned round = 0; round < 12; round++) {
        int64_t layers[20];
        struct image image[20];
        struct stored_file file = make_file(&e, "content");
        for (int i = 0; i < 20; i++) {
            layers[i] = make_layer(&e, base);
            image[i] = make_image(&e, layers[i], "", 900);
        }
        collect_and_die(&e, 2000 + round * 1500);
        /* An image that still has its row still has its layer. */
        for (int i = 0; i < 20; i++)
            CHECK(!has_image(&e, &image[i]) || exists(&e, "l/%lld", layers[i]));
        collect(&e, (struct gc_options){.files = -1}, NULL);
        CHECK(!has_file(&e, &file) && !has_image(&e, &image[0]));
        CHECK(shell("cd %s && test $(ls l | wc -l) = 3 && ! find b -type f | "
                    "grep . && ! ls -A trash | grep .",
                    e.d.path));
        CHECK(has_image(&e, &keep) && exists(&e, "l/%lld", base));
    }
    end_env(&e);
}

/* The engine was killed after it had deleted the rows, before anything else. */
static void killed_after_the_rows(void) {
    struct env e = make_env();
    struct fault f = {0};
    static const struct gc_pins nothing;
    struct gc_options all = {.files = -1};
    int64_t layer = make_layer(&e, 0);
    struct image image = make_image(&e, layer, "", 1);
    struct stored_file file = make_file(&e, "content");
    struct gc *g = gc_new(e.d.fd, e.s, e.l, &all, &f);
    do
        CHECK(gc_remove_rows(g, &nothing, &f) == 0);
    while (gc_has_more(g));
    gc_free(g);
    CHECK(exists(&e, "l/%lld", layer));
    close_env(&e);
    CHECK(open_env(&e, BASE));
    CHECK(!has_image(&e, &image) && !exists(&e, "l/%lld", layer));
    struct gc_report r = collect(&e, usual, NULL);
    CHECK_NUMBER(r.files, 1);
    CHECK(!has_file(&e, &file));
    end_env(&e);
}

/* While the engine serves, each step deletes few rows. */
static void in_steps(void) {
    static const struct gc_pins nothing;
    struct env e = make_env();
    struct fault f = {0};
    struct image used = make_image(&e, 0, "", 300);
    make_operation(&e, used.uuid, 100, "log");
    for (int i = 0; i < 450; i++)
        make_operation(&e, used.uuid, 200, "log");
    for (int i = 0; i < 250; i++)
        make_image(&e, 0, "", 200);
    struct gc_options o = usual;
    o.operations = 50 * 86400;
    struct gc *g = gc_new(e.d.fd, e.s, e.l, &o, &f);
    int steps = 0;
    int64_t before = 0;
    do {
        CHECK_NUMBER(gc_remove_rows(g, &nothing, &f), 0);
        CHECK_NUMBER(gc_finish(g, &f), 0);
        const struct gc_report *r = gc_result(g);
        CHECK(r->images + r->operations - before <= 400);
        CHECK(r->operations == 0 || r->images == 250);
        before = r->images + r->operations;
        steps++;
    } while (gc_has_more(g) && steps < 20);
    CHECK_NUMBER(gc_result(g)->images, 250);
    CHECK_NUMBER(gc_result(g)->operations, 451);
    CHECK_NUMBER(gc_result(g)->logs, 451);
    CHECK(steps > 6 && steps < 14);
    CHECK(has_image(&e, &used));
    gc_free(g);
    end_env(&e);
}

int main(void) {
    RUN(images, "old untagged images go, with the layers nobody else has");
    RUN(untold, "images that nobody was told of go after a day");
    RUN(temporary, "temporary images go a day after their last use");
    RUN(pinned, "what is in use stays");
    RUN(squashed, "what a squashed layer stands for goes when it can");
    RUN(operations_and_files, "old operations, logs and uploads go");
    RUN(in_steps, "E6: many rows go in small steps, images first");
    RUN(uploads_meanwhile, "an upload goes on while garbage is collected");
    RUN(killed_after_the_rows, "a kill after the rows leaves nothing for ever");
    RUN(killed, "killed at any time: what has a row is whole");
    return CHECK_DONE();
}
