/* index.c: an index of a folder that is damaged in any way is read to its end
 * or less, and what was read is, written again, what it was. */
#include "../input.h"
#include "facts.h"

static void check(const char *data, size_t size) {
    struct index index;
    struct record record;
    struct bytes again = {0};
    if (!index_open(&index, data, size))
        return;
    HOLDS(index_begin(&again, index.stamp));
    while (index_next(&index, &record)) {
        HOLDS(record.path >= data && record.path < data + size);
        HOLDS(strlen(record.path) == record.facts.length);
        HOLDS(index_add(&again, &record.facts, record.path));
    }
    if (size > 0)
        HOLDS(again.length <= size &&
              memcmp(again.data, data, again.length) == 0);
    bytes_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char magic[] = "ctidx01\n";
    struct input in = {data, size};
    size_t length;
    bool headed = input_byte(&in) & 1;
    char *bytes = input_rest(&in, &length);
    if (headed && length >= 8)
        memcpy(bytes, magic, 8);
    check(bytes, length);
    free(bytes);
    return 0;
}
