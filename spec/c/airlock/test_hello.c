/* test_hello.c: the first message of a TLS client, as OpenSSL writes it. */
#define _GNU_SOURCE
#include "airlock/hello.h"
#include "check.h"
#include "seed.h"
#include <openssl/ssl.h>
#include <stdlib.h>

struct message {
    unsigned char data[8192];
    size_t length;
};

static int add_ech(SSL *ssl, unsigned type, const unsigned char **out,
                   size_t *length, int *alert, void *arg) {
    (void)ssl, (void)type, (void)alert, (void)arg;
    *out = (const unsigned char *)"\0\0\1\0\1\7";
    *length = 6;
    return 1;
}

/* The hello of a client that wants this host; NULL: it names none. */
static struct message make_hello(const char *host, int version, int extension) {
    struct message m = {.length = 0};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (extension)
        SSL_CTX_add_client_custom_ext(context, (unsigned)extension, add_ech,
                                      NULL, NULL, NULL, NULL);
    SSL *ssl = SSL_new(context);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    if (host)
        SSL_set_tlsext_host_name(ssl, host);
    SSL_connect(ssl);
    int got = BIO_read(out, m.data, sizeof m.data);
    m.length = got > 0 ? (size_t)got : 0;
    SSL_free(ssl);
    SSL_CTX_free(context);
    return m;
}

static void check_hello(const struct message *m, const char *name,
                        bool encrypted) {
    struct hello *h = hello_make();
    CHECK(hello_feed(h, m->data, m->length) == HELLO_READ);
    CHECK_STRING(hello_name(h), name);
    CHECK(hello_is_encrypted(h) == encrypted);
    hello_free(h);
}

static void test_versions(void) {
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION,
                                   TLS1_1_VERSION, TLS1_VERSION};
    for (int i = 0; i < 4; i++) {
        struct message m = make_hello("WWW.Example.org", versions[i], 0);
        check_hello(&m, "www.example.org", false);
        m = make_hello(NULL, versions[i], 0);
        check_hello(&m, "", false);
    }
}

static void test_ech(void) {
    static const int extensions[] = {0xfe0d, 0xffce};
    for (int i = 0; i < 2; i++) {
        struct message m =
            make_hello("a.example", TLS1_3_VERSION, extensions[i]);
        check_hello(&m, "a.example", true);
    }
    struct message m = make_hello("a.example", TLS1_3_VERSION, 0xfafa);
    check_hello(&m, "a.example", false);
}

static void test_pieces(void) {
    struct message m = make_hello("a.example", TLS1_3_VERSION, 0);
    struct hello *h = hello_make();
    for (size_t i = 0; i + 1 < m.length; i++)
        CHECK(hello_feed(h, m.data + i, 1) == HELLO_MORE);
    CHECK(hello_feed(h, m.data + m.length - 1, 1) == HELLO_READ);
    CHECK_STRING(hello_name(h), "a.example");
    hello_free(h);
}

/* The handshake message cut into several records. */
static void test_fragments(void) {
    enum { RECORD = 5 };
    struct message m = make_hello("a.example", TLS1_3_VERSION, 0);
    struct message cut = {.length = 0};
    for (size_t at = RECORD; at < m.length; at += 40) {
        size_t size = m.length - at < 40 ? m.length - at : 40;
        unsigned char *out = cut.data + cut.length;
        memcpy(out, m.data, 3);
        out[3] = 0;
        out[4] = (unsigned char)size;
        memcpy(out + RECORD, m.data + at, size);
        cut.length += RECORD + size;
    }
    check_hello(&cut, "a.example", false);
}

static void test_no_tls(void) {
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\n",
                                        "\x16\x09\x09\x09\x09\x09",
                                        "\x17\x03\x01\x00\x05hello"};
    for (int i = 0; i < 4; i++) {
        struct hello *h = hello_make();
        CHECK(hello_feed(h, texts[i], strlen(texts[i]) + 1) == HELLO_BROKEN);
        hello_free(h);
    }
}

/* In any case; three bytes may have changed the lengths, too. */
static bool is_in(const struct message *m, const char *name) {
    size_t length = strlen(name);
    for (size_t at = 0; at + length <= m->length; at++)
        if (strncasecmp((const char *)m->data + at, name, length) == 0)
            return true;
    return false;
}

/* A name is never read that is not in the message. */
static void test_random(void) {
    struct message m = make_hello("a.example", TLS1_3_VERSION, 0);
    int read = 0;
    seed_begin();
    for (int i = 0; i < seed_count(3000); i++) {
        struct message other = m;
        for (int k = seed_below(3); k >= 0; k--)
            other.data[seed_below((int)m.length)] = (uint8_t)seed_below(256);
        struct hello *h = hello_make();
        if (hello_feed(h, other.data, other.length) == HELLO_READ) {
            const char *name = hello_name(h);
            read++;
            CHECK(is_in(&other, name));
        }
        hello_free(h);
    }
    CHECK(read > 0);
}

int main(void) {
    RUN(test_versions, "all versions of TLS");
    RUN(test_ech, "encrypted hellos are seen");
    RUN(test_pieces, "byte by byte");
    RUN(test_fragments, "in several records");
    RUN(test_no_tls, "what is no TLS");
    RUN(test_random, "random messages do no harm");
    return CHECK_DONE();
}
