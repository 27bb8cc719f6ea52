/* hello.c: no hello of a TLS client breaks its reader, and it does
 * not matter in which pieces it comes. Half of the inputs are changes to a real
 * one, which chance would not find. */
#include "airlock/hello.h"
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hello_state read_in(struct hello *h, const uint8_t *data,
                                size_t size, size_t piece) {
    enum hello_state state = HELLO_MORE;
    for (size_t at = 0; at < size && state == HELLO_MORE; at += piece)
        state = hello_feed(h, data + at, size - at < piece ? size - at : piece);
    return state;
}

enum { HELLO_MAX = 4096 };

static size_t make_hello(uint8_t *out) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), bio);
    SSL_set_tlsext_host_name(ssl, "name.example");
    SSL_connect(ssl);
    int got = BIO_read(bio, out, HELLO_MAX);
    SSL_free(ssl);
    SSL_CTX_free(context);
    return got > 0 ? (size_t)got : 0;
}

/* Three bytes are a change: where, and to what. */
static size_t change(const uint8_t *data, size_t size, uint8_t *out) {
    static uint8_t hello[HELLO_MAX]; /* made once */
    static size_t length;
    if (length == 0)
        length = make_hello(hello);
    memcpy(out, hello, length);
    for (; size >= 3; data += 3, size -= 3)
        out[((size_t)data[0] << 8 | data[1]) % length] = data[2];
    return length;
}

static void compare(const uint8_t *data, size_t size) {
    struct hello *whole = hello_make(), *pieces = hello_make();
    if (!whole || !pieces)
        abort();
    enum hello_state a = read_in(whole, data, size, size + 1);
    enum hello_state b = read_in(pieces, data, size, 7);
    if (a == HELLO_READ && b == HELLO_READ &&
        (strcmp(hello_name(whole), hello_name(pieces)) != 0 ||
         hello_is_encrypted(whole) != hello_is_encrypted(pieces)))
        abort();
    hello_free(whole);
    hello_free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t changed[HELLO_MAX];
    if (size > 0 && data[0] % 2 == 0)
        compare(changed, change(data + 1, size - 1, changed));
    else
        compare(data, size);
    return 0;
}
