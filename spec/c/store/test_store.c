/* test_store.c: the store keeps what it reported, in the order it promises. */
#define _GNU_SOURCE
#include "base/fault.h"
#include "check.h"
#include "child.h"
#include "store/store.h"
#include "store_env.h"
#include "temp_dir.h"
#include <pthread.h>
#include <sqlite3.h>

#define MANY 10100

static struct image new_image(const char *tag, int64_t created) {
    struct image i = {.created = created, .size = 7, .layer = 0};
    uuid_ordered(i.uuid);
    uuid_random(i.operation);
    snprintf(i.tag, sizeof i.tag, "%s", tag);
    return i;
}

/* Add an image, and return its uuid. */
static void add(struct store *s, const char *tag, int64_t created,
                char uuid[UUID_SIZE]) {
    struct fault f = {0};
    struct image i = new_image(tag, created);
    CHECK_NUMBER(store_image_add(s, &i, &f), 0);
    if (uuid)
        memcpy(uuid, i.uuid, UUID_SIZE);
}

struct seen {
    int count, stop_after;
    char tags[64][40];
    int64_t created[64];
};

static bool see_image(void *arg, const struct image *i) {
    struct seen *seen = arg;
    if (seen->count < 64) {
        snprintf(seen->tags[seen->count], 40, "%.39s", i->tag);
        seen->created[seen->count] = i->created;
    }
    return ++seen->count != seen->stop_after;
}

static struct seen list(struct store *s, struct image_filter filter) {
    struct seen seen = {0};
    struct fault f = {0};
    if (store_image_list(s, &filter, see_image, &seen, &f) < 0) {
        printf("# list: %s\n", f.message);
        seen.count = -1;
    }
    return seen;
}

static void images(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    struct image i = new_image("a/b:1", 1234567), got;
    char env[] = "{\"A\":\"b\"}", reference[300];
    i.env = env;
    i.layer = 9;
    CHECK_NUMBER(store_image_add(s, &i, &f), 0);
    CHECK_NUMBER(store_image_by_uuid(s, i.uuid, &got, &f), 0);
    CHECK_STRING(got.uuid, i.uuid);
    CHECK_STRING(got.tag, "a/b:1");
    CHECK_STRING(got.operation, i.operation);
    CHECK_STRING(got.env, env);
    CHECK_NUMBER(got.created, 1234567);
    CHECK_NUMBER(got.size, 7);
    CHECK_NUMBER(got.layer, 9);
    image_clear(&got);
    snprintf(reference, sizeof reference, "tag:%s", i.tag);
    CHECK_NUMBER(store_image_resolve(s, reference, &got, &f), 0);
    CHECK_STRING(got.uuid, i.uuid);
    image_clear(&got);
    CHECK_NUMBER(store_image_resolve(s, i.uuid, &got, &f), 0);
    image_clear(&got);
    CHECK_NUMBER(store_image_resolve(s, "busybox", &got, &f), -1);
    CHECK_NUMBER(f.status, 400);
    CHECK_NUMBER(store_image_resolve(s, "tag:none", &got, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_image_by_uuid(s, i.operation, &got, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_image_by_uuid(s, "x", &got, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_image_add(s, &i, &f), -1); /* the same uuid */
    CHECK_NUMBER(f.status, 500);
    CHECK_NUMBER(store_image_by_tag(s, "a/b:1", &got, &f), 0);
    CHECK_STRING(got.uuid, i.uuid);
    image_clear(&got);
    store_close(s);
    temp_dir_remove(&d);
}

static void tag_rules(void) {
    static const char *const good[] = {
        "a", "busybox:latest", "a/b/c:1.2", "my.reg:5000/a:1", "_-",
        "0", "a__b--c"};
    static const char *const bad[] = {
        "",     ":",    "a:",     "a/",  "a.",  "/a",   ":a",  ".a",
        "a..b", "a//b", "a/../b", "A",   "a b", "a\n",  "a@b", "\xc3\xa9",
        "a:/b", "../a", "a\x7f",  "a%b", "a'b", "a\\b", "a*",  "-.",
    };
    char text[TAG_SIZE + 1];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(tag_check(good[i], NULL) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(tag_check(bad[i], NULL) < 0);
    CHECK(tag_check(NULL, NULL) < 0);
    memset(text, 'a', sizeof text);
    text[256] = 0;
    CHECK(tag_check(text, NULL) == 0);
    text[256] = 'a';
    text[257] = 0;
    CHECK(tag_check(text, NULL) < 0);
}

/* Whether the image is found by a tag, and shows `shown`. */
static bool is_found(struct store *s, const char *tag, const char *uuid,
                     const char *shown) {
    struct fault f;
    struct image by_tag, by_uuid;
    if (store_image_by_tag(s, tag, &by_tag, &f) < 0 ||
        store_image_by_uuid(s, by_tag.uuid, &by_uuid, &f) < 0)
        return false;
    return strcmp(by_tag.uuid, uuid) == 0 && strcmp(by_uuid.tag, shown) == 0;
}

static void public_tags(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    struct image p = new_image("p:1", 1), q = new_image("", 2),
                 next = new_image("p:1", 3);
    p.operation[0] = next.operation[0] = 0;
    CHECK_NUMBER(store_image_add(s, &p, &f), 0);
    CHECK_NUMBER(store_image_add(s, &q, &f), 0);
    /* Another tag hides the tag that the image came with. */
    CHECK_NUMBER(store_tag_set(s, p.uuid, "x", &f), 0);
    CHECK(is_found(s, "x", p.uuid, "x") && is_found(s, "p:1", p.uuid, "x"));
    CHECK_NUMBER(store_tag_remove(s, p.uuid, "x", &f), 0);
    CHECK(is_found(s, "p:1", p.uuid, "p:1"));
    /* Another image takes the tag, gets a second one in its place, and takes
     * the first back. */
    CHECK_NUMBER(store_tag_set(s, q.uuid, "p:1", &f), 0);
    CHECK(is_found(s, "p:1", q.uuid, "p:1"));
    CHECK_NUMBER(store_tag_remove(s, p.uuid, "p:1", &f), -1);
    CHECK_NUMBER(store_tag_set(s, q.uuid, "y", &f), 0);
    CHECK(is_found(s, "p:1", p.uuid, "p:1"));
    CHECK_NUMBER(store_tag_set(s, q.uuid, "p:1", &f), 0);
    CHECK_NUMBER(store_tag_set(s, p.uuid, "x", &f), 0);
    CHECK_NUMBER(store_tag_remove(s, p.uuid, NULL, &f), 0);
    CHECK(is_found(s, "p:1", q.uuid, "p:1"));
    CHECK_NUMBER(store_tag_remove(s, q.uuid, NULL, &f), 0);
    CHECK(is_found(s, "p:1", p.uuid, "p:1"));
    /* A list by the hidden tag has that image first. */
    CHECK_NUMBER(store_tag_set(s, p.uuid, "x", &f), 0);
    CHECK_NUMBER(store_tag_set(s, q.uuid, "p:11", &f), 0);
    struct seen seen = {0};
    struct image_filter filter = {.page = {.limit = 10}, .tag_prefix = "p:1"};
    CHECK_NUMBER(store_image_list(s, &filter, see_image, &seen, &f), 0);
    CHECK_NUMBER(seen.count, 2);
    CHECK_STRING(seen.tags[0], "p:1");
    /* An image that comes with the same tag takes it for good. */
    CHECK_NUMBER(store_image_add(s, &next, &f), 0);
    CHECK_NUMBER(store_tag_remove(s, p.uuid, NULL, &f), 0);
    CHECK(is_found(s, "p:1", next.uuid, "p:1"));
    CHECK_NUMBER(store_tag_remove(s, next.uuid, NULL, &f), 0);
    CHECK(!is_found(s, "p:1", next.uuid, "") && !is_found(s, "x", p.uuid, ""));
    store_close(s);
    temp_dir_remove(&d);
}

static void tags(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    struct image got;
    char a[UUID_SIZE], b[UUID_SIZE], none[UUID_SIZE];
    uuid_random(none);
    add(s, "x:1", 1, a);
    add(s, "", 2, b);
    CHECK_NUMBER(store_tag_set(s, b, "x:1", &f), 0);
    CHECK_NUMBER(store_image_by_tag(s, "x:1", &got, &f), 0);
    CHECK_STRING(got.uuid, b);
    CHECK_NUMBER(store_image_by_uuid(s, a, &got, &f), 0);
    CHECK_STRING(got.tag, "");
    /* One image has one tag: a second replaces it. */
    CHECK_NUMBER(store_tag_set(s, b, "y", &f), 0);
    CHECK_NUMBER(store_image_by_tag(s, "x:1", &got, &f), -1);
    CHECK_NUMBER(store_tag_set(s, b, "y", &f), 0);
    CHECK_NUMBER(store_tag_set(s, b, "Y", &f), -1);
    CHECK_NUMBER(f.status, 400);
    /* An unknown image does not take the tag away from its owner. */
    CHECK_NUMBER(store_tag_set(s, none, "y", &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_image_by_tag(s, "y", &got, &f), 0);
    CHECK_NUMBER(store_tag_remove(s, b, "z", &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_tag_remove(s, b, "y", &f), 0);
    CHECK_NUMBER(store_tag_remove(s, b, NULL, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_tag_remove(s, none, NULL, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_tag_set(s, a, "w", &f), 0);
    CHECK_NUMBER(store_tag_remove(s, a, NULL, &f), 0);
    /* Adding an image moves its tag too; a bad one adds nothing. */
    add(s, "t", 3, a);
    add(s, "t", 4, b);
    CHECK_NUMBER(store_image_by_tag(s, "t", &got, &f), 0);
    CHECK_STRING(got.uuid, b);
    struct image bad = new_image("t/", 5);
    CHECK_NUMBER(store_image_add(s, &bad, &f), -1);
    CHECK_NUMBER(f.status, 400);
    CHECK_NUMBER(store_image_by_uuid(s, bad.uuid, &got, &f), -1);
    store_close(s);
    temp_dir_remove(&d);
}

static void lists(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    char first[UUID_SIZE];
    add(s, "app:1", 10, first);
    add(s, "", 20, NULL);
    add(s, "app:1.2", 30, NULL);
    add(s, "bpp", 40, NULL);
    add(s, "app:1.3", 50, NULL);
    add(s, "app", 50, NULL); /* the same instant: the later one is newer */
    struct seen l = list(s, (struct image_filter){.page.limit = 100});
    CHECK_NUMBER(l.count, 6);
    CHECK_STRING(l.tags[0], "app");
    CHECK_STRING(l.tags[1], "app:1.3");
    CHECK_STRING(l.tags[5], "app:1");
    l = list(s, (struct image_filter){.page = {.limit = 2, .offset = 1}});
    CHECK_NUMBER(l.count, 2);
    CHECK_STRING(l.tags[0], "app:1.3");
    CHECK_STRING(l.tags[1], "bpp");
    l = list(s, (struct image_filter){.page.limit = 0});
    CHECK_NUMBER(l.count, 0);
    l = list(s, (struct image_filter){.page = {100, 0, 20, 40}});
    CHECK_NUMBER(l.count, 3);
    l = list(s, (struct image_filter){.page.limit = 100, .tagged = true});
    CHECK_NUMBER(l.count, 5);
    l = list(s,
             (struct image_filter){.page.limit = 100, .tag_prefix = "app:1"});
    CHECK_NUMBER(l.count, 3);
    CHECK_STRING(l.tags[0], "app:1"); /* exact, though it is the oldest */
    CHECK_STRING(l.tags[1], "app:1.3");
    CHECK_STRING(l.tags[2], "app:1.2");
    l = list(s, (struct image_filter){.page.limit = 1, .tag_prefix = "app:1"});
    CHECK_NUMBER(l.count, 1);
    CHECK_STRING(l.tags[0], "app:1");
    l = list(s, (struct image_filter){.page = {.limit = 1, .offset = 1},
                                      .tag_prefix = "app:1"});
    CHECK_STRING(l.tags[0], "app:1.3");
    l = list(s, (struct image_filter){.page = {10, 0, 20, 0},
                                      .tag_prefix = "app:1"});
    CHECK_NUMBER(l.count, 2); /* the exact one is too old */
    CHECK_STRING(l.tags[0], "app:1.3");
    l = list(s, (struct image_filter){.page.limit = 9, .tag_prefix = "a%"});
    CHECK_NUMBER(l.count, 0);
    l = list(s, (struct image_filter){.page.limit = 9, .tag_prefix = ""});
    CHECK_NUMBER(l.count, 6);
    l = list(s, (struct image_filter){.page.limit = 9, .uuid_prefix = first});
    CHECK_NUMBER(l.count, 1);
    l = list(s,
             (struct image_filter){.page = {9, 1, 0, 0}, .uuid_prefix = first});
    CHECK_NUMBER(l.count, 0);
    l = list(s, (struct image_filter){
                    .page.limit = 9, .uuid_prefix = first, .tag_prefix = "b"});
    CHECK_NUMBER(l.count, 0);
    char begin[UUID_SIZE];
    for (size_t n = 22; n < UUID_SIZE; n += 7) {
        snprintf(begin, sizeof begin, "%.*s", (int)n, first);
        l = list(s,
                 (struct image_filter){.page.limit = 9, .uuid_prefix = begin});
        CHECK_NUMBER(l.count, 1);
    }
    l = list(s, (struct image_filter){.page.limit = 9, .uuid_prefix = "x"});
    CHECK_NUMBER(l.count, 0);
    struct seen stopped = {.stop_after = 2};
    struct image_filter all = {.page.limit = 9};
    CHECK_NUMBER(store_image_list(s, &all, see_image, &stopped, NULL), 0);
    CHECK_NUMBER(stopped.count, 2);
    stopped = (struct seen){.stop_after = 1};
    all.tag_prefix = "app:1";
    CHECK_NUMBER(store_image_list(s, &all, see_image, &stopped, NULL), 0);
    CHECK_NUMBER(stopped.count, 1);
    store_close(s);
    temp_dir_remove(&d);
}

static void crowded_prefix(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    char tag[32];
    add(s, "p", 1, NULL);
    for (int i = 0; i < MANY; i++) {
        snprintf(tag, sizeof tag, "p:%d", i);
        add(s, tag, 1000 + i, NULL);
        if (i % 10 == 0)
            add(s, i % 20 ? "" : "other", 1000 + i, NULL);
    }
    struct seen l =
        list(s, (struct image_filter){.page.limit = 3, .tag_prefix = "p"});
    CHECK_NUMBER(l.count, 3);
    CHECK_STRING(l.tags[0], "p");
    CHECK_STRING(l.tags[1], "p:10099");
    CHECK_STRING(l.tags[2], "p:10098");
    l = list(s, (struct image_filter){.page = {.limit = 5, .offset = 10098},
                                      .tag_prefix = "p"});
    CHECK_NUMBER(l.count, 3);
    CHECK_STRING(l.tags[2], "p:0");
    l = list(s, (struct image_filter){.page = {5, 0, 1001, 1003},
                                      .tag_prefix = "p"});
    CHECK_NUMBER(l.count, 3);
    CHECK_STRING(l.tags[0], "p:3");
    store_close(s);
    temp_dir_remove(&d);
}

static bool see_layer(void *arg, int64_t id) {
    int64_t *last = arg;
    CHECK(id > *last);
    *last = id;
    return true;
}

/* Add a layer with an image. */
static int add_layer(struct store *s, int64_t id, int64_t parent, int64_t size,
                     struct fault *f) {
    struct image i = new_image("", 1);
    i.layer = id;
    return store_snapshot_add(s, id, parent, size, &i, f);
}

static void layers(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    int64_t a, b, c, *ids, last = 0;
    struct chain_layer *chain;
    size_t count;
    CHECK_NUMBER(store_layer_reserve(s, &a, &f), 0);
    CHECK_NUMBER(store_layer_reserve(s, &b, &f), 0);
    CHECK(a >= 1 && b > a);
    CHECK_NUMBER(add_layer(s, a, 0, 5, &f), 0);
    CHECK_NUMBER(add_layer(s, b, a, 6, &f), 0);
    CHECK_NUMBER(add_layer(s, b, a, 6, &f), -1);
    CHECK_NUMBER(store_layer_chain(s, b, &ids, &count, &f), 0);
    CHECK(count == 2 && ids[0] == b && ids[1] == a);
    free(ids);
    CHECK_NUMBER(store_layer_list(s, b, &chain, &count, &f), 0);
    CHECK_NUMBER(count, 2);
    CHECK_NUMBER(chain[0].size + chain[1].size, 11);
    free(chain);
    CHECK_NUMBER(store_layer_chain(s, 0, &ids, &count, &f), 0);
    CHECK_NUMBER(count, 0);
    free(ids);
    CHECK_NUMBER(store_layer_chain(s, 99999, &ids, &count, &f), -1);
    CHECK_NUMBER(f.status, 500);
    /* More than one block, then a new engine: never the same id twice. */
    int64_t highest = b;
    for (int i = 0; i < 600; i++) {
        CHECK_NUMBER(store_layer_reserve(s, &c, &f), 0);
        CHECK(c > highest);
        highest = c;
    }
    store_close(s);
    s = open_store(&d);
    CHECK_NUMBER(store_layer_reserve(s, &c, &f), 0);
    CHECK(c > highest);
    CHECK_NUMBER(store_layer_each(s, see_layer, &last, &f), 0);
    CHECK_NUMBER(last, b);
    /* A snapshot is added as a whole or not at all. */
    struct image i = new_image("snap", 1), got;
    i.layer = c;
    CHECK_NUMBER(store_snapshot_add(s, c, b, 1, &i, &f), 0);
    CHECK_NUMBER(store_image_by_tag(s, "snap", &got, &f), 0);
    CHECK_NUMBER(got.layer, c);
    CHECK_NUMBER(store_snapshot_add(s, c + 1, b, 1, &i, &f), -1);
    CHECK_NUMBER(store_layer_chain(s, c + 1, &ids, &count, &f), -1);
    /* The failure left no transaction open. */
    CHECK_NUMBER(add_layer(s, c + 1, c, 1, &f), 0);
    /* A loop in a damaged table is a fault. */
    CHECK_NUMBER(add_layer(s, c + 9, c + 9, 1, &f), 0);
    CHECK_NUMBER(store_layer_chain(s, c + 9, &ids, &count, &f), -1);
    CHECK_NUMBER(f.status, 500);
    store_close(s);
    temp_dir_remove(&d);
}

static bool count_file(void *arg, const struct stored_file *x) {
    struct seen *seen = arg;
    seen->created[seen->count] = x->size;
    return ++seen->count != seen->stop_after;
}

static void files(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    struct stored_file a, b, got;
    char hash[65];
    memset(hash, 'a', 64);
    hash[64] = 0;
    CHECK_NUMBER(store_file_add(s, hash, 5, &a, &f), 0);
    CHECK_NUMBER(a.size, 5);
    CHECK(a.created > 0 && a.created == a.updated);
    usleep(10);
    CHECK_NUMBER(store_file_add(s, hash, 5, &b, &f), 0);
    CHECK_STRING(b.uuid, a.uuid);
    CHECK_NUMBER(b.created, a.created);
    CHECK(b.updated > a.updated);
    hash[3] = 'b';
    CHECK_NUMBER(store_file_by_sha256(s, hash, &got, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_file_add(s, hash, 6, &b, &f), 0);
    hash[0] = 'A';
    CHECK_NUMBER(store_file_by_sha256(s, hash, &got, &f), 0);
    CHECK_STRING(got.uuid, b.uuid);
    CHECK_NUMBER(store_file_by_uuid(s, a.uuid, &got, &f), 0);
    CHECK_STRING(got.sha256, a.sha256);
    CHECK_NUMBER(store_file_by_uuid(s, "x", &got, &f), -1);
    CHECK_NUMBER(f.status, 404);
    struct seen seen = {0};
    struct page page = {.limit = 10};
    CHECK_NUMBER(store_file_list(s, &page, count_file, &seen, &f), 0);
    CHECK(seen.count == 2 && seen.created[0] == 6 && seen.created[1] == 5);
    seen = (struct seen){0};
    page.until = b.created - 1;
    CHECK_NUMBER(store_file_list(s, &page, count_file, &seen, &f), 0);
    CHECK_NUMBER(seen.count, 1);
    store_close(s);
    temp_dir_remove(&d);
}

static void add_operation(struct store *s, const char *kind, const char *status,
                          int64_t created, char uuid[UUID_SIZE]) {
    struct fault f = {0};
    char metadata[] = "{\"command\":\"true\"}";
    struct operation_row o = {.kind = kind,
                              .status = status,
                              .created = created,
                              .image_size = -1,
                              .metadata = metadata};
    uuid_ordered(o.uuid);
    uuid_random(o.image);
    CHECK_NUMBER(store_operation_add(s, &o, &f), 0);
    memcpy(uuid, o.uuid, UUID_SIZE);
}

static void operations(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    char a[UUID_SIZE], b[UUID_SIZE], c[UUID_SIZE], *log;
    size_t length;
    struct operation_row o;
    add_operation(s, "instance", "EXECUTING", 1, a);
    add_operation(s, "instance", "PENDING", 2, b);
    add_operation(s, "image_import", "EXECUTING", 3, c);
    CHECK_NUMBER(store_operation_get(s, a, &o, &f), 0);
    CHECK_STRING(o.kind, "instance");
    CHECK_STRING(o.status, "EXECUTING");
    CHECK_STRING(o.metadata, "{\"command\":\"true\"}");
    CHECK(o.finished == 0 && !o.error && !o.tag && !o.result_image[0]);
    CHECK_NUMBER(o.image_size, -1);
    length = 7;
    CHECK_NUMBER(store_operation_log(s, a, &log, &length, &f), 0);
    CHECK(!log && length == 0);
    o.status = "SUCCESS";
    o.finished = 9;
    o.consumed_cpu = 0.25;
    o.consumed_memory = 1024;
    o.image_size = 4096;
    memcpy(o.result_image, b, UUID_SIZE);
    CHECK_NUMBER(store_operation_finish(s, &o, "{}\n\0x", 5, &f), 0);
    operation_row_clear(&o);
    CHECK_NUMBER(store_operation_get(s, a, &o, &f), 0);
    CHECK_STRING(o.status, "SUCCESS");
    CHECK_STRING(o.result_image, b);
    CHECK_STRING(o.metadata, "{\"command\":\"true\"}");
    CHECK(o.finished == 9 && o.consumed_cpu == 0.25);
    CHECK(o.consumed_memory == 1024 && o.image_size == 4096);
    free(o.metadata);
    o.metadata = NULL; /* as it was */
    CHECK_NUMBER(store_operation_finish(s, &o, "", 0, &f), 0);
    CHECK_NUMBER(store_operation_log(s, a, &log, &length, &f), 0);
    CHECK(log && length == 0);
    free(log);
    CHECK_NUMBER(store_operation_finish(s, &o, "{}\n\0x", 5, &f), 0);
    operation_row_clear(&o);
    CHECK_NUMBER(store_operation_get(s, a, &o, &f), 0);
    CHECK_STRING(o.metadata, "{\"command\":\"true\"}");
    operation_row_clear(&o);
    CHECK_NUMBER(store_operation_log(s, a, &log, &length, &f), 0);
    CHECK(length == 5 && log && memcmp(log, "{}\n\0x", 5) == 0);
    free(log);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 3);
    CHECK_NUMBER(operations_like(s, "EXECUTING", NULL), 1);
    CHECK_NUMBER(operations_like(s, "EXECUTING", "instance"), 0);
    CHECK_NUMBER(operations_like(s, "EXECUTING", "image_import"), 1);
    CHECK_NUMBER(operations_like(s, "SUCCESS", NULL), 1);
    CHECK_NUMBER(operations_like(s, NULL, "image_import"), 1);
    CHECK_NUMBER(operations_like(s, NULL, "instance"), 2);
    CHECK_NUMBER(operations_like(s, "SUCCESS", "instance"), 1);
    CHECK_NUMBER(operations_like(s, "SUCCESS", "image_import"), 0);
    struct operation_row none = {.kind = "instance", .status = "FAILED"};
    uuid_random(none.uuid);
    CHECK_NUMBER(store_operation_finish(s, &none, "x", 1, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_operation_get(s, none.uuid, &o, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(store_operation_log(s, none.uuid, &log, &length, &f), -1);
    CHECK_NUMBER(f.status, 404);
    /* For a new engine the running ones have failed. */
    store_close(s);
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, "FAILED", NULL), 2);
    CHECK_NUMBER(operations_like(s, "SUCCESS", NULL), 1);
    CHECK_NUMBER(store_operation_get(s, c, &o, &f), 0);
    CHECK_STRING(o.error, "the engine stopped while this operation ran");
    CHECK(o.finished > 0);
    operation_row_clear(&o);
    store_close(s);
    temp_dir_remove(&d);
}

static void one_engine(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f = {0};
    char want[200];
    CHECK(store_open(d.fd, d.path, &f) == NULL);
    CHECK_NUMBER(f.status, 409);
    snprintf(want, sizeof want, "another contree-engine (pid %d) uses %s",
             (int)getpid(), d.path);
    CHECK_STRING(f.message, want);
    /* Where it is served, once that was told. */
    char socket[32] = "before";
    CHECK(!store_served_on(d.path, socket, sizeof socket));
    CHECK_NUMBER(store_announce(s, "/run/a.sock", &f), 0);
    CHECK(store_served_on(d.path, socket, sizeof socket));
    CHECK_STRING(socket, "/run/a.sock");
    CHECK(!store_served_on(d.path, socket, sizeof "/run/a.sock" - 1));
    CHECK(!store_served_on("/nowhere", socket, sizeof socket));
    CHECK(store_is_there(s));
    CHECK(shell("rm %s/lock", d.path));
    CHECK(!store_is_there(s));
    store_close(s);
    s = open_store(&d);
    CHECK(s != NULL);
    store_close(s);
    temp_dir_remove(&d);
}

/* Make snapshots, and report each one after it was stored. */
static void make_snapshots(void *dir, int report) {
    struct fault f;
    int64_t id;
    struct store *s = open_store(dir);
    while (store_layer_reserve(s, &id, &f) == 0) {
        struct image i = new_image("last", id);
        i.layer = id;
        if (store_snapshot_add(s, id, 0, 1, &i, &f) < 0 ||
            write_all(report, i.uuid, UUID_SIZE) < 0)
            break;
        if (id % 100 == 0 && store_checkpoint(s, &f) < 0)
            break;
    }
}

static void check_reported(const struct temp_dir *d, int reported) {
    struct store *s = open_store(d);
    struct fault f;
    struct image got;
    int count = 0;
    char uuid[UUID_SIZE];
    while (read_all(reported, uuid, sizeof uuid) == sizeof uuid) {
        int64_t *ids;
        size_t chain;
        CHECK_NUMBER(store_image_by_uuid(s, uuid, &got, &f), 0);
        CHECK_NUMBER(store_layer_chain(s, got.layer, &ids, &chain, &f), 0);
        free(ids);
        count++;
    }
    CHECK(count > 0);
    CHECK_NUMBER(store_image_by_tag(s, "last", &got, &f), 0);
    store_close(s);
}

static void killed(void) {
    struct temp_dir d = temp_dir_make();
    for (int round = 0; round < 5; round++) {
        int reported =
            killed_at_work(make_snapshots, &d, 20000 + 7000 * (unsigned)round);
        check_reported(&d, reported);
        close(reported);
    }
    temp_dir_remove(&d);
}

static bool run_sql(const struct temp_dir *d, const char *sql) {
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/contree.db", d->path);
    bool ok = sqlite3_open(path, &db) == SQLITE_OK &&
              sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok;
}

/* A database of the first schema keeps its contents when it is migrated. */
static void climb(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f = {0};
    int64_t layer;
    struct store *s = open_store(&d);
    add(s, "a", 1, NULL);
    store_close(s);
    CHECK(run_sql(&d,
                  "DROP TABLE imported_layer; DROP INDEX image_config; "
                  "DROP INDEX image_public; DROP INDEX image_layer; "
                  "DROP INDEX layer_parent; DROP INDEX layer_squashed; "
                  "ALTER TABLE image DROP COLUMN public; "
                  "ALTER TABLE image DROP COLUMN user; "
                  "ALTER TABLE image DROP COLUMN cwd; "
                  "ALTER TABLE image DROP COLUMN config; "
                  "ALTER TABLE layer DROP COLUMN level; "
                  "ALTER TABLE layer DROP COLUMN squashed; "
                  "DROP TABLE volume; "
                  "DROP INDEX operation_other; DROP INDEX operation_import; "
                  "CREATE INDEX operation_status ON operation (status); "
                  "CREATE INDEX operation_kind ON operation (kind); "
                  "INSERT INTO layer VALUES (7, 0, 100 << 20); "
                  "PRAGMA user_version = 1"));
    s = open_store(&d);
    CHECK_NUMBER(list(s, (struct image_filter){.page.limit = 5}).count, 1);
    CHECK_NUMBER(store_imported_layer(s, "k", &layer, &f), 1);
    struct chain_layer *chain = NULL;
    size_t count = 0;
    CHECK_NUMBER(store_layer_list(s, 7, &chain, &count, &f), 0);
    CHECK(count == 1 && chain[0].level == LEVEL_LARGE && chain[0].id == 7);
    free(chain);
    store_close(s);
    temp_dir_remove(&d);
}

static void migrations(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f = {0};
    CHECK(run_sql(&d, "PRAGMA user_version = 0")); /* an empty database */
    struct store *s = open_store(&d);
    add(s, "a", 1, NULL);
    store_close(s);
    /* Who closes last leaves the database alone. */
    CHECK(shell("test ! -e %s/contree.db-wal -a ! -e %s/contree.db-shm", d.path,
                d.path));
    s = open_store(&d);
    CHECK_NUMBER(list(s, (struct image_filter){.page.limit = 5}).count, 1);
    store_close(s);
    CHECK(run_sql(&d, "PRAGMA user_version = 99"));
    CHECK(shell("cd %s && md5sum contree.db contree.db-ended > sums", d.path));
    CHECK(store_open(d.fd, d.path, &f) == NULL);
    CHECK(shell("cd %s && md5sum --quiet -c sums", d.path));
    CHECK(strstr(f.message, "newer contree-engine (schema 99") != NULL);
    CHECK(shell("head -c 8192 /dev/urandom >%s/contree.db", d.path));
    CHECK(store_open(d.fd, d.path, &f) == NULL);
    CHECK_NUMBER(f.status, 500);
    CHECK(strstr(f.message, "contree.db") != NULL);
    temp_dir_remove(&d);
}

static void *add_in_thread(void *arg) {
    struct store *s = arg;
    struct fault f;
    for (int n = 0; n < 300; n++) {
        struct image i = new_image(n % 3 ? "" : "shared", n);
        int64_t id;
        if (store_layer_reserve(s, &id, &f) < 0)
            return NULL;
        i.layer = id;
        if (store_snapshot_add(s, id, 0, 1, &i, &f) < 0)
            return NULL;
        if (n % 50 == 0 &&
            (store_sync(s, &f) < 0 || store_checkpoint(s, &f) < 0))
            return NULL;
    }
    return s;
}

static void threads(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    pthread_t t[4];
    void *result;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, add_in_thread, s);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &result);
        CHECK(result == s);
    }
    CHECK_NUMBER(list(s, (struct image_filter){.page.limit = 5000}).count,
                 1200);
    CHECK_NUMBER(
        list(s, (struct image_filter){.page.limit = 9, .tagged = true}).count,
        1);
    store_close(s);
    temp_dir_remove(&d);
}

static void log_shrinks(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f;
    struct stat before, after;
    while (!store_checkpoint_due(s))
        add(s, "", 1, NULL);
    CHECK(fstatat(d.fd, "contree.db-wal", &before, 0) == 0);
    CHECK_NUMBER(store_checkpoint(s, &f), 0);
    CHECK(!store_checkpoint_due(s));
    for (int i = 0; i < 50; i++)
        add(s, "", 1, NULL);
    CHECK(!store_checkpoint_due(s));
    /* The log was started anew instead of growing. */
    CHECK(fstatat(d.fd, "contree.db-wal", &after, 0) == 0);
    CHECK_NUMBER(after.st_size, before.st_size);
    store_close(s);
    temp_dir_remove(&d);
}

static void full_disk(void) {
    struct temp_dir d = temp_dir_small(600);
    struct store *s = open_store(&d);
    struct fault f = {0};
    char *log = calloc(1, 100000);
    int stored = 0;
    for (;;) {
        struct operation_row o = {.kind = "instance", .status = "PENDING"};
        uuid_ordered(o.uuid);
        if (store_operation_add(s, &o, &f) < 0 ||
            store_operation_finish(s, &o, log, 100000, &f) < 0)
            break;
        CHECK(++stored < 100);
        if (stored >= 100)
            break;
    }
    CHECK_NUMBER(f.status, 507);
    /* The store can still be read, and opened again. */
    CHECK(operations_like(s, NULL, NULL) >= stored);
    store_close(s);
    s = open_store(&d);
    CHECK(s && operations_like(s, NULL, NULL) >= stored);
    store_close(s);
    free(log);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(images, "images are added and found");
    RUN(tag_rules, "tags follow the rules");
    RUN(public_tags, "B9: what is hidden of a public image comes back");
    RUN(tags, "tags move, replace and go");
    RUN(lists, "lists are ordered, filtered and paged");
    RUN(crowded_prefix, "a prefix of thousands is listed right too");
    RUN(layers, "layer ids, chains and snapshots");
    RUN(files, "files are unique by content");
    RUN(operations, "operations, their logs and filters");
    RUN(one_engine, "a second engine is refused with the pid");
    RUN(killed, "what was reported survives kill -9");
    RUN(migrations, "schema versions: none, newer, damaged");
    RUN(climb, "an older schema is brought up");
    RUN(threads, "threads share it");
    RUN(log_shrinks, "a checkpoint ends the log's growth");
    RUN(full_disk, "a full disk is 507 and harms nothing stored");
    return CHECK_DONE();
}
