/* json.c: what is written is JSON, and read again the same: any bytes as text,
 * as the name of a file, as a stream. The first byte chooses the writer. */
#include "base/json.h"
#include "../input.h"
#include "base/url.h"

static json_t *read_back(struct buffer *b) {
    json_error_t error;
    json_close(b, '}');
    json_end(b);
    HOLDS(!b->failed);
    json_t *object = json_loadb(b->data, b->length, JSON_ALLOW_NUL, &error);
    HOLDS(object);
    buffer_free(b);
    return object;
}

static bool is_string(const json_t *v, const char *bytes, size_t size) {
    return json_string_length(v) == size &&
           memcmp(json_string_value(v), bytes, size) == 0;
}

static void check_text(struct buffer *b, const char *bytes, size_t size) {
    json_add_text(b, "text", bytes, size);
    json_t *object = read_back(b);
    const json_t *text = json_object_get(object, "text");
    HOLDS(json_is_string(text));
    HOLDS(is_string(text, bytes, size) == json_is_utf8(bytes, size));
    json_decref(object);
}

static void check_stream(struct buffer *b, const char *bytes, size_t size) {
    char *data;
    size_t length;
    json_open(b, "stream", '{');
    json_add_stream(b, bytes, size);
    json_close(b, '}');
    json_add_base64(b, "again", bytes, size);
    json_t *object = read_back(b), *stream = json_object_get(object, "stream");
    const json_t *again = json_object_get(object, "again");
    HOLDS(stream_decode(json_string_value(json_object_get(stream, "value")),
                        json_string_value(json_object_get(stream, "encoding")),
                        &data, &length));
    HOLDS(length == size && memcmp(data, bytes, size) == 0);
    free(data);
    HOLDS(stream_decode(json_string_value(again), "base64", &data, &length));
    HOLDS(length == size && memcmp(data, bytes, size) == 0);
    free(data);
    json_decref(object);
}

static void check_name(struct buffer *b, const char *name) {
    json_add_name(b, "name", name);
    json_t *object = read_back(b);
    char *got = strdup(json_string_value(json_object_get(object, "name")));
    HOLDS(got);
    if (json_object_get(object, "name_encoding"))
        HOLDS(percent_decode(got, false));
    HOLDS(strcmp(got, name) == 0);
    free(got);
    json_decref(object);
}

/* Base64 that is accepted is what would be written, but for its padding. */
static void check_decoding(struct buffer *b, const char *text) {
    char *data;
    size_t length;
    if (!stream_decode(text, "base64", &data, &length))
        return;
    json_add_base64(b, "again", data, length);
    json_t *object = read_back(b);
    const char *again = json_string_value(json_object_get(object, "again"));
    size_t size = strlen(text);
    HOLDS(size < 4 ||
          (strlen(again) >= size - 3 && strncmp(again, text, size - 4) == 0));
    free(data);
    json_decref(object);
}

static void check_parsing(struct buffer *b, const char *text, size_t size) {
    struct fault f;
    json_t *value = json_parse(text, size, &f);
    if (!value) {
        HOLDS(f.status == 400 || f.status == 413);
        return;
    }
    HOLDS(json_is_object(value));
    json_add_value(b, "value", value);
    json_t *object = read_back(b);
    HOLDS(json_equal(value, json_object_get(object, "value")));
    json_decref(object);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct buffer b;
    int kind = input_byte(&in) % 5;
    size_t length = 0;
    char *bytes = kind == 2 || kind == 3 ? input_text(&in, '\0')
                                         : input_rest(&in, &length);
    buffer_init(&b, 1 << 20);
    json_open(&b, NULL, '{');
    if (kind == 0)
        check_text(&b, bytes, length);
    else if (kind == 1)
        check_stream(&b, bytes, length);
    else if (kind == 2)
        check_name(&b, bytes);
    else if (kind == 3)
        check_decoding(&b, bytes);
    else
        check_parsing(&b, bytes, length);
    buffer_free(&b);
    free(bytes);
    return 0;
}
