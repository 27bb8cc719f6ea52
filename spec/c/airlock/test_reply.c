/* test_reply.c: what servers answer, without the values of secrets. */
#define _GNU_SOURCE
#include "airlock/reply.h"
#include "check.h"
#include <stdlib.h>

#define VALUE "s3cret/value+16="
#define MARK "contreeplacehol1" /* as long */

static struct secrets secrets;
static const char *heads; /* 'h' for each request that was HEAD */

static bool is_head(void *arg) {
    (void)arg;
    return *heads && *heads++ == 'h';
}

/* What the client gets when the answer comes in pieces of `size`; NULL: it is
 * none. Ends with the connection if `ends`. */
static char *pass(const char *text, size_t size, const char *asked, bool ends) {
    struct reply *r = reply_make(&secrets, is_head, NULL);
    struct buffer out;
    buffer_init(&out, 1 << 20);
    heads = asked;
    int rc = 0;
    for (size_t at = 0, n = strlen(text); at < n && rc == 0; at += size)
        rc = reply_take(r, text + at, size < n - at ? size : n - at, &out);
    if (rc == 0 && ends)
        rc = reply_take(r, NULL, 0, &out);
    reply_free(r);
    if (rc < 0) {
        buffer_free(&out);
        return NULL;
    }
    return buffer_take(&out);
}

/* The bodies of chunks, one after the other, from the first one on. */
static char *unchunk(const char *p) {
    struct buffer b;
    buffer_init(&b, 1 << 20);
    for (;;) {
        char *line;
        size_t size = strtoul(p, &line, 16);
        if (size == 0) {
            buffer_addf(&b, "|%s", line);
            return buffer_take(&b);
        }
        buffer_add(&b, line + 2, size);
        p = line + 2 + size + 2;
    }
}

static bool passes(const char *text, const char *expected, const char *asked,
                   bool ends) {
    bool ok = true;
    for (size_t size = 1; ok && size <= strlen(text); size++) {
        char *got = pass(text, size, asked, ends);
        ok = got && strcmp(got, expected) == 0;
        if (!ok)
            printf("# pieces of %zu: %s\n", size, got ? got : "(refused)");
        free(got);
    }
    return ok;
}

#define OK "HTTP/1.1 200 OK\r\n"

static void test_plain(void) {
    CHECK(passes(OK "X: " VALUE "\r\nContent-Length: 18\r\n\r\n<" VALUE ">",
                 OK "X: " MARK "\r\nContent-Length: 18\r\n\r\n<" MARK ">", ".",
                 false));
    CHECK(passes("HTTP/1.1 404 No " VALUE "\r\nContent-Length: 0\r\n\r\n",
                 "HTTP/1.1 404 No " MARK "\r\nContent-Length: 0\r\n\r\n", ".",
                 false));
    /* Without a length, to the end of the connection; HTTP/1.0. */
    CHECK(passes("HTTP/1.0 200 OK\r\n\r\n" VALUE VALUE "s3c",
                 "HTTP/1.0 200 OK\r\n\r\n" MARK MARK "s3c", ".", true));
    /* Without headers, an empty one, a status without words. */
    CHECK(passes("HTTP/1.1 204 \r\nA:\r\nB: c\r\n\r\n",
                 "HTTP/1.1 204 \r\nA: \r\nB: c\r\n\r\n", ".", false));
}

/* The line of a length may be folded: blanks behind it are no part of it. */
static void test_folded(void) {
    CHECK(passes(OK "Content-Length: 1\r\n\t\r\nA: b \r\n\r\nc",
                 OK "Content-Length: 1\r\nA: b\r\n\r\nc", ".", false));
}

static void test_one_after_the_other(void) {
    /* One for HEAD, an interim one, one without a body, one with. */
    static const char text[] =
        OK "Content-Length: 99\r\n\r\n"
           "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nab"
           "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" OK
           "Transfer-Encoding: chunked\r\n\r\n" OK
           "Content-Length: 16\r\n\r\n" VALUE;
    char expected[sizeof text];
    memcpy(expected, text, sizeof text);
    memcpy(expected + sizeof text - sizeof VALUE, MARK, sizeof MARK);
    CHECK(passes(text, expected, "h..h.", false));
}

static void test_chunks(void) {
    static const char head[] = OK "Transfer-Encoding: chunked\r\n\r\n";
    static const char value[] = "-" VALUE "-" VALUE "s3cret/";
    char text[1024];
    for (size_t size = 1; size < sizeof value; size++) {
        size_t at = (size_t)sprintf(text, "%s", head);
        for (size_t i = 0; i < sizeof value - 1; i += size) {
            size_t n =
                size < sizeof value - 1 - i ? size : sizeof value - 1 - i;
            at += (size_t)sprintf(text + at, "%zx;x=y\r\n%.*s\r\n", n, (int)n,
                                  value + i);
        }
        sprintf(text + at, "0\r\nT: " VALUE "\r\nU: v\r\n\r\n");
        for (size_t piece = 1; piece < 40; piece += 3) {
            char *got = pass(text, piece, ".", false);
            CHECK(got && strncmp(got, head, sizeof head - 1) == 0);
            char *body = unchunk(got + sizeof head - 1);
            CHECK(strcmp(body, "-" MARK "-" MARK "s3cret/|\r\nT: " MARK
                               "\r\nU: v\r\n\r\n") == 0);
            free(body);
            free(got);
        }
    }
    CHECK(passes(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ".", false));
    /* What stands behind the chunks does not say how they end. */
    static const char late[] = OK "Transfer-Encoding: chunked\r\n\r\n"
                                  "1\r\na\r\n0\r\n"
                                  "Transfer-Encoding: identity\r\n\r\n";
    CHECK(passes(late, late, ".", false));
}

static void test_refused(void) {
    static const char *const bad[] = {
        "SSH-2.0-x\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        /* What a client may read in another way. */
        OK "Transfer-Encoding: chunked\r\n \r\n\r\n1\r\na\r\n0\r\n\r\n",
        OK "Transfer-Encoding : chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        OK "Transfer-Encoding: xchunked\r\n\r\na",
        OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK "Content-Length: 5\r\n\r\nab", /* and its end */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *got = pass(bad[i], strlen(bad[i]), ".", true);
        CHECK(!got);
        free(got);
    }
}

int main(void) {
    struct fault f;
    json_t *given =
        json_loads("{\"TOKEN\":{\"value\":\"" VALUE "\",\"placeholder\":\"" MARK
                   "\",\"hosts\":[\"a.example\"]}}",
                   0, NULL);
    CHECK(secrets_parse(&secrets, given, "secrets", &f) == 0);
    json_decref(given);
    RUN(test_plain, "heads and bodies, in pieces of each size");
    RUN(test_folded, "lines that go on in the next one");
    RUN(test_one_after_the_other, "several answers of a connection");
    RUN(test_chunks, "a value in chunks of each size, and behind them");
    RUN(test_refused, "what is no answer");
    secrets_clear(&secrets);
    return CHECK_DONE();
}
