/* test_http.c: requests that a sandbox sends: what is passed on, and how. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include "check.h"
#include "seed.h"
#include <stdlib.h>

static const char rules[] =
    "{\"allow\":[\"a.example\",{\"host\":\"r.example\",\"methods\":[\"GET\"],"
    "\"paths\":[\"/v1/**\"]}]}";

static struct policy *policy;

struct outcome {
    enum http_state state;
    struct http_refusal why;
    char method[32];
    char text[4096]; /* passed on */
};

static void note(struct outcome *o, struct http *h, struct buffer *out) {
    o->why = http_refusal(h);
    snprintf(o->method, sizeof o->method, "%s",
             o->why.method ? o->why.method : "");
    snprintf(o->text, sizeof o->text, "%.*s", (int)out->length,
             out->data ? out->data : "");
}

/* Sends a text in pieces of `size` bytes. */
static struct outcome send_in(const char *name, const char *text, size_t size) {
    struct target t = {.name = name, .port = 80};
    struct outcome o = {.state = HTTP_GOES_ON};
    struct http *h = http_make(policy, &t);
    struct buffer out;
    size_t length = strlen(text);
    buffer_init(&out, 1 << 20);
    for (size_t at = 0; at < length && o.state == HTTP_GOES_ON; at += size)
        o.state = http_take(h, text + at,
                            length - at < size ? length - at : size, &out);
    note(&o, h, &out);
    buffer_free(&out);
    http_free(h);
    return o;
}

static struct outcome send_all(const char *name, const char *text) {
    return send_in(name, text, 1 << 20);
}

#define HOST "Host: a.example\r\n"

static void test_passed_on(void) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\n" HOST "\r\n"},
        {"GET / HTTP/1.0\r\n" HOST "\r\n", "GET / HTTP/1.0\r\n" HOST "\r\n"},
        {"\r\nGET /a?b HTTP/1.1\nHost:  A.Example.:80 \nX:\n\n",
         "GET /a?b HTTP/1.1\r\nHost: A.Example.:80 \r\nX: \r\n\r\n"},
        {"GET http://a.example/x HTTP/1.1\r\n" HOST "\r\n",
         "GET /x HTTP/1.1\r\n" HOST "\r\n"},
        {"GET http://A.example:80?q HTTP/1.1\r\n" HOST "\r\n",
         "GET /?q HTTP/1.1\r\n" HOST "\r\n"},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET /y "
         "HTTP/1.1\r\n" HOST "\r\n",
         "POST /x HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET /y "
         "HTTP/1.1\r\n" HOST "\r\n"},
        {"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\nGET / HTTP/1.1\r\n" HOST
         "\r\n",
         "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings, "
         "keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAA\r\n"
         "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
         "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n\r\n"
         "GET /2 HTTP/1.1\r\n" HOST "\r\n"},
        {"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" HOST
         "\r\n",
         "GET / HTTP/1.1\r\n" HOST "\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = send_all("a.example", cases[i].in);
        CHECK(o.state == HTTP_GOES_ON);
        CHECK_STRING(o.text, cases[i].out);
        CHECK(send_in("a.example", cases[i].in, 7).state == HTTP_GOES_ON);
    }
}

static void test_refused(void) {
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", "host"},
        {"GET / HTTP/1.1\r\n\r\n", "host"},
        {"GET / HTTP/1.0\r\n\r\n", "host"},
        {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", "host"},
        {"GET / HTTP/1.1\r\nHost: a.example:81\r\n\r\n", "host"},
        {"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", "host"},
        {"GET / HTTP/1.1\r\nHost: x@a.example\r\n\r\n", "host"},
        {"GET http://b.example/ HTTP/1.1\r\n" HOST "\r\n", "host"},
        {"GET http://a.example@b.example/ HTTP/1.1\r\n" HOST "\r\n", "host"},
        {"GET http://u@a.example/ HTTP/1.1\r\n" HOST "\r\n", "host"},
        {"GET https://a.example/ HTTP/1.1\r\n" HOST "\r\n", "host"},
        {"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "host"},
        {"CONNECT a.example:80 HTTP/1.1\r\n" HOST "\r\n", "method"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
         "protocol"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "protocol"},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", "protocol"},
        {"GET /\r\n\r\n", "protocol"},
        {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
         "Content-Length: 3\r\n\r\n0\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n"
         "\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n", "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: x, chunked\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, x\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", "protocol"},
        {"GET /#x HTTP/1.1\r\n" HOST "\r\n", "protocol"},
        /* Names that http-parser takes for others. */
        {"GET / HTTP/1.1\r\n" HOST "Transfer-EncodingX: chunked\r\n\r\n",
         "protocol"},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length : 3\r\n\r\nabc", "protocol"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = send_all("a.example", cases[i].text);
        CHECK(o.state == HTTP_REFUSED);
        CHECK_STRING(refusal_name(o.why.why), cases[i].why);
        CHECK_STRING(o.text, "");
        if (o.state != HTTP_REFUSED ||
            strcmp(refusal_name(o.why.why), cases[i].why) != 0)
            printf("# %s\n", cases[i].text);
        o = send_in("a.example", cases[i].text, 3);
        CHECK_STRING(refusal_name(o.why.why), cases[i].why);
    }
}

static void test_later_requests(void) {
    static const char two[] = "GET /1 HTTP/1.1\r\n" HOST "\r\n"
                              "GET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n";
    struct outcome o = send_in("a.example", two, 1);
    CHECK(o.state == HTTP_REFUSED);
    CHECK_STRING(o.text, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
    o = send_all("a.example", two);
    CHECK(o.state == HTTP_REFUSED);
    CHECK_STRING(o.text, "");
    o = send_all("a.example", "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 1"
                              "\r\n\r\nxGEX");
    CHECK(o.state == HTTP_REFUSED);
}

static void test_nul(void) {
    static const char text[] =
        "GET / HTTP/1.1\r\n" HOST "Connection: \0, upgrade\r\n\r\n";
    struct target t = {.name = "a.example", .port = 80};
    struct http *h = http_make(policy, &t);
    struct buffer out;
    buffer_init(&out, 1 << 20);
    CHECK(http_take(h, text, sizeof text - 1, &out) == HTTP_REFUSED);
    CHECK_NUMBER(out.length, 0);
    buffer_free(&out);
    http_free(h);
}

static void test_rules(void) {
    struct outcome o =
        send_all("r.example", "GET /v1/x HTTP/1.1\r\nHost: r.example\r\n\r\n");
    CHECK(o.state == HTTP_GOES_ON);
    o = send_all("r.example",
                 "POST /v1/x?y HTTP/1.1\r\nHost: r.example\r\n\r\n");
    CHECK_STRING(refusal_name(o.why.why), "method");
    CHECK_STRING(o.method, "POST");
    CHECK_NUMBER(o.why.path_length, 5);
    o = send_all("r.example", "GET /v2 HTTP/1.1\r\nHost: r.example\r\n\r\n");
    CHECK_STRING(refusal_name(o.why.why), "path");
}

static void test_other_protocols(void) {
    static const char *const texts[] = {
        "SSH-2.0-x\r\n", "*1\r\n$4\r\nPING\r\n", "get key\r\n",
        "PING\r\n",      "{\"json\":1}\n",       "\x01\x02\x03\x04"};
    for (int i = 0; i < 6; i++)
        CHECK(send_all("a.example", texts[i]).state == HTTP_NOT);
    CHECK(send_in("a.example", "GETTY / \r\n", 1).state == HTTP_NOT);
}

static void test_limit(void) {
    char text[2 * HTTP_HEAD_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /", 5);
    text[sizeof text - 1] = '\0';
    struct outcome o = send_in("a.example", text, 4096);
    CHECK_STRING(refusal_name(o.why.why), "limit");
}

/* Whatever is sent, a head that is passed on is for the host. */
static void test_random(void) {
    static const char *const parts[] = {"GET ",
                                        "POST ",
                                        "/",
                                        " HTTP/1.1",
                                        "\r\n",
                                        "\n",
                                        "Host: ",
                                        ":",
                                        " ",
                                        "a.example",
                                        "evil",
                                        "\r",
                                        "Host",
                                        "\t",
                                        "3",
                                        "Content-Length: ",
                                        "chunked",
                                        "http://",
                                        "Transfer-Encoding: ",
                                        "0\r\n\r\n",
                                        "GET / HTTP/1.1\r\n" HOST "\r\n"};
    int passed = 0;
    seed_begin();
    for (int i = 0; i < seed_count(30000); i++) {
        char text[1024] = "GET / HTTP/1.1\r\n" HOST;
        size_t length = seed_below(2) ? strlen(text) : 0;
        for (int k = seed_below(24); k >= 0; k--) {
            const char *part = parts[seed_below(21)];
            length += (size_t)snprintf(text + length, sizeof text - length,
                                       "%s", part);
        }
        struct outcome o =
            send_in("a.example", text, (size_t)seed_below(40) + 1);
        if (!o.text[0])
            continue;
        passed++;
        CHECK(strcasestr(o.text, "\nHost: a.example") != NULL);
        if (strcasestr(o.text, "\nHost: evil")) {
            CHECK(false);
            printf("# %s\n---\n%s\n", text, o.text);
        }
    }
    CHECK(passed > 0);
}

int main(void) {
    json_t *object = json_loads(rules, 0, NULL);
    struct fault f = {0};
    policy = policy_parse(object, "", &f);
    json_decref(object);
    if (!policy) {
        printf("# %s\n", f.message);
        return 1;
    }
    RUN(test_passed_on, "requests are written anew");
    RUN(test_refused, "what is refused, and why");
    RUN(test_later_requests, "later requests of a connection");
    RUN(test_nul, "a header with a NUL");
    RUN(test_rules, "methods and paths");
    RUN(test_other_protocols, "other protocols are told apart");
    RUN(test_limit, "a head has an end");
    RUN(test_random, "random requests");
    policy_free(policy);
    return CHECK_DONE();
}
