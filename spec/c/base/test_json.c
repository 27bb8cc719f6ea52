/* JSON readers and writers. */
#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/scope.h"
#include "check.h"
#include <stdlib.h>

/* Return the written text, which the caller frees. */
static char *finish(struct buffer *b) {
    json_end(b);
    return buffer_take(b);
}

static void test_writing(void) {
    struct buffer b;
    buffer_init(&b, 4096);
    json_open(&b, NULL, '{');
    json_add_string(&b, "a\"b", "x\\\n\t\x01/\x7f");
    json_add_optional(&b, "empty", "");
    json_add_string(&b, "null", NULL);
    json_open(&b, "list", '[');
    json_add_int(&b, NULL, INT64_MIN);
    json_add_bool(&b, NULL, true);
    json_close(&b, ']');
    json_open(&b, "none", '{');
    json_close(&b, '}');
    json_add_number(&b, "n", 0.1);
    json_add_raw(&b, "raw", "[1]", 3);
    json_add_time(&b, "t", 1);
    json_close(&b, '}');
    char *text CLEANUP(cleanup_free) = finish(&b);
    CHECK_STRING(text, "{\"a\\\"b\":\"x\\\\\\n\\t\\u0001/\\u007f\","
                       "\"empty\":null,\"null\":null,"
                       "\"list\":[-9223372036854775808,true],\"none\":{},"
                       "\"n\":0.100000,\"raw\":[1],"
                       "\"t\":\"1970-01-01T00:00:00.000001Z\"}");
}

static void test_invalid_utf8(void) {
    static const struct {
        const char *bytes, *json;
    } cases[] = {
        {"\xc3\xa4", "\"\xc3\xa4\""},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
        {"\xff", "\"\\ufffd\""},
        {"a\xc3", "\"a\\ufffd\""},
        {"\xc0\x80", "\"\\ufffd\\ufffd\""},            /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"\xe2\x82x", "\"\\ufffd\\ufffdx\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer b;
        buffer_init(&b, 256);
        json_add_string(&b, NULL, cases[i].bytes);
        char *text CLEANUP(cleanup_free) = finish(&b);
        CHECK_STRING(text, cases[i].json);
        json_t *parsed = json_loads(text, JSON_DECODE_ANY, NULL);
        CHECK(json_is_string(parsed));
        json_decref(parsed);
    }
}

static void check_stream(const char *data, size_t length, const char *want) {
    struct buffer b;
    buffer_init(&b, 65536);
    json_add_stream(&b, data, length);
    char *text CLEANUP(cleanup_free) = finish(&b);
    CHECK_STRING(text, want);
}

static void test_streams(void) {
    check_stream(NULL, 0, "\"value\":\"\",\"encoding\":\"ascii\"");
    check_stream("a\t\r\n ~", 6,
                 "\"value\":\"a\\t\\r\\n ~\",\"encoding\":\"ascii\"");
    check_stream("\0", 1, "\"value\":\"AA==\",\"encoding\":\"base64\"");
    check_stream("\x7f", 1, "\"value\":\"fw==\",\"encoding\":\"base64\"");
    check_stream("\xc3\xa4z", 3, "\"value\":\"w6R6\",\"encoding\":\"base64\"");
}

/* base64 is written in pieces: try every length around their limits. */
static void test_round_trip(void) {
    char data[7000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 37 + 200);
    for (size_t n = 3060; n < 3090; n++) {
        struct buffer b;
        buffer_init(&b, 65536);
        json_open(&b, NULL, '{');
        json_add_stream(&b, data, n);
        json_close(&b, '}');
        char *text CLEANUP(cleanup_free) = finish(&b);
        json_t *o = json_loads(text, 0, NULL);
        char *back CLEANUP(cleanup_free) = NULL;
        size_t length = 0;
        CHECK(stream_decode(json_string_value(json_object_get(o, "value")),
                            "base64", &back, &length));
        CHECK(length == n && memcmp(back, data, n) == 0);
        json_decref(o);
    }
}

static void test_bad_base64(void) {
    static const char *const bad[] = {
        "A",     "AA",   "AAA",      "A===",  "AA=A", "=AAA",
        "AAAA=", "A AA", "AA==AA==", "AA\n=", "@@@@", "AAA\x01"};
    char *data;
    size_t length;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!stream_decode(bad[i], "base64", &data, &length));
    CHECK(!stream_decode("a", "hex", &data, &length));
    CHECK(stream_decode("", "base64", &data, &length) && length == 0);
    free(data);
    CHECK(stream_decode("\xc3\xa4", "ascii", &data, &length) && length == 2);
    free(data);
}

static void test_parsing(void) {
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "1",
                                      "{} {}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":NaN}",
                                      "{\"a\":123456789012345678901234}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":1e999}"};
    struct fault f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f.status = 0;
        CHECK(!json_parse(bad[i], strlen(bad[i]), &f));
        CHECK_NUMBER(f.status, 400);
    }
    CHECK(!json_parse("{}\0", 3, &f));
    json_t *o = json_parse("{\"a\":[1]}", 9, &f);
    CHECK(o);
    json_decref(o);
}

static void test_fields(void) {
    static const char text[] =
        "{\"s\":\"x\",\"n\":null,\"i\":7,\"r\":7.0,\"h\":7.5,\"b\":true,"
        "\"l\":[\"a\"],\"m\":[1],\"o\":{},\"big\":9007199254740993}";
    struct fault f;
    struct fields r;
    const char *s = "unset";
    const json_t *v = NULL;
    int64_t i = -1;
    bool b = false;
    json_t *o = json_parse(text, sizeof text - 1, &f);
    fields_init(&r, o, "x.");
    CHECK(field_string(&r, "s", &s) && strcmp(s, "x") == 0);
    CHECK(!field_string(&r, "n", &s) && !field_string(&r, "absent", &s));
    CHECK(field_int(&r, "i", 0, 9, &i) && i == 7);
    CHECK(field_int(&r, "r", 0, 9, &i) && i == 7);
    CHECK(field_int(&r, "big", 0, INT64_MAX, &i) && i == 9007199254740993);
    CHECK(field_bool(&r, "b", &b) && b);
    CHECK(field_strings(&r, "l", &v) && field_object(&r, "o", &v));
    CHECK_NUMBER(r.fault.status, 0);
    CHECK(!field_int(&r, "h", 0, 9, &i));
    CHECK_STRING(r.fault.message,
                 "x.h must be an integer from 0 to 9, not 7.5");
    /* The first fault stays. */
    CHECK(!field_string(&r, "i", &s));
    CHECK_STRING(r.fault.message,
                 "x.h must be an integer from 0 to 9, not 7.5");
    fields_init(&r, o, "");
    CHECK(!field_int(&r, "i", 8, 9, &i));
    CHECK_STRING(r.fault.message, "i must be an integer from 8 to 9, not 7");
    fields_init(&r, o, "");
    CHECK(!field_strings(&r, "m", &v));
    CHECK_STRING(r.fault.message,
                 "m must be an array of strings; item 0 is a number");
    fields_init(&r, o, "");
    CHECK(!field_object(&r, "l", &v));
    CHECK_STRING(r.fault.message, "l must be an object, not an array");
    json_decref(o);
}

/* A limit is needed because the loop itself frees what was parsed. */
static void too_many_values(void) {
    struct buffer b;
    struct fault f = {0};
    buffer_init(&b, 16 << 20);
    buffer_addf(&b, "{\"text\":\"\\\"");
    for (int i = 0; i < JSON_VALUES_MAX; i++)
        buffer_add(&b, ",", 1);
    buffer_addf(&b, "\",\"list\":[0");
    size_t length = b.length;
    for (int i = 0; i < JSON_VALUES_MAX - 10; i++)
        buffer_add(&b, ",0", 2);
    buffer_add(&b, "]}", 2);
    json_t *o = json_parse(b.data, b.length, &f);
    CHECK(o != NULL);
    json_decref(o);
    b.length = length;
    for (int i = 0; i < JSON_VALUES_MAX; i++)
        buffer_add(&b, ",0", 2);
    buffer_add(&b, "]}", 2);
    CHECK(!json_parse(b.data, b.length, &f));
    CHECK_NUMBER(f.status, 413);
    buffer_free(&b);
}

int main(void) {
    RUN(test_writing, "members, arrays and escapes are written");
    RUN(test_invalid_utf8, "bytes that are not UTF-8 become U+FFFD");
    RUN(test_streams, "a stream is ascii or base64 by its bytes");
    RUN(test_round_trip, "base64 of any length comes back");
    RUN(test_bad_base64, "what is not base64 is refused");
    RUN(test_parsing, "only one clean JSON object is accepted");
    RUN(test_fields, "fields are read with their types and ranges");
    RUN(too_many_values,
        "F5: more values than the loop can let go of are refused");
    return CHECK_DONE();
}
