/* merge.c: merged texts obey the laws of a merge: one side alone wins, both
 * sides are alike, and what is merged has nothing that no text has. The input
 * is three texts with a zero between. */
#include "../input.h"
#include "merge/text.h"

enum { MERGED, CONFLICT };

static int merge(struct merge_text base, struct merge_text ours,
                 struct merge_text theirs, struct buffer *out) {
    struct fault f;
    buffer_init(out, 1 << 20);
    int result = merge_texts(base, ours, theirs, out, &f);
    HOLDS(result >= 0);
    return result == 1 ? MERGED : CONFLICT;
}

static bool is(const struct buffer *b, struct merge_text t) {
    return b->length == t.size &&
           (t.size == 0 || memcmp(b->data, t.data, t.size) == 0);
}

static void must_be(struct merge_text base, struct merge_text ours,
                    struct merge_text theirs, struct merge_text want) {
    struct buffer out;
    HOLDS(merge(base, ours, theirs, &out) == MERGED);
    HOLDS(is(&out, want));
    buffer_free(&out);
}

static struct merge_text take(struct input *in) {
    char *text = input_text(in, '\0');
    return (struct merge_text){text, strlen(text)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct merge_text a = take(&in), b = take(&in), c = take(&in);
    struct buffer one, other;
    must_be(a, a, b, b);
    must_be(a, b, a, b);
    must_be(a, b, b, b);
    int result = merge(a, b, c, &one);
    HOLDS(merge(a, c, b, &other) == result);
    if (result == MERGED) {
        const struct merge_text merged = {one.data, one.length};
        HOLDS(is(&other, merged));
        HOLDS(one.length <= a.size + b.size + c.size);
    }
    buffer_free(&one);
    buffer_free(&other);
    free((char *)a.data);
    free((char *)b.data);
    free((char *)c.data);
    return 0;
}
