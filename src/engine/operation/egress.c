/* egress.c: see egress.h. */
#include "operation/egress.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/scope.h"
#include <stdlib.h>

/* The text of an entry without its count. */
static char *key_of(const json_t *data) {
    json_t *copy = json_copy((json_t *)data);
    if (copy)
        json_object_del(copy, "count");
    char *key = copy ? json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(copy);
    return key;
}

int64_t egress_entry_count(const json_t *data) {
    return json_integer_value(json_object_get(data, "count"));
}

static void add(json_t *entry, int64_t more) {
    int64_t count = egress_entry_count(entry);
    count = count < EGRESS_COUNT_MAX ? count + more : count;
    json_object_set_new(entry, "count", json_integer(count));
}

static void count(json_t **list, size_t most, const json_t *data) {
    char *key CLEANUP(cleanup_free) = key_of(data);
    if (!*list)
        *list = json_object();
    if (!key || !*list)
        return;
    json_t *entry = json_object_get(*list, key);
    if (entry)
        add(entry, egress_entry_count(data));
    else if (json_object_size(*list) < most)
        json_object_set_new(*list, key, json_deep_copy(data));
}

void egress_count_denied(struct egress *e, const json_t *data) {
    count(&e->denied, EGRESS_DENIED_MAX, data);
}

void egress_count_tried(struct egress *e, const json_t *data) {
    count(&e->tried, EGRESS_TRIED_MAX, data);
}

void egress_write(struct buffer *b, const char *key, const json_t *list) {
    const char *name;
    json_t *entry;
    json_open(b, key, '[');
    json_object_foreach((json_t *)list, name, entry) {
        json_add_value(b, NULL, entry);
    }
    json_close(b, ']');
}

void egress_clear(struct egress *e) {
    json_decref(e->denied);
    json_decref(e->tried);
    *e = (struct egress){0};
}
