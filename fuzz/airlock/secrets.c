/* secrets.c: a secret's value goes nowhere but to its hosts, and its
 * placeholder comes back in its place, whatever is around them. The first
 * bytes choose the place; the rest is a text in which \1 is a placeholder and
 * \2 a value. */
#define _GNU_SOURCE
#include "airlock/policy/secrets.h"
#include "../input.h"

#define VALUE "value-0123456789abcdef"
#define PLACEHOLDER "place-0123456789abcdef"
enum { LENGTH = sizeof VALUE - 1 };

static struct secrets make_secrets(void) {
    struct secrets s;
    struct fault f;
    json_t *object = json_loads(
        "{\"A\":{\"value\":\"" VALUE "\",\"placeholder\":\"" PLACEHOLDER
        "\",\"hosts\":[\"a.example\"],\"in\":[\"header\",\"query\"]}}",
        0, NULL);
    HOLDS(object && secrets_parse(&s, object, "secrets", &f) == 0);
    json_decref(object);
    return s;
}

/* The text with what its marks stand for. */
static struct buffer expand(struct input *in) {
    struct buffer b;
    buffer_init(&b, 1 << 20);
    while (in->left > 0) {
        char c = (char)input_byte(in);
        if (c == 1)
            buffer_add(&b, PLACEHOLDER, LENGTH);
        else if (c == 2)
            buffer_add(&b, VALUE, LENGTH);
        else
            buffer_add(&b, &c, 1);
    }
    return b;
}

static size_t count_of(const char *text, size_t length, const char *what) {
    size_t count = 0;
    const char *end = text + length;
    while ((text = memmem(text, (size_t)(end - text), what, LENGTH))) {
        text += LENGTH;
        count++;
    }
    return count;
}

static void send_to_host(struct secrets *s, uint8_t how, struct buffer *b) {
    static const enum secret_place places[] = {IN_HEADERS, IN_QUERY, IN_BODY,
                                               IN_HEADERS};
    const struct target t = {.name = how & 1 ? "a.example" : "b.example",
                             .port = 443};
    size_t values = count_of(b->data, b->length, VALUE),
           placeholders = count_of(b->data, b->length, PLACEHOLDER);
    enum secret_place place = places[how >> 1 & 3];
    bool allowed = (how & 1) && place != IN_BODY;
    enum refusal r = secrets_insert(
        s, &t, place, place == IN_HEADERS && how & 8 ? "Authorization" : NULL,
        b->data, b->length);
    HOLDS(r == REFUSED_NOT || r == REFUSED_SECRET);
    if (!allowed)
        HOLDS(count_of(b->data, b->length, VALUE) == values);
    if (r == REFUSED_NOT && allowed)
        HOLDS(count_of(b->data, b->length, VALUE) >= values + placeholders);
    if (!allowed && placeholders > 0)
        HOLDS(r == REFUSED_SECRET);
}

static void receive(const struct secrets *s, struct buffer *b) {
    size_t waits = secrets_remove_so_far(s, b->data, b->length);
    HOLDS(waits < LENGTH && waits <= b->length);
    HOLDS(waits == 0 || memcmp(b->data + b->length - waits, VALUE, waits) == 0);
    HOLDS(count_of(b->data, b->length, VALUE) == 0);
    secrets_remove(s, b->data, b->length);
    HOLDS(count_of(b->data, b->length, VALUE) == 0);
}

/* Whether the message has a value, which stands at no other place. */
static bool tells(const char *message, const json_t *object,
                  const struct input *in) {
    const char *name;
    json_t *each;
    json_object_foreach((json_t *)object, name, each) {
        const json_t *member = json_object_get(each, "value");
        const char *value = json_string_value(member);
        size_t length = json_string_length(member);
        const char *at = length < SECRET_MIN
                             ? NULL
                             : memmem(in->at, in->left, value, length);
        if (at &&
            !memmem(at + 1, in->left - (size_t)(at + 1 - (char *)in->at), value,
                    length) &&
            strstr(message, value))
            return true;
    }
    return false;
}

static void parse(const struct input *in) {
    struct fault f;
    struct secrets s;
    json_t *object = json_loadb((const char *)in->at, in->left, 0, NULL);
    if (object && secrets_parse(&s, object, "secrets", &f) < 0)
        HOLDS(f.status == 422 && !tells(f.message, object, in));
    else if (object)
        secrets_clear(&s);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct secrets secrets = make_secrets(); /* it remembers logins */
    uint8_t how = input_byte(&in);
    parse(&in);
    struct buffer b = expand(&in);
    if (b.length > 0 && how & 16)
        send_to_host(&secrets, how, &b);
    else if (b.length > 0)
        receive(&secrets, &b);
    buffer_free(&b);
    secrets_clear(&secrets);
    return 0;
}
