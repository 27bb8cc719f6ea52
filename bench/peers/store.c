/* store.c: microseconds of lookups and lists in a database with a thousand and
 * with a million images and operations: build/peers/store [ROWS]. Indexed
 * queries take the same time in both. */
#define _GNU_SOURCE
#include "store/store.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 25, SMALL = 1000 };
#define FIRST INT64_C(1600000000000000)

/* There is a row for each second. Every tenth image is tagged, every hundredth
 * operation has failed, every thousandth is an import. */
static const char fill[] =
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n"
    " WHERE x < %1$lld) INSERT INTO image"
    " (uuid, tag, created, size, layer) SELECT"
    " printf('%%08x-0000-4000-8000-%%012x', x * 2654435761 %% 4294967296, x),"
    " CASE WHEN x %% 10 = 0 THEN"
    " printf('team%%d/app%%d:v1', x / 10 %% 7, x) END,"
    " 1600000000000000 + x * 1000000, 100, 0 FROM n;"
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n"
    " WHERE x < %1$lld) INSERT INTO operation (uuid, kind, status, created,"
    " finished, consumed_cpu, consumed_memory, image_size, image, metadata)"
    " SELECT printf('%%08x-0000-7000-8000-000000000000', x),"
    " CASE WHEN x %% 1000 = 0 THEN 'image_import' ELSE 'instance' END,"
    " CASE WHEN x %% 100 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,"
    " 1600000000000000 + x * 1000000, 1600000000000000 + x * 1000000, 0, 0, 0,"
    " '00000001-0000-4000-8000-000000000000',"
    " printf('{\"command\":\"%%080d\"}', x) FROM n";

struct target {
    char path[64];
    struct store *s;
    int64_t rows;
    int64_t seen;
};

static int failed(const char *what) {
    fprintf(stderr, "bench/store: %s\n", what);
    exit(1);
}

static void open_target(struct target *t, int64_t rows) {
    struct fault f;
    sqlite3 *db;
    char path[100], sql[sizeof fill + 64], *problem = NULL;
    *t = (struct target){.path = "/var/tmp/contree-bench-XXXXXX", .rows = rows};
    int fd = mkdtemp(t->path) ? open(t->path, O_RDONLY | O_DIRECTORY) : -1;
    if (fd < 0 || !(t->s = store_open(fd, t->path, &f)))
        failed("no store");
    store_close(t->s);
    snprintf(path, sizeof path, "%s/contree.db", t->path);
    snprintf(sql, sizeof sql, fill, (long long)rows);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL) ||
        sqlite3_exec(db, sql, NULL, NULL, &problem) ||
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
        failed(problem ? problem : "no rows");
    sqlite3_close(db);
    if (!(t->s = store_open(fd, t->path, &f)))
        failed(f.message);
    close(fd);
}

static void close_target(struct target *t) {
    static const char *const names[] = {"contree.db", "lock"};
    char path[100];
    store_close(t->s);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", t->path, names[i]);
        unlink(path);
    }
    rmdir(t->path);
}

static bool see_image(void *arg, const struct image *i) {
    (void)i;
    ((struct target *)arg)->seen++;
    return true;
}

static bool see_operation(void *arg, const struct operation_row *o) {
    (void)o;
    ((struct target *)arg)->seen++;
    return true;
}

static const struct image_filter *relative(const struct image_filter *filter,
                                           const struct target *t,
                                           struct image_filter *out) {
    struct page *p = &out->page;
    *out = *filter;
    if (p->offset < 0) /* a percentage of the rows */
        p->offset = -p->offset * t->rows / 100;
    if (p->since)
        p->since = FIRST + t->rows * 500000;
    if (p->until)
        p->until = FIRST + t->rows * 500000;
    return out;
}

static void list_images(struct target *t, const void *filter) {
    struct image_filter f;
    if (store_image_list(t->s, relative(filter, t, &f), see_image, t, NULL) < 0)
        failed("list of images");
}

static void list_operations(struct target *t, const void *filter) {
    struct operation_filter f = *(const struct operation_filter *)filter;
    if (f.page.offset < 0)
        f.page.offset = -f.page.offset * t->rows / 100;
    if (store_operation_list(t->s, &f, see_operation, t, NULL) < 0)
        failed("list of operations");
}

static void resolve(struct target *t, const void *reference) {
    struct image i;
    if (store_image_resolve(t->s, reference, &i, NULL) == 0) {
        image_clear(&i);
        t->seen++;
    }
}

static void record(struct target *t, const void *unused) {
    struct operation_row o = {.kind = "instance",
                              .status = "SUCCESS",
                              .created = wall_microseconds(),
                              .finished = 1,
                              .metadata = (char *)"{}"};
    (void)unused;
    uuid_ordered(o.uuid);
    if (store_operation_record(t->s, &o, "log", 3, NULL) < 0)
        failed("record");
}

static const struct {
    const char *what;
    void (*run)(struct target *t, const void *arg);
    const void *arg;
} tests[] = {
    {"image by uuid (spawn)", resolve, "9e3779b1-0000-4000-8000-000000000001"},
    {"image by tag (spawn)", resolve, "tag:team1/app10:v1"},
    {"images, first page", list_images,
     &(struct image_filter){.page = {.limit = 100}}},
    {"images, tagged", list_images,
     &(struct image_filter){.page = {.limit = 100}, .tagged = true}},
    {"images, tag prefix of many", list_images,
     &(struct image_filter){.page = {.limit = 100}, .tag_prefix = "team3/"}},
    {"images, tag prefix of one", list_images,
     &(struct image_filter){.page = {.limit = 100},
                            .tag_prefix = "team1/app10:"}},
    {"images, since the middle", list_images,
     &(struct image_filter){.page = {.limit = 100, .since = 1}}},
    {"images, until the middle", list_images,
     &(struct image_filter){.page = {.limit = 100, .until = 1}}},
    {"images, by uuid", list_images,
     &(struct image_filter){.page = {.limit = 100},
                            .uuid_prefix =
                                "9e3779b1-0000-4000-8000-000000000001"}},
    {"images, offset 100", list_images,
     &(struct image_filter){.page = {.limit = 100, .offset = 100}}},
    {"images, offset 90 % (linear)", list_images,
     &(struct image_filter){.page = {.limit = 100, .offset = -90}}},
    {"operations, first page", list_operations,
     &(struct operation_filter){.page = {.limit = 100}}},
    {"operations, SUCCESS", list_operations,
     &(struct operation_filter){.page = {.limit = 100}, .status = "SUCCESS"}},
    {"operations, FAILED", list_operations,
     &(struct operation_filter){.page = {.limit = 10}, .status = "FAILED"}},
    {"operations, EXECUTING (none)", list_operations,
     &(struct operation_filter){.page = {.limit = 100}, .status = "EXECUTING"}},
    {"operations, imports", list_operations,
     &(struct operation_filter){.page = {.limit = 1}, .kind = "image_import"}},
    {"operations, failed imports", list_operations,
     &(struct operation_filter){
         .page = {.limit = 1}, .kind = "image_import", .status = "FAILED"}},
    {"operations, offset 90 % (linear)", list_operations,
     &(struct operation_filter){.page = {.limit = 100, .offset = -90}}},
    {"write of a finished run", record, NULL},
};

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double measure(struct target *t, size_t test) {
    double times[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = monotonic_seconds();
        tests[test].run(t, tests[test].arg);
        times[i] = (monotonic_seconds() - start) * 1e6;
    }
    qsort(times, ROUNDS, sizeof *times, compare);
    return times[ROUNDS / 2];
}

int main(int argc, char *argv[]) {
    struct target small, large;
    long long rows = argc > 1 ? atoll(argv[1]) : 1000000;
    open_target(&small, SMALL);
    open_target(&large, rows < SMALL ? SMALL : rows);
    printf("%-34s %10lld %10lld\n", "rows", (long long)SMALL,
           (long long)large.rows);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        double a = measure(&small, i), b = measure(&large, i);
        printf("%-34s %7.0f us %7.0f us\n", tests[i].what, a, b);
        fflush(stdout);
    }
    close_target(&small);
    close_target(&large);
    return 0;
}
