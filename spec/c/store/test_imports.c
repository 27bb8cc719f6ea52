/* test_imports.c: what imports add, and find again when it comes once more. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "check.h"
#include "store/store.h"
#include "store_env.h"
#include "temp_dir.h"
#include <stdlib.h>
#include <string.h>

static struct image new_image(const char *tag) {
    struct image i = {.created = wall_microseconds()};
    uuid_random(i.uuid);
    snprintf(i.tag, sizeof i.tag, "%s", tag);
    return i;
}

static struct imported_layer new_layer(struct store *s, const char *key,
                                       int64_t size) {
    struct fault f = {0};
    struct imported_layer l = {.size = size};
    snprintf(l.key, sizeof l.key, "%s", key);
    if (size)
        CHECK_NUMBER(store_layer_reserve(s, &l.id, &f), 0);
    return l;
}

/* The ids of the layers of an image, the top first. */
static size_t chain_of(struct store *s, int64_t layer, int64_t out[8]) {
    struct fault f = {0};
    int64_t *ids = NULL;
    size_t count = 0;
    CHECK_NUMBER(store_layer_chain(s, layer, &ids, &count, &f), 0);
    for (size_t n = 0; n < count && n < 8; n++)
        out[n] = ids[n];
    free(ids);
    return count;
}

static void layers(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f = {0};
    int64_t layer = -1, ids[8];
    struct imported_layer first[] = {new_layer(s, "a", 10),
                                     new_layer(s, "a/empty", 0),
                                     new_layer(s, "a/empty/b", 5)};
    struct image i = new_image("one");
    CHECK_NUMBER(store_imported_layer(s, "a", &layer, &f), 1);
    CHECK_NUMBER(store_import_add(s, 0, first, 3, "sha256:1", &i, &f), 0);
    CHECK(!first[0].known && !first[1].known && !first[2].known);
    CHECK_NUMBER(i.size, 15);
    CHECK_NUMBER(i.layer, first[2].id);
    CHECK_NUMBER(chain_of(s, i.layer, ids), 2);
    CHECK(ids[0] == first[2].id && ids[1] == first[0].id);
    CHECK_NUMBER(store_imported_layer(s, "a", &layer, &f), 0);
    CHECK_NUMBER(layer, first[0].id);
    /* An empty layer is the one below it. */
    CHECK_NUMBER(store_imported_layer(s, "a/empty", &layer, &f), 0);
    CHECK_NUMBER(layer, first[0].id);

    /* Another import that was made at the same time: what is known already is
     * told, so that its second directory goes, and the first one is used. */
    struct imported_layer second[] = {new_layer(s, "a", 10),
                                      new_layer(s, "a/c", 7)};
    struct image other = new_image("two");
    CHECK_NUMBER(store_import_add(s, 0, second, 2, "sha256:2", &other, &f), 0);
    CHECK(second[0].known && !second[1].known);
    CHECK_NUMBER(other.size, 17);
    CHECK_NUMBER(chain_of(s, other.layer, ids), 2);
    CHECK(ids[0] == second[1].id && ids[1] == first[0].id);

    /* A base layer hides what is below it. */
    struct imported_layer base[] = {new_layer(s, "a/base", 3)};
    base[0].base = true;
    struct image alone = new_image("three");
    CHECK_NUMBER(
        store_import_add(s, first[0].id, base, 1, "sha256:3", &alone, &f), 0);
    CHECK_NUMBER(chain_of(s, alone.layer, ids), 1);
    CHECK_NUMBER(alone.size, 3);

    /* Forgotten, it is unknown; the layer stays. */
    CHECK_NUMBER(store_imported_layer_forget(s, "a/c", &f), 0);
    CHECK_NUMBER(store_imported_layer(s, "a/c", &layer, &f), 1);
    CHECK_NUMBER(store_imported_layer(s, "a", &layer, &f), 0);
    CHECK_NUMBER(chain_of(s, other.layer, ids), 2);
    store_close(s);
    temp_dir_remove(&d);
}

static void same_images(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f = {0};
    struct image found, i = new_image("one"), again = new_image("one"),
                        renamed = new_image("two"), untagged = new_image("");
    struct imported_layer l[] = {new_layer(s, "a", 10)};
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:1", &i, &f), 0);
    l[0] = new_layer(s, "a", 10);
    /* With the same tag, or when none is asked for, it is the one that is here;
     * another tag makes another image. */
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:1", &again, &f), 0);
    CHECK_STRING(again.uuid, i.uuid);
    CHECK(l[0].known);
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:1", &untagged, &f), 0);
    CHECK_STRING(untagged.uuid, i.uuid);
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:1", &renamed, &f), 0);
    CHECK(strcmp(renamed.uuid, i.uuid) != 0);
    /* One without a tag gets the next. */
    untagged = new_image("");
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:9", &untagged, &f), 0);
    struct image named = new_image("three");
    CHECK_NUMBER(store_import_add(s, 0, l, 1, "sha256:9", &named, &f), 0);
    CHECK_STRING(named.uuid, untagged.uuid);
    CHECK_NUMBER(store_image_by_tag(s, "three", &found, &f), 0);
    CHECK_STRING(found.uuid, named.uuid);
    image_clear(&found);
    CHECK_NUMBER(store_image_by_config(s, "sha256:1", &found, &f), 0);
    CHECK_NUMBER(found.layer, i.layer);
    image_clear(&found);
    CHECK_NUMBER(store_image_by_config(s, "sha256:2", &found, &f), -1);
    CHECK_NUMBER(f.status, 404);
    /* Other layers, or another config: another image. */
    struct imported_layer more[] = {new_layer(s, "a/b", 1)};
    struct image larger = new_image("one");
    CHECK_NUMBER(store_import_add(s, i.layer, more, 1, "sha256:1", &larger, &f),
                 0);
    CHECK(strcmp(larger.uuid, i.uuid) != 0);
    CHECK_NUMBER(store_image_by_tag(s, "one", &found, &f), 0);
    CHECK_STRING(found.uuid, larger.uuid);
    image_clear(&found);
    store_close(s);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(layers, "layers of imports are shared, and said to be known");
    RUN(same_images,
        "the same image with the same tag is the one that is here");
    return CHECK_DONE();
}
