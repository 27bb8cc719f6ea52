/* images.c: the rows of images. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "base/uuid.h"
#include "store/database.h"
#include "store/tables.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A prefix that more images have than this is looked for along the time line
 * instead of sorting all that have it. */
#define FEW "10000"

/* Without what only a single image tells. */
#define COLUMNS "SELECT uuid, tag, operation, created, size, layer, NULL, NULL "
#define ORDER " ORDER BY created DESC, id DESC LIMIT ? OFFSET ?"

void image_clear(struct image *i) {
    free(i->env);
    free(i->cwd);
    free(i->user);
    i->env = i->cwd = i->user = NULL;
}

static int read_image(sqlite3_stmt *q, struct image *out, struct fault *f) {
    *out = (struct image){0};
    store_copy_text(q, 0, out->uuid, sizeof out->uuid);
    store_copy_text(q, 1, out->tag, sizeof out->tag);
    store_copy_text(q, 2, out->operation, sizeof out->operation);
    out->created = sqlite3_column_int64(q, 3);
    out->size = sqlite3_column_int64(q, 4);
    out->layer = sqlite3_column_int64(q, 5);
    if (store_dup_text(q, 6, &out->env) && store_dup_text(q, 7, &out->cwd) &&
        store_dup_text(q, 8, &out->user))
        return 0;
    image_clear(out);
    return fault_memory(f);
}

int store_find_image(struct store *s, enum query which, const char *sql,
                     const char *key, struct image *out, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, key);
    int row = store_row(s, q, f);
    if (row == 1 && read_image(q, out, f) < 0)
        return -1;
    return row;
}

int store_find_uuid(struct store *s, const char *uuid, struct image *out,
                    struct fault *f) {
    char lower[UUID_SIZE];
    if (!uuid_parse(uuid, lower))
        return 0;
    return store_find_image(s, QUERY_IMAGE_BY_UUID,
                            IMAGE_COLUMNS "FROM image WHERE uuid = ?", lower,
                            out, f);
}

static int find_by_tag(struct store *s, const char *tag, struct image *out,
                       struct fault *f) {
    int found =
        store_find_image(s, QUERY_IMAGE_BY_TAG,
                         IMAGE_COLUMNS "FROM image WHERE tag = ?", tag, out, f);
    if (found != 0)
        return found;
    found = store_find_image(s, QUERY_IMAGE_BY_PUBLIC,
                             IMAGE_COLUMNS "FROM image WHERE public = ?", tag,
                             out, f);
    if (found == 1)
        snprintf(out->tag, sizeof out->tag, "%s", tag);
    return found;
}

int store_image_by_uuid(struct store *s, const char *uuid, struct image *out,
                        struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int found = store_find_uuid(s, uuid, out, f);
    if (found == 0)
        fault_set(f, 404, "no image %.64s", uuid);
    return found == 1 ? 0 : -1;
}

int store_image_by_tag(struct store *s, const char *tag, struct image *out,
                       struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    int found = find_by_tag(s, tag, out, f);
    if (found == 0)
        fault_set(f, 404, "no image has the tag '%.256s'", tag);
    return found == 1 ? 0 : -1;
}

int store_image_resolve(struct store *s, const char *reference,
                        struct image *out, struct fault *f) {
    if (strncmp(reference, "tag:", 4) == 0)
        return store_image_by_tag(s, reference + 4, out, f);
    if (!uuid_parse(reference, NULL))
        return fault_set(f, 400, "image '%.64s' is neither a uuid nor tag:NAME",
                         reference);
    return store_image_by_uuid(s, reference, out, f);
}

static bool image_matches(const struct image_filter *filter,
                          const struct image *i) {
    const struct page *p = &filter->page;
    const char *prefix = filter->tag_prefix ? filter->tag_prefix : "";
    return (!p->since || i->created >= p->since) &&
           (!p->until || i->created <= p->until) &&
           (!filter->tagged || i->tag[0]) &&
           strncmp(i->tag, prefix, strlen(prefix)) == 0;
}

/* Visits what a lookup found, if the filter lets it through, and takes it off
 * the page. 1: go on, 0: the visitor stops. */
static int visit_one(int found, struct image *i, struct image_filter *filter,
                     bool (*visit)(void *arg, const struct image *i),
                     void *arg) {
    if (found != 1)
        return found < 0 ? -1 : 1;
    bool more = true;
    if (image_matches(filter, i)) {
        if (filter->page.offset > 0) {
            filter->page.offset--;
        } else if (filter->page.limit > 0) {
            filter->page.limit--;
            image_clear(i);
            more = visit(arg, i);
        }
    }
    image_clear(i);
    return more;
}

/* After every tag that begins with the prefix: tags are ASCII without DEL. */
static char *prefix_end(const char *prefix) {
    char *end = NULL;
    return asprintf(&end, "%s\x7f", prefix) < 0 ? NULL : end;
}

static int has_many(struct store *s, const char *prefix, const char *end,
                    bool *many, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_IMAGE_COUNT_PREFIX,
                    "SELECT count(*) >= " FEW " FROM (SELECT 1 FROM image"
                    " WHERE tag > ? AND tag < ? LIMIT " FEW ")",
                    f);
    if (!q)
        return -1;
    store_bind_text(q, 1, prefix);
    store_bind_text(q, 2, end);
    if (store_row(s, q, f) < 0)
        return -1;
    *many = sqlite3_column_int(q, 0);
    return 0;
}

/* The unary + keeps SQLite from the index on tag. */
static sqlite3_stmt *prefix_query(struct store *s, bool many, struct fault *f) {
    if (many)
        return store_query(s, QUERY_IMAGE_LIST_PREFIX_MANY,
                           COLUMNS "FROM image WHERE created BETWEEN ?"
                                   " AND ? AND tag IS NOT NULL AND +tag > ?"
                                   " AND +tag < ?" ORDER,
                           f);
    return store_query(s, QUERY_IMAGE_LIST_PREFIX_FEW,
                       COLUMNS "FROM image WHERE +created BETWEEN ? AND ?"
                               " AND tag > ? AND tag < ?" ORDER,
                       f);
}

static sqlite3_stmt *plain_query(struct store *s, bool tagged,
                                 struct fault *f) {
    if (tagged)
        return store_query(s, QUERY_IMAGE_LIST_TAGGED,
                           COLUMNS "FROM image WHERE created BETWEEN ?"
                                   " AND ? AND tag IS NOT NULL" ORDER,
                           f);
    return store_query(s, QUERY_IMAGE_LIST,
                       COLUMNS "FROM image WHERE created BETWEEN ? AND ?" ORDER,
                       f);
}

static int visit_rows(struct store *s, sqlite3_stmt *q,
                      bool (*visit)(void *arg, const struct image *i),
                      void *arg, struct fault *f) {
    int row;
    while ((row = store_row(s, q, f)) == 1) {
        struct image i;
        if (read_image(q, &i, f) < 0)
            return -1;
        if (!visit(arg, &i))
            return 0;
    }
    return row;
}

/* All that begin with the prefix but the exact match, which came first. */
static int list_prefix(struct store *s, const struct image_filter *filter,
                       bool (*visit)(void *arg, const struct image *i),
                       void *arg, struct fault *f) {
    bool many;
    char *end CLEANUP(cleanup_free) = prefix_end(filter->tag_prefix);
    if (!end)
        return fault_memory(f);
    if (has_many(s, filter->tag_prefix, end, &many, f) < 0)
        return -1;
    sqlite3_stmt *q CLEANUP(store_done) = prefix_query(s, many, f);
    if (!q)
        return -1;
    store_bind_times(q, 1, &filter->page);
    store_bind_text(q, 3, filter->tag_prefix);
    store_bind_text(q, 4, end);
    store_bind_page(q, 5, &filter->page);
    return visit_rows(s, q, visit, arg, f);
}

/* All whose uuid begins with the prefix. */
static int list_uuids(struct store *s, struct image_filter *filter,
                      bool (*visit)(void *arg, const struct image *i),
                      void *arg, struct fault *f) {
    char end[UUID_SIZE + 1];
    int row, more = 1;
    sqlite3_stmt *q CLEANUP(store_done) =
        store_query(s, QUERY_IMAGE_LIST_UUID,
                    COLUMNS "FROM image WHERE uuid >= ? AND uuid < ?"
                            " ORDER BY created DESC, id DESC",
                    f);
    if (!q)
        return -1;
    /* A letter above all that a uuid has. */
    snprintf(end, sizeof end, "%sg", filter->uuid_prefix);
    store_bind_text(q, 1, filter->uuid_prefix);
    store_bind_text(q, 2, end);
    while ((row = store_row(s, q, f)) == 1 && more && filter->page.limit > 0) {
        struct image i;
        if (read_image(q, &i, f) < 0)
            return -1;
        more = visit_one(1, &i, filter, visit, arg);
    }
    return row < 0 ? -1 : 0;
}

int store_image_list(struct store *s, const struct image_filter *filter,
                     bool (*visit)(void *arg, const struct image *i), void *arg,
                     struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    struct image_filter rest = *filter;
    struct image one;
    if (filter->uuid_prefix)
        return list_uuids(s, &rest, visit, arg, f);
    if (filter->tag_prefix && *filter->tag_prefix) {
        int found = find_by_tag(s, filter->tag_prefix, &one, f);
        int more = visit_one(found, &one, &rest, visit, arg);
        return more == 1 ? list_prefix(s, &rest, visit, arg, f) : more;
    }
    sqlite3_stmt *q CLEANUP(store_done) = plain_query(s, filter->tagged, f);
    if (!q)
        return -1;
    store_bind_times(q, 1, &filter->page);
    store_bind_page(q, 3, &filter->page);
    return visit_rows(s, q, visit, arg, f);
}
