/* test_secrets.c: secrets in requests and in what is answered. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include "airlock/policy/secrets.h"
#include "base/json.h"
#include "check.h"
#include <openssl/evp.h>
#include <stdlib.h>

#define VALUE "s3cret/value+16="
#define MARK "contreeplacehol1" /* as long */
#define PLAIN "plain-value-4567"
#define OTHER "contreeplacehol2"

static const char given[] =
    "{\"TOKEN\":{\"value\":\"" VALUE "\",\"placeholder\":\"" MARK
    "\",\"hosts\":[\"a.example\",\"a.example:80\"],\"in\":[\"header\","
    "\"body\"]},"
    "\"KEY\":{\"value\":\"" PLAIN "\",\"placeholder\":\"" OTHER
    "\",\"hosts\":[\"*.q.example\"],\"header\":\"X-Key\",\"in\":[\"header\","
    "\"query\"]}}";

static const struct target to_a = {.name = "a.example", .port = 443};
static const struct target to_q = {.name = "x.q.example", .port = 443};
static const struct target to_b = {.name = "b.example", .port = 443};

static struct secrets secrets;

static int parse(struct secrets *s, const char *text, struct fault *f) {
    json_t *object = json_loads(text, 0, NULL);
    int rc = secrets_parse(s, object, "secrets", f);
    json_decref(object);
    return rc;
}

/* ---- reading ---- */

static void test_made(void) {
    struct secrets s, again;
    struct fault f;
    CHECK(parse(&s,
                "{\"T\":{\"value\":\"" VALUE VALUE "\",\"hosts\":[\"a.b\"]}}",
                &f) == 0);
    CHECK(parse(&again,
                "{\"T\":{\"value\":\"" VALUE VALUE "\",\"hosts\":[\"a.b\"]}}",
                &f) == 0);
    const char *p = s.list[0].placeholder;
    CHECK(strlen(p) == strlen(VALUE VALUE));
    CHECK(strspn(p, "abcdefghijklmnopqrstuvwxyz234567") == strlen(p));
    CHECK(strcmp(p, again.list[0].placeholder) != 0);
    secrets_clear(&s);
    secrets_clear(&again);
    CHECK(parse(&s, "null", &f) == 0 && s.count == 0);
    secrets_clear(&s);
}

static void test_refused(void) {
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[]", "secrets must be an object"},
        {"{\"9\":{}}", "\"9\" is no name of a variable"},
        {"{\"a-b\":{}}", "is no name of a variable"},
        {"{\"T\":5}", "secrets.T must be an object"},
        {"{\"T\":{}}", "secrets.T needs value, or sign"},
        {"{\"T\":{\"value\":5}}", "secrets.T.value must be a string"},
        {"{\"T\":{\"value\":\"tooshort\",\"hosts\":[\"a\"]}}",
         "secrets.T.value must have 16 to 8192 bytes"},
        {"{\"T\":{\"value\":\"0123456789abcde\\n\",\"hosts\":[\"a\"]}}",
         "control character"},
        {"{\"T\":{\"value\":\"0123456789abc\\u0000de\",\"hosts\":[\"a\"]}}",
         "is no JSON"},
        {"{\"T\":{\"value\":\"" VALUE "\"}}", "secrets.T.hosts must be"},
        {"{\"T\":{\"value\":\"" VALUE "\",\"hosts\":[]}}",
         "secrets.T.hosts is empty"},
        {"{\"T\":{\"value\":\"" VALUE "\",\"hosts\":[\"10.0.0.0/8\"]}}",
         "secrets.T.hosts[0]: a secret goes to hosts with a name"},
        {"{\"T\":{\"value\":\"" VALUE
         "\",\"hosts\":[\"a\"],\"header\":\"a b\"}}",
         "secrets.T.header must be the name of a header"},
        {"{\"T\":{\"value\":\"" VALUE
         "\",\"hosts\":[\"a\"],\"in\":[\"cookie\"]}}",
         "secrets.T.in must be"},
        {"{\"T\":{\"value\":\"" VALUE
         "\",\"hosts\":[\"a\"],\"in\":[\"query\"]}}",
         "cannot stand in a query"},
        {"{\"T\":{\"value\":\"" VALUE "\",\"hosts\":[\"a\"],\"heder\":\"X\"}}",
         "secrets.T has no member \"heder\"; did you mean \"header\"?"},
        {"{\"T\":{\"sign\":1,\"hosts\":[\"a\"]}}", "T.sign must be true"},
        {"{\"T\":{\"sign\":true,\"value\":\"" VALUE "\",\"hosts\":[\"a\"]}}",
         "secrets.T has sign, so it cannot have value"},
        {"{\"T\":{\"sign\":true,\"header\":\"X\",\"hosts\":[\"a\"]}}",
         "secrets.T has sign, so it cannot have header"},
        {"{\"T\":{\"sign\":true,\"in\":[\"body\"],\"hosts\":[\"a\"]}}",
         "secrets.T has sign, so it cannot have in"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct secrets s;
        struct fault f = {0};
        json_t *object = json_loads(cases[i].text, 0, NULL);
        if (!object) /* JSON itself has no such string */
            continue;
        CHECK(secrets_parse(&s, object, "secrets", &f) < 0);
        CHECK(f.status == 422);
        if (!strstr(f.message, cases[i].words))
            printf("# %s\n", f.message);
        CHECK(strstr(f.message, cases[i].words) != NULL);
        CHECK(strstr(f.message, VALUE) == NULL);
        CHECK(s.count == 0 && s.list == NULL);
        json_decref(object);
    }
}

static void test_written(void) {
    struct secrets s, again;
    struct fault f;
    struct buffer b;
    static const char text[] = "{\"T\":{\"value\":\"" VALUE
                               "\",\"hosts\":[\"a.b:8443\"]},\"U\":{\"value\":"
                               "\"" PLAIN "\",\"hosts\":[\"c\"]}}";
    json_t *object = json_loads(text, 0, NULL);
    CHECK(secrets_parse(&s, object, "secrets", &f) == 0);
    buffer_init(&b, 65536);
    buffer_addf(&b, "{");
    secrets_write(&s, &b, object);
    buffer_addf(&b, "}");
    CHECK(parse(&again, b.data, &f) == 0);
    CHECK(again.count == 2);
    for (size_t i = 0; i < 2; i++) {
        CHECK(strcmp(s.list[i].placeholder, again.list[i].placeholder) == 0);
        CHECK(strcmp(s.list[i].value, again.list[i].value) == 0);
    }
    buffer_free(&b);
    secrets_clear(&s);
    secrets_clear(&again);
    json_decref(object);
}

/* ---- texts ---- */

static bool becomes(const struct target *t, enum secret_place place,
                    const char *header, const char *in, const char *out) {
    char text[256];
    snprintf(text, sizeof text, "%s", in);
    enum refusal why =
        secrets_insert(&secrets, t, place, header, text, strlen(text));
    return out ? why == REFUSED_NOT && strcmp(text, out) == 0
               : why == REFUSED_SECRET;
}

static void test_places(void) {
    CHECK(secrets_want(&secrets, &to_a) && secrets_want(&secrets, &to_q));
    CHECK(!secrets_want(&secrets, &to_b));
    const struct target other_port = {.name = "a.example", .port = 8443};
    CHECK(!secrets_want(&secrets, &other_port));
    CHECK(becomes(&to_a, IN_HEADERS, "Authorization", "Bearer " MARK,
                  "Bearer " VALUE));
    CHECK(becomes(&to_a, IN_HEADERS, "X", MARK " " MARK, VALUE " " VALUE));
    CHECK(becomes(&to_a, IN_BODY, NULL, "{" MARK "}", "{" VALUE "}"));
    CHECK(becomes(&to_a, IN_QUERY, NULL, "?t=" MARK, NULL));
    CHECK(becomes(&to_b, IN_HEADERS, "Authorization", "Bearer " MARK, NULL));
    CHECK(becomes(&to_b, IN_HEADERS, "Authorization", "Bearer x", "Bearer x"));
    CHECK(becomes(&to_q, IN_HEADERS, "x-key", OTHER, PLAIN));
    CHECK(becomes(&to_q, IN_HEADERS, "X-Keys", OTHER, NULL));
    CHECK(becomes(&to_q, IN_HEADERS, "x-key", MARK, NULL));
    const struct target address = {.name = NULL, .port = 443};
    CHECK(becomes(&address, IN_HEADERS, "X", MARK, NULL));
}

static void test_basic(void) {
    char in[128] = "Basic ", out[128] = "Basic ";
    for (int user = 0; user < 5; user++) { /* all lengths of padding */
        char login[64];
        int n = snprintf(login, sizeof login, "%.*s:%s", user, "abcde", MARK);
        EVP_EncodeBlock((unsigned char *)in + 6, (unsigned char *)login, n);
        n = snprintf(login, sizeof login, "%.*s:%s", user, "abcde", VALUE);
        EVP_EncodeBlock((unsigned char *)out + 6, (unsigned char *)login, n);
        CHECK(becomes(&to_a, IN_HEADERS, "Authorization", in, out));
        CHECK(becomes(&to_b, IN_HEADERS, "Authorization", in, NULL));
    }
    CHECK(becomes(&to_a, IN_HEADERS, "Authorization", "Basic !!!!",
                  "Basic !!!!"));
    CHECK(becomes(&to_a, IN_HEADERS, "Authorization", "Basic ", "Basic "));
}

/* A server may say a login back as it got it. */
static void test_logins_said_back(void) {
    struct secrets s;
    struct fault f;
    char text[128], in[128], line[256];
    CHECK(parse(&s, given, &f) == 0);
    for (int i = 0; i < LOGINS_MAX + 2; i++) {
        int n = snprintf(text, sizeof text, "u%d:" MARK, i);
        EVP_EncodeBlock((unsigned char *)in, (unsigned char *)text, n);
        n = snprintf(line, sizeof line, "Basic %s", in);
        enum refusal why = secrets_insert(&s, &to_a, IN_HEADERS,
                                          "Authorization", line, (size_t)n);
        /* None is forgotten for another. */
        CHECK(why == (i < LOGINS_MAX ? REFUSED_NOT : REFUSED_LIMIT));
        CHECK((strstr(line, in) == NULL) == (i < LOGINS_MAX));
        if (why != REFUSED_NOT)
            continue;
        char *sent = line + strlen("Basic ");
        CHECK(secrets_remove_so_far(&s, sent, strlen(sent) - 1) ==
              strlen(sent) - 1);
        secrets_remove(&s, line, (size_t)n);
        CHECK(strcmp(sent, in) == 0);
    }
    secrets_clear(&s);
}

static void test_answers(void) {
    char text[] = "a " VALUE VALUE " b " PLAIN;
    secrets_remove(&secrets, text, strlen(text));
    CHECK(strcmp(text, "a " MARK MARK " b " OTHER) == 0);
    char begun[] = "xs3", whole[] = VALUE;
    CHECK(secrets_remove_so_far(&secrets, begun, 3) == 2);
    CHECK(secrets_remove_so_far(&secrets, whole, strlen(whole)) == 0);
    CHECK(strcmp(whole, MARK) == 0);
    CHECK(secrets_partial(&secrets, "x contree", 9) == 7);
    CHECK(secrets_partial(&secrets, "", 0) == 0);
}

/* Of a value that has another one in it nothing may be left, wherever a text is
 * cut. */
static void test_value_in_a_value(void) {
    static const char inner[] = "0123456789abcdef",
                      outer[] = "user:0123456789abcdef@host";
    struct secrets s;
    struct fault f;
    char text[] = "<user:0123456789abcdef@host|0123456789abcdef>";
    CHECK(parse(&s,
                "{\"A\":{\"value\":\"0123456789abcdef\",\"placeholder\":"
                "\"aaaaaaaaaaaaaaaa\",\"hosts\":[\"a.b\"]},"
                "\"B\":{\"value\":\"user:0123456789abcdef@host\","
                "\"placeholder\":\"bbbbbbbbbbbbbbbbbbbbbbbbbb\","
                "\"hosts\":[\"a.b\"]}}",
                &f) == 0);
    for (size_t cut = 1; cut < sizeof text; cut++) {
        char piece[sizeof text];
        memcpy(piece, text, sizeof text);
        size_t waits = secrets_remove_so_far(&s, piece, cut);
        CHECK(waits <= cut &&
              memcmp(piece, "<bbbbbbbbbbbbbbbbbbbbbbbbbb|aaaaaaaaaaaaaaaa>",
                     cut - waits) == 0);
        secrets_remove(&s, piece + cut - waits, sizeof piece - 1 - cut + waits);
        CHECK(!strstr(piece, inner) && !strstr(piece, outer) &&
              !strstr(piece, "@host"));
    }
    secrets_clear(&s);
}

/* ---- requests ---- */

/* What a connection passes on; NULL when it refuses. */
static const char *passes(const struct target *t, const char *text,
                          size_t size) {
    static char out[4096];
    static struct policy *policy;
    struct fault f;
    struct buffer b;
    size_t length = strlen(text);
    if (!policy) {
        json_t *rules =
            json_loads("{\"allow\":[\"*.example\",\"*.q.example\"]}", 0, NULL);
        policy = policy_parse(rules, "", &f);
        json_decref(rules);
    }
    struct http *h = http_make(policy, t);
    enum http_state state = HTTP_GOES_ON;
    http_use_secrets(h, &secrets);
    buffer_init(&b, 1 << 16);
    for (size_t at = 0; at < length && state == HTTP_GOES_ON; at += size)
        state = http_take(h, text + at, length - at < size ? length - at : size,
                          &b);
    snprintf(out, sizeof out, "%s", b.data ? b.data : "");
    bool refused = state == HTTP_REFUSED;
    CHECK(!refused || http_refusal(h).why == REFUSED_SECRET);
    http_free(h);
    buffer_free(&b);
    return refused ? NULL : out;
}

static void test_requests(void) {
    static const char in[] =
        "POST /p HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n"
        "Authorization: Bearer " MARK "\r\nContent-Length: 20\r\n\r\nx=" MARK
        "yz"
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    static const char out[] =
        "POST /p HTTP/1.1\r\nHost: a.example\r\n"
        "Authorization: Bearer " VALUE
        "\r\nContent-Length: 20\r\nAccept-Encoding: identity\r\n\r\nx=" VALUE
        "yz"
        "GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: identity\r\n\r"
        "\n";
    for (size_t size = 1; size < sizeof in; size++) {
        const char *got = passes(&to_a, in, size);
        CHECK(got && strcmp(got, out) == 0);
    }
}

static void test_chunks(void) {
    static const char in[] = "PUT / HTTP/1.1\r\nHost: a.example\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"
                             "9\r\n--contree\r\n9\r\nplacehol1\r\n0\r\n\r\n";
    for (size_t size = 1; size < sizeof in; size++) {
        const char *got = passes(&to_a, in, size);
        CHECK(got && strstr(got, MARK) == NULL);
        CHECK(got && strstr(got, "contree") == NULL);
        CHECK(got && strcmp(got + strlen(got) - 7, "\r\n0\r\n\r\n") == 0);
    }
}

/* One that is for a certain header is refused in others. */
static void test_headers(void) {
    const char *got = passes(&to_q,
                             "GET / HTTP/1.1\r\nHost: x.q.example\r\nx-KEY: "
                             "a " OTHER "\r\n\r\n",
                             7);
    CHECK(got && strstr(got, "\r\nx-KEY: a " PLAIN "\r\n"));
    CHECK(!passes(
        &to_q,
        "GET / HTTP/1.1\r\nHost: x.q.example\r\nX-Keys: " OTHER "\r\n\r\n", 7));
    CHECK(!passes(&to_q,
                  "GET / HTTP/1.1\r\nHost: x.q.example\r\nX-Key: 1\r\nX: " OTHER
                  "\r\n\r\n",
                  7));
}

static void test_queries(void) {
    const char *got = passes(
        &to_q, "GET /a?k=" OTHER " HTTP/1.1\r\nHost: x.q.example\r\n\r\n", 99);
    CHECK(got && strstr(got, "GET /a?k=" PLAIN " ") == got);
    CHECK(!passes(
        &to_q, "GET /" OTHER "?k HTTP/1.1\r\nHost: x.q.example\r\n\r\n", 99));
    CHECK(!passes(&to_b, "GET /?" MARK " HTTP/1.1\r\nHost: b.example\r\n\r\n",
                  99));
    CHECK(!passes(
        &to_b, "GET / HTTP/1.1\r\nHost: b.example\r\nX: " MARK "\r\n\r\n", 99));
    CHECK(!passes(&to_b,
                  "POST / HTTP/1.1\r\nHost: b.example\r\nContent-Length: "
                  "16\r\n\r\n" MARK,
                  7));
}

int main(void) {
    struct fault f;
    CHECK(parse(&secrets, given, &f) == 0);
    RUN(test_made, "placeholders are made");
    RUN(test_refused, "what is no secret");
    RUN(test_written, "the airlock reads what the engine has made");
    RUN(test_places, "hosts and places");
    RUN(test_basic, "logins in base64");
    RUN(test_logins_said_back, "logins that are said back");
    RUN(test_answers, "answers");
    RUN(test_value_in_a_value, "a value that another has in it");
    RUN(test_requests, "requests, in pieces of each size");
    RUN(test_chunks, "a placeholder in two chunks");
    RUN(test_headers, "a placeholder that is for one header");
    RUN(test_queries, "queries, and what is refused");
    secrets_clear(&secrets);
    return CHECK_DONE();
}
