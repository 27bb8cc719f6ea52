/* hello.c: see hello.h. */
#define _GNU_SOURCE
#include "airlock/hello.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum { EXTENSION_ECH = 0xfe0d, EXTENSION_ESNI = 0xffce };

struct hello {
    SSL *ssl;
    BIO *in; /* the SSL's */
    bool begun, read, encrypted;
    char name[NAME_SIZE];
};

/* The extension server_name (RFC 6066 §3): the lengths of a list and of its
 * only entry, and a type. OpenSSL 3.0 does not read it for this callback. */
static void read_name(struct hello *h, const unsigned char *p, size_t length) {
    enum { HEAD = 5, HOST_NAME = 0 };
    if (length < HEAD)
        return;
    size_t list = (size_t)p[0] << 8 | p[1], name = (size_t)p[3] << 8 | p[4];
    if (list + 2 != length || name + HEAD != length || p[2] != HOST_NAME)
        return;
    if (!name_normal((const char *)p + HEAD, name, h->name))
        h->name[0] = '\0';
}

static int on_hello(SSL *ssl, int *alert, void *arg) {
    struct hello *h = SSL_get_app_data(ssl);
    const unsigned char *data;
    size_t length;
    (void)arg;
    h->read = true;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &length))
        read_name(h, data, length);
    h->encrypted =
        SSL_client_hello_get0_ext(ssl, EXTENSION_ECH, &data, &length) ||
        SSL_client_hello_get0_ext(ssl, EXTENSION_ESNI, &data, &length);
    *alert = SSL_AD_USER_CANCELLED;
    return SSL_CLIENT_HELLO_ERROR; /* it is not for us to answer */
}

/* Never called: the handshake ends before. */
static int on_extension(SSL *ssl, unsigned type, unsigned context,
                        const unsigned char *data, size_t length, X509 *x,
                        size_t index, int *alert, void *arg) {
    (void)ssl, (void)type, (void)context, (void)data, (void)length, (void)x;
    (void)index, (void)alert, (void)arg;
    return 1;
}

static SSL_CTX *make_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return NULL;
    SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
    /* Without this OpenSSL does not keep what it does not know. It fails when
     * OpenSSL knows the extension. */
    SSL_CTX_add_custom_ext(context, EXTENSION_ECH, SSL_EXT_CLIENT_HELLO, NULL,
                           NULL, NULL, on_extension, NULL);
    SSL_CTX_add_custom_ext(context, EXTENSION_ESNI, SSL_EXT_CLIENT_HELLO, NULL,
                           NULL, NULL, on_extension, NULL);
    return context;
}

/* Made once: it is the same for all, and takes some time. */
static SSL_CTX *context(void) {
    static SSL_CTX *made;
    if (!made)
        made = make_context();
    return made;
}

struct hello *hello_make(void) {
    struct hello *h = calloc(1, sizeof *h);
    SSL_CTX *c = context();
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_null());
    if (h && c)
        h->ssl = SSL_new(c);
    if (!h || !h->ssl || !in || !out) {
        BIO_free(in);
        BIO_free(out);
        hello_free(h);
        return NULL;
    }
    BIO_set_mem_eof_return(in, -1); /* more will come */
    h->in = in;
    SSL_set_bio(h->ssl, in, out);
    SSL_set_app_data(h->ssl, h);
    SSL_set_accept_state(h->ssl);
    return h;
}

void hello_free(struct hello *h) {
    if (h)
        SSL_free(h->ssl);
    free(h);
}

enum hello_state hello_feed(struct hello *h, const void *data, size_t length) {
    enum { HANDSHAKE = 22 };
    /* OpenSSL would also read a hello of SSL 2, which names no host. */
    if (!h->begun && length > 0 && *(const unsigned char *)data != HANDSHAKE)
        return HELLO_BROKEN;
    h->begun = h->begun || length > 0;
    if (length > INT32_MAX || BIO_write(h->in, data, (int)length) < 0)
        return HELLO_BROKEN;
    int rc = SSL_do_handshake(h->ssl);
    bool waits = SSL_get_error(h->ssl, rc) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return h->read ? HELLO_READ : waits ? HELLO_MORE : HELLO_BROKEN;
}

const char *hello_name(const struct hello *h) {
    return h->name;
}

bool hello_is_encrypted(const struct hello *h) {
    return h->encrypted;
}
