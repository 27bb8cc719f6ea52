/* sign.c: whatever requests a sandbox sends that a function signs, and whatever
 * that answers, what is passed on is as many requests for the host, each with a
 * head that ends where it ended, and what is told of them is JSON. The input is
 * a byte (how the requests come), an answer in a line, and the requests. */
#define _GNU_SOURCE
#include "../input.h"
#include "airlock/http.h"
#include "airlock/http_internal.h"
#include "airlock/policy/signature.h"
#include "base/json.h"

static const struct target target = {.name = "a.example", .port = 443};
static struct secrets secrets; /* made once */
static struct policy *policy;

static void make(void) {
    struct fault f;
    json_t *object = json_loads(
        "{\"A\":{\"sign\":true,\"hosts\":[\"a.example\"]},"
        "\"B\":{\"sign\":true,\"digest\":true,\"hosts\":[\"a.example\"]}}",
        0, NULL);
    json_t *rules = json_pack("{s:[s]}", "allow", "a.example");
    HOLDS(secrets_parse(&secrets, object, "secrets", &f) == 0);
    policy = policy_parse(rules, "", NULL);
    HOLDS(policy);
    json_decref(object);
    json_decref(rules);
}

/* What the function gets. */
static void check_asked(const struct http *h) {
    struct buffer b;
    buffer_init(&b, 4 << 20);
    json_open(&b, NULL, '{');
    bool told = http_write_unsigned(h, "https", &b);
    json_close(&b, '}');
    json_end(&b);
    json_t *asked = told ? json_loadb(b.data, b.length, 0, NULL) : NULL;
    const json_t *request = json_object_get(asked, "request");
    HOLDS(!told || json_is_object(request));
    if (told)
        HOLDS(strcmp(json_string_value(json_object_get(request, "host")),
                     target.name) == 0);
    HOLDS(strcmp(http_signer(h), "A") == 0 || strcmp(http_signer(h), "B") == 0);
    json_decref(asked);
    buffer_free(&b);
}

/* How many requests are passed on. */
static size_t pass(const char *text, size_t length, size_t piece,
                   const json_t *answer, bool *refused, struct buffer *out) {
    struct http *h = http_make(policy, &target);
    enum http_state state = HTTP_GOES_ON;
    HOLDS(h);
    buffer_init(out, 4 << 20);
    if (answer)
        http_use_secrets(h, &secrets);
    for (size_t at = 0; at < length && state == HTTP_GOES_ON; at += piece) {
        state = http_take(h, text + at,
                          length - at < piece ? length - at : piece, out);
        while (state == HTTP_SIGNS) {
            check_asked(h);
            state = http_sign(h, answer, out);
        }
    }
    *refused = state != HTTP_GOES_ON;
    size_t count = h->requests;
    http_free(h);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct buffer out, again;
    bool refused;
    size_t length;
    if (!policy)
        make();
    size_t piece = 1 + input_byte(&in);
    char *line = input_text(&in, '\n');
    json_t *answer = json_loads(line, JSON_ALLOW_NUL, NULL);
    char *text = input_rest(&in, &length);
    if (!answer)
        answer = json_pack("{s:{s:s}}", "headers", "Authorization", "x");
    size_t count = pass(text, length, piece, answer, &refused, &out);
    if (out.length > 0) {
        size_t read =
            pass(out.data, out.length, out.length, NULL, &refused, &again);
        /* The last one may wait for the rest of its body. */
        HOLDS(!refused && read <= count && read + 1 >= count);
        buffer_free(&again);
    }
    buffer_free(&out);
    json_decref(answer);
    free(line);
    free(text);
    return 0;
}
