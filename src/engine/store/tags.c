/* tags.c: what a tag may be, and which image has it. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "base/uuid.h"
#include "store/database.h"
#include "store/tables.h"
#include <ctype.h>
#include <string.h>

static bool is_tag(const char *tag) {
    if (!tag || strlen(tag) >= TAG_SIZE)
        return false;
    bool separator = true; /* none is allowed at the start */
    for (; *tag; tag++) {
        bool plain = islower((unsigned char)*tag) ||
                     isdigit((unsigned char)*tag) || *tag == '_' || *tag == '-';
        if (!plain && (separator || !strchr(":/.", *tag)))
            return false;
        separator = !plain;
    }
    return !separator;
}

int tag_check(const char *tag, struct fault *f) {
    if (is_tag(tag))
        return 0;
    return fault_set(
        f, 400,
        "malformed tag '%.80s': a tag has 1 to 256 of a-z 0-9 _ - with "
        "single : / . between them",
        tag ? tag : "");
}

static int run_with_tag(struct store *s, enum query which, const char *sql,
                        const char *tag, struct fault *f) {
    sqlite3_stmt *q CLEANUP(store_done) = store_query(s, which, sql, f);
    if (!q)
        return -1;
    store_bind_text(q, 1, tag);
    return store_run(s, q, f);
}

/* Takes the tag from the image that has it. */
static int clear_tag(struct store *s, const char *tag, struct fault *f) {
    return run_with_tag(s, QUERY_TAG_CLEAR,
                        "UPDATE image SET tag = NULL WHERE tag = ?", tag, f);
}

/* A public image without a tag gets its own back, unless another image has
 * it. */
static int restore_public(struct store *s, struct fault *f) {
    return run_with_tag(s, QUERY_TAG_RESTORE,
                        "UPDATE image SET tag = public WHERE public IS NOT NULL"
                        " AND tag IS NULL AND NOT EXISTS (SELECT 1 FROM image o"
                        " WHERE o.tag = image.public) AND ?1 IS NULL",
                        NULL, f);
}

int store_take_tag(struct store *s, const struct image *i, struct fault *f) {
    if (tag_check(i->tag, f) < 0 || clear_tag(s, i->tag, f) < 0)
        return -1;
    return *i->operation
               ? 0
               : run_with_tag(s, QUERY_TAG_CLEAR_PUBLIC,
                              "UPDATE image SET public = NULL WHERE public = ?",
                              i->tag, f);
}

int store_move_tag(struct store *s, const char *uuid, const char *tag,
                   struct fault *f) {
    if (clear_tag(s, tag, f) < 0)
        return -1;
    int changed = store_run_texts(s, QUERY_TAG_SET,
                                  "UPDATE image SET tag = ?2 WHERE uuid = ?1",
                                  uuid, tag, f);
    if (changed == 0)
        fault_set(f, 404, "no image %s", uuid);
    return changed == 1 ? restore_public(s, f) : -1;
}

/* Make a change of an image and a tag in a transaction. */
static int transact(struct store *s, const char *uuid, const char *tag,
                    int (*change)(struct store *s, const char *uuid,
                                  const char *tag, struct fault *f),
                    struct fault *f) {
    char lower[UUID_SIZE];
    if (!uuid_parse(uuid, lower))
        return fault_set(f, 404, "no image %.64s", uuid);
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    if (store_begin(s, f) < 0)
        return -1;
    return store_end(s, change(s, lower, tag, f), f);
}

int store_tag_set(struct store *s, const char *uuid, const char *tag,
                  struct fault *f) {
    if (tag_check(tag, f) < 0)
        return -1;
    return transact(s, uuid, tag, store_move_tag, f);
}

/* 404 when the image has no such tag. */
static int remove_tag(struct store *s, const char *uuid, const char *tag,
                      struct fault *f) {
    int changed =
        store_run_texts(s, QUERY_TAG_REMOVE,
                        "UPDATE image SET tag = NULL,"
                        " public = nullif(public, tag) WHERE uuid = ?1"
                        " AND tag = ifnull(?2, tag)",
                        uuid, tag, f);
    if (changed != 0)
        return changed < 0 ? -1 : restore_public(s, f);
    struct image i;
    int found = store_find_uuid(s, uuid, &i, f);
    if (found == 0)
        return fault_set(f, 404, "no image %s", uuid);
    if (found == 1) {
        image_clear(&i);
        fault_set(f, 404,
                  tag ? "image %s has no tag '%.256s'" : "image %s has no tag",
                  uuid, tag);
    }
    return -1;
}

int store_tag_remove(struct store *s, const char *uuid, const char *tag,
                     struct fault *f) {
    return transact(s, uuid, tag, remove_tag, f);
}
