/* test_sign.c: requests that a function of the client signs: which ones wait,
 * what is asked, and what is sent when the answer has come. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include "airlock/policy/signature.h"
#include "check.h"
#include <stdlib.h>

static const char given[] =
    "{\"A\":{\"sign\":true,\"hosts\":[\"a.example\",\"both.example\"]},"
    "\"B\":{\"sign\":true,\"digest\":true,\"hosts\":[\"both.example\"]}}";

static struct secrets secrets;
static struct policy *policy;

static const struct target to_a = {.name = "a.example", .port = 443},
                           to_both = {.name = "both.example", .port = 443},
                           to_c = {.name = "c.example", .port = 443};

static int parse(struct secrets *out, const char *text, struct fault *f) {
    json_t *object = json_loads(text, 0, NULL);
    int rc = secrets_parse(out, object, "secrets", f);
    json_decref(object);
    return rc;
}

/* ---- secrets ---- */

static void refuses(const char *text, const char *words) {
    struct secrets s;
    struct fault f = {0};
    CHECK(parse(&s, text, &f) < 0 && f.status == 422);
    if (!strstr(f.message, words)) {
        CHECK_STRING(f.message, words);
    }
}

static void test_secrets(void) {
    size_t at = 0;
    CHECK_NUMBER(secrets.list[0].length, SIGNED_LENGTH);
    CHECK_NUMBER(strlen(secrets.list[0].placeholder), SIGNED_LENGTH);
    CHECK(!secrets.list[0].value && secrets.list[1].digests);
    CHECK(secrets_want(&secrets, &to_a) && !secrets_want(&secrets, &to_c));
    CHECK_STRING(secrets_signer(&secrets, &to_both, &at)->name, "A");
    CHECK_STRING(secrets_signer(&secrets, &to_both, &at)->name, "B");
    CHECK(!secrets_signer(&secrets, &to_both, &at));
    refuses("{\"A\":{\"hosts\":[\"a\"]}}", "secrets.A needs value, or sign");
    refuses("{\"A\":{\"sign\":1,\"hosts\":[\"a\"]}}", "sign must be true");
    refuses("{\"A\":{\"sing\":true,\"hosts\":[\"a\"]}}",
            "did you mean \"sign\"");
    refuses("{\"A\":{\"sign\":true,\"value\":\"0123456789abcdef\","
            "\"hosts\":[\"a\"]}}",
            "cannot have value");
    refuses("{\"A\":{\"sign\":true,\"header\":\"X\",\"hosts\":[\"a\"]}}",
            "cannot have header");
    refuses("{\"A\":{\"sign\":true,\"digest\":1,\"hosts\":[\"a\"]}}",
            "digest must be");
    refuses("{\"A\":{\"digest\":true,\"value\":\"0123456789abcdef\","
            "\"hosts\":[\"a\"]}}",
            "digest needs sign");
}

/* Its placeholder means nothing at its hosts, and has no place elsewhere. */
static void test_placeholder(void) {
    char text[128];
    const char *mark = secrets.list[0].placeholder;
    snprintf(text, sizeof text, "x %s", mark);
    CHECK(secrets_insert(&secrets, &to_a, IN_HEADERS, "X", text,
                         strlen(text)) == REFUSED_NOT);
    CHECK(strstr(text, mark) != NULL);
    CHECK(secrets_insert(&secrets, &to_c, IN_HEADERS, "X", text,
                         strlen(text)) == REFUSED_SECRET);
    secrets_remove(&secrets, text, strlen(text));
    CHECK(strstr(text, mark) != NULL);
}

/* ---- answers ---- */

static bool is_right(const char *text) {
    struct fault f = {0};
    json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);
    int rc = signature_check(answer, &f);
    CHECK(rc == 0 || f.status == 422);
    json_decref(answer);
    return rc == 0;
}

static void test_answers(void) {
    CHECK(is_right("{\"headers\":{}}"));
    CHECK(is_right("{\"headers\":{\"Authorization\":\"x y\",\"X\":null}}"));
    CHECK(!is_right("{}"));
    CHECK(!is_right("{\"headers\":[]}"));
    CHECK(!is_right("{\"headers\":{\"\":\"x\"}}"));
    CHECK(!is_right("{\"headers\":{\"a b\":\"x\"}}"));
    CHECK(!is_right("{\"headers\":{\"A:\":\"x\"}}"));
    CHECK(!is_right("{\"headers\":{\"A\":1}}"));
    CHECK(!is_right("{\"headers\":{\"A\":\"x\\r\\nHost: evil\"}}"));
    CHECK(!is_right("{\"headers\":{\"A\":\"x\\u0000y\"}}"));
    static const char *const fixed[] = {
        "host",       "Content-Length", "TRANSFER-ENCODING",
        "Connection", "Upgrade",        "Expect"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"headers\":{\"%s\":\"x\"}}", fixed[i]);
        CHECK(!is_right(text));
        snprintf(text, sizeof text, "{\"headers\":{\"%s\":null}}", fixed[i]);
        CHECK(!is_right(text));
    }
    char long_one[SIGNATURE_VALUE_MAX + 64];
    snprintf(long_one, sizeof long_one, "{\"headers\":{\"A\":\"%0*d\"}}",
             SIGNATURE_VALUE_MAX + 1, 0);
    CHECK(!is_right(long_one));
}

/* ---- requests ---- */

struct passed {
    enum http_state state;
    enum refusal why;
    int asked;
    char out[8192], told[4096]; /* what was passed on; what was asked last */
};

/* Sends a text in pieces, and answers all that is asked. */
static struct passed pass(const struct target *t, const char *text, size_t size,
                          const char *answer) {
    struct passed p = {.state = HTTP_GOES_ON};
    struct http *h = http_make(policy, t);
    size_t length = strlen(text);
    json_t *object = answer ? json_loads(answer, 0, NULL) : NULL;
    struct buffer b;
    http_use_secrets(h, &secrets);
    buffer_init(&b, 2 << 20);
    for (size_t at = 0; at < length && p.state == HTTP_GOES_ON; at += size) {
        p.state = http_take(h, text + at,
                            length - at < size ? length - at : size, &b);
        while (p.state == HTTP_SIGNS) {
            struct buffer told;
            buffer_init(&told, 4096);
            CHECK(http_write_unsigned(h, "https", &told));
            snprintf(p.told, sizeof p.told, "%s %s", http_signer(h),
                     told.data ? told.data : "");
            buffer_free(&told);
            p.asked++;
            p.state = http_sign(h, object, &b);
        }
    }
    p.why = http_refusal(h).why;
    snprintf(p.out, sizeof p.out, "%.*s", (int)b.length, b.data ? b.data : "");
    buffer_free(&b);
    http_free(h);
    json_decref(object);
    return p;
}

#define HOST_A "Host: a.example\r\n"
#define PLAIN "Accept-Encoding: identity\r\n\r\n"

static void test_requests(void) {
    static const char in[] =
        "POST /p?q=1 HTTP/1.1\r\n" HOST_A "X-A: 1\r\nAuthorization: no\r\n"
        "x-a:  2 \r\nContent-Length: 3\r\n\r\nabc"
        "GET / HTTP/1.1\r\n" HOST_A "\r\n";
    static const char out[] =
        "POST /p?q=1 HTTP/1.1\r\n" HOST_A
        "Content-Length: 3\r\nAuthorization: yes\r\n" PLAIN "abc"
        "GET / HTTP/1.1\r\n" HOST_A "Authorization: yes\r\n" PLAIN;
    for (size_t size = 1; size < sizeof in; size++) {
        struct passed p =
            pass(&to_a, in, size,
                 "{\"headers\":{\"authorization\":\"yes\",\"X-A\":null}}");
        CHECK(p.state == HTTP_GOES_ON && p.asked == 2);
        /* The name is written as it was answered. */
        char *name = strstr(p.out, "authorization");
        while (name) {
            *name = 'A';
            name = strstr(p.out, "authorization");
        }
        CHECK_STRING(p.out, out);
    }
    CHECK_NUMBER(
        pass(&to_c, "GET / HTTP/1.1\r\nHost: c.example\r\n\r\n", 99, NULL)
            .asked,
        0);
}

static void test_asked(void) {
    struct passed p = pass(&to_a,
                           "PUT /a/b?c=%20d HTTP/1.1\r\n" HOST_A
                           "X: \"q\" \r\nContent-Length: 0\r\n\r\n",
                           999, "{\"headers\":{}}");
    CHECK_STRING(p.told,
                 "A \"request\":{\"method\":\"PUT\",\"scheme\":\"https\","
                 "\"host\":\"a.example\",\"port\":443,\"path\":\"/a/b\","
                 "\"query\":\"c=%20d\",\"headers\":[[\"Host\",\"a.example\"],"
                 "[\"X\",\"\\\"q\\\"\"],[\"Content-Length\",\"0\"]]},");
    CHECK(strstr(p.out, "X: \"q\"") != NULL);
}

/* A body that is to be digested is sent when it was signed, as one piece. */
static void test_digests(void) {
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
                              "b410ff61f20015ad";
    static const char in[] = "PUT / HTTP/1.1\r\nHost: both.example\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"
                             "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
                             "GET / HTTP/1.1\r\nHost: both.example\r\n\r\n";
    static const char out[] =
        "PUT / HTTP/1.1\r\nHost: both.example\r\nTransfer-Encoding: chunked\r\n"
        "S: s\r\n" PLAIN "3\r\nabc\r\n0\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: both.example\r\nS: s\r\n" PLAIN;
    for (size_t size = 1; size < sizeof in; size++) {
        struct passed p =
            pass(&to_both, in, size, "{\"headers\":{\"S\":\"s\"}}");
        CHECK(p.state == HTTP_GOES_ON && p.asked == 4);
        CHECK_STRING(p.out, out);
    }
    struct passed p = pass(&to_both,
                           "PUT / HTTP/1.1\r\nHost: both.example\r\n"
                           "Content-Length: 3\r\n\r\nabc",
                           7, "{\"headers\":{}}");
    CHECK(strncmp(p.told, "B ", 2) == 0 && strstr(p.told, abc) != NULL);
    CHECK(strstr(p.out, "\r\n\r\nabc") != NULL);
}

static void test_refused(void) {
    static const char in[] = "GET / HTTP/1.1\r\n" HOST_A "\r\n";
    static const char *const answers[] = {
        NULL, "{}", "{\"headers\":{\"Host\":\"b.example\"}}",
        "{\"headers\":{\"A\":\"x\\ny\"}}"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct passed p = pass(&to_a, in, 99, answers[i]);
        CHECK(p.state == HTTP_REFUSED && p.why == REFUSED_SIGN);
        CHECK_STRING(p.out, "");
    }
    /* What is refused anyway is not asked for. */
    struct passed p = pass(&to_a, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
                           99, "{\"headers\":{}}");
    CHECK(p.state == HTTP_REFUSED && p.why == REFUSED_HOST && p.asked == 0);
}

/* A body has an end, while it is held. */
static void test_limit(void) {
    size_t size = HTTP_DIGESTED_MAX + 1;
    char *in = malloc(size + 256);
    int head = snprintf(in, 256,
                        "PUT / HTTP/1.1\r\nHost: both.example\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        size);
    memset(in + head, 'x', size);
    in[(size_t)head + size] = 0;
    struct passed p = pass(&to_both, in, 16 << 10, "{\"headers\":{}}");
    CHECK(p.state == HTTP_REFUSED && p.why == REFUSED_LIMIT && p.asked == 0);
    free(in);
}

int main(void) {
    struct fault f;
    json_t *rules = json_loads("{\"allow\":[\"*.example\"]}", 0, NULL);
    policy = policy_parse(rules, "", &f);
    json_decref(rules);
    CHECK(policy && parse(&secrets, given, &f) == 0);
    RUN(test_secrets, "secrets without a value");
    RUN(test_placeholder, "their placeholders");
    RUN(test_answers, "what may be answered");
    RUN(test_requests, "requests wait, in pieces of each size");
    RUN(test_asked, "what is asked");
    RUN(test_digests, "bodies that are digested");
    RUN(test_refused, "no signature, no request");
    RUN(test_limit, "a body that is held has an end");
    secrets_clear(&secrets);
    policy_free(policy);
    return CHECK_DONE();
}
