/* ancestor.c: see ancestor.h. */
#define _GNU_SOURCE
#include "merge/ancestor.h"
#include "base/json.h"
#include "base/scope.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANCESTORS_MAX = 10000 };

/* An image and those that it came from, in the order of their distance. */
struct lineage {
    char (*images)[UUID_SIZE];
    size_t count, capacity;
};

static bool has(const struct lineage *l, const char *uuid) {
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->images[i], uuid) == 0)
            return true;
    return false;
}

static int add(struct lineage *l, const char *uuid, struct fault *f) {
    if (!*uuid || l->count == ANCESTORS_MAX || has(l, uuid))
        return 0;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        void *more = realloc(l->images, capacity * sizeof *l->images);
        if (!more)
            return fault_memory(f);
        l->images = more;
        l->capacity = capacity;
    }
    memcpy(l->images[l->count++], uuid, UUID_SIZE);
    return 0;
}

/* The other parent of what a merge made. */
static int add_merged(struct lineage *l, const char *metadata,
                      struct fault *f) {
    char uuid[UUID_SIZE] = "";
    struct fault ignored;
    json_t *o = metadata && strstr(metadata, "\"merge\"")
                    ? json_parse(metadata, strlen(metadata), &ignored)
                    : NULL;
    const char *theirs = json_string_value(
        json_object_get(json_object_get(o, "merge"), "theirs"));
    if (theirs && strlen(theirs) < UUID_SIZE)
        snprintf(uuid, sizeof uuid, "%s", theirs);
    json_decref(o);
    return add(l, uuid, f);
}

/* Adds the parents of an image. One whose rows are gone has none. */
static int add_parents(struct store *s, struct lineage *l, const char *uuid,
                       struct fault *f) {
    struct image i;
    struct operation_row o;
    struct fault missing;
    if (store_image_by_uuid(s, uuid, &i, &missing) < 0)
        return missing.status == 404
                   ? 0
                   : fault_set(f, missing.status, "%s", missing.message);
    int found =
        *i.operation ? store_operation_get(s, i.operation, &o, &missing) : -1;
    image_clear(&i);
    if (found < 0)
        return 0;
    int result = add(l, o.image, f);
    if (result == 0 && strcmp(o.kind, "image_import") == 0)
        result = add_merged(l, o.metadata, f);
    operation_row_clear(&o);
    return result;
}

static int read_lineage(struct store *s, struct lineage *l, const char *uuid,
                        struct fault *f) {
    int result = add(l, uuid, f);
    for (size_t i = 0; i < l->count && result == 0; i++) {
        char at[UUID_SIZE];
        memcpy(at, l->images[i], UUID_SIZE);
        result = add_parents(s, l, at, f);
    }
    return result;
}

static int find(struct store *s, const struct lineage *ours,
                const struct lineage *theirs, struct image *out,
                struct fault *f) {
    for (size_t i = 0; i < theirs->count; i++) {
        const char *uuid = theirs->images[i];
        if (!has(ours, uuid))
            continue;
        if (store_image_by_uuid(s, uuid, out, f) == 0)
            return 0;
        return f->status != 404
                   ? -1
                   : fault_set(f, 422,
                               "the image from which both came, %s, was "
                               "removed: say with `base` what to compare with",
                               uuid);
    }
    return fault_set(f, 422,
                     "no image is known from which both came: say with `base` "
                     "what to compare with");
}

int merge_ancestor(struct store *s, const char *ours, const char *theirs,
                   struct image *out, struct fault *f) {
    struct lineage a = {0}, b = {0};
    int result = read_lineage(s, &a, ours, f);
    if (result == 0)
        result = read_lineage(s, &b, theirs, f);
    if (result == 0)
        result = find(s, &a, &b, out, f);
    free(a.images);
    free(b.images);
    return result;
}
