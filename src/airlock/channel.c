/* channel.c: see channel.h. */
#define _GNU_SOURCE
#include "airlock/channel.h"
#include "base/descriptor.h"
#include "base/relay.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

enum { PROBLEM_SIZE = 128 };

struct channel {
    int fd;
    SSL *ssl;   /* NULL: plain */
    char *said; /* what was read before */
    size_t said_length, said_at;
    int awaits;
    char problem[PROBLEM_SIZE];
};

/* ---- the socket ---- */

static ssize_t take_said(struct channel *c, void *to, size_t size) {
    size_t n = c->said_length - c->said_at;
    if (n > size)
        n = size;
    memcpy(to, c->said + c->said_at, n);
    c->said_at += n;
    return (ssize_t)n;
}

static ssize_t receive(struct channel *c, void *to, size_t size) {
    if (c->said_at < c->said_length)
        return take_said(c, to, size);
    ssize_t n;
    while ((n = recv(c->fd, to, size, MSG_DONTWAIT)) < 0 && errno == EINTR)
        continue;
    return n;
}

static ssize_t transmit(struct channel *c, const void *from, size_t size) {
    ssize_t n;
    while ((n = send(c->fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 &&
           errno == EINTR)
        continue;
    return n;
}

/* ---- the socket, for OpenSSL ---- */

static int bio_read(BIO *b, char *to, size_t size, size_t *got) {
    ssize_t n = receive(BIO_get_data(b), to, size);
    BIO_clear_retry_flags(b);
    *got = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno == EAGAIN)
        BIO_set_retry_read(b);
    return n > 0;
}

static int bio_write(BIO *b, const char *from, size_t size, size_t *put) {
    ssize_t n = transmit(BIO_get_data(b), from, size);
    BIO_clear_retry_flags(b);
    *put = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno == EAGAIN)
        BIO_set_retry_write(b);
    return n > 0;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer) {
    (void)b;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b) {
    BIO_set_init(b, 1);
    return 1;
}

/* Made once, and the same for all. */
static BIO_METHOD *method(void) {
    static BIO_METHOD *made;
    if (!made && (made = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "channel"))) {
        BIO_meth_set_read_ex(made, bio_read);
        BIO_meth_set_write_ex(made, bio_write);
        BIO_meth_set_ctrl(made, bio_ctrl);
        BIO_meth_set_create(made, bio_create);
    }
    return made;
}

/* ---- making ---- */

struct channel *channel_plain(int fd, const void *said, size_t length) {
    struct channel *c = calloc(1, sizeof *c);
    if (c && length > 0 && !(c->said = malloc(length))) {
        free(c);
        return NULL;
    }
    if (!c)
        return NULL;
    if (length > 0)
        memcpy(c->said, said, length);
    c->said_length = length;
    c->fd = fd;
    return c;
}

static void drop(struct channel *c) {
    SSL_free(c->ssl);
    free(c->said);
    free(c);
}

static struct channel *with_tls(int fd, SSL_CTX *context, const void *said,
                                size_t length) {
    struct channel *c = channel_plain(fd, said, length);
    BIO *b = c && method() ? BIO_new(method()) : NULL;
    if (b && (c->ssl = SSL_new(context))) {
        BIO_set_data(b, c);
        SSL_set_bio(c->ssl, b, b);
        SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        return c;
    }
    BIO_free(b);
    if (c)
        drop(c);
    ERR_clear_error();
    return NULL;
}

struct channel *channel_server(int fd, SSL_CTX *context, const void *said,
                               size_t length) {
    struct channel *c = with_tls(fd, context, said, length);
    if (c)
        SSL_set_accept_state(c->ssl);
    return c;
}

struct channel *channel_client(int fd, SSL_CTX *context, const char *name) {
    struct channel *c = with_tls(fd, context, NULL, 0);
    if (!c)
        return NULL;
    SSL_set_connect_state(c->ssl);
    SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(c->ssl, name) == 1 &&
        SSL_set_tlsext_host_name(c->ssl, name) == 1)
        return c;
    drop(c);
    ERR_clear_error();
    return NULL;
}

SSL_CTX *channel_verifier(void) {
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (c && SSL_CTX_set_default_verify_paths(c) == 1 &&
        SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_alpn_protos(c, protocols, sizeof protocols - 1) == 0) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION);
        return c;
    }
    SSL_CTX_free(c);
    ERR_clear_error();
    return NULL;
}

void channel_free(struct channel *c) {
    if (!c)
        return;
    drop_fd(&c->fd);
    drop(c);
}

void channel_reset(struct channel *c) {
    if (!c)
        return;
    close_with_reset(&c->fd);
    drop(c);
}

/* ---- reading and writing ---- */

static void note_problem(struct channel *c) {
    long verdict = SSL_get_verify_result(c->ssl);
    unsigned long error = ERR_peek_last_error();
    const char *words = verdict != X509_V_OK
                            ? X509_verify_cert_error_string(verdict)
                        : error ? ERR_reason_error_string(error)
                                : NULL;
    snprintf(c->problem, sizeof c->problem, "%s", words ? words : "");
}

/* What an operation of OpenSSL that did not succeed means. */
static int outcome(struct channel *c, int rc) {
    int error = SSL_get_error(c->ssl, rc), result = CHANNEL_WAITS;
    if (error == SSL_ERROR_WANT_READ) {
        c->awaits = UV_READABLE;
    } else if (error == SSL_ERROR_WANT_WRITE) {
        c->awaits = UV_WRITABLE;
    } else {
        note_problem(c);
        result = error == SSL_ERROR_ZERO_RETURN ? 0 : CHANNEL_BROKEN;
    }
    ERR_clear_error();
    return result;
}

static ssize_t plain_outcome(struct channel *c, ssize_t n, int awaits) {
    c->awaits = awaits;
    return n >= 0 ? n : errno == EAGAIN ? CHANNEL_WAITS : CHANNEL_BROKEN;
}

ssize_t channel_read(struct channel *c, void *to, size_t size) {
    size_t got;
    if (!c->ssl)
        return plain_outcome(c, receive(c, to, size), UV_READABLE);
    int rc = SSL_read_ex(c->ssl, to, size, &got);
    return rc == 1 ? (ssize_t)got : outcome(c, rc);
}

ssize_t channel_write(struct channel *c, const void *from, size_t size) {
    size_t put;
    if (!c->ssl)
        return plain_outcome(c, transmit(c, from, size), UV_WRITABLE);
    int rc = SSL_write_ex(c->ssl, from, size, &put);
    if (rc == 1)
        return (ssize_t)put;
    rc = outcome(c, rc);
    return rc == 0 ? CHANNEL_BROKEN : rc;
}

void channel_finish(struct channel *c) {
    if (c->ssl)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    if (shutdown(c->fd, SHUT_WR) < 0)
        errno = 0; /* the other side has gone already */
}

int channel_handshake(struct channel *c) {
    if (!c->ssl)
        return 1;
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1)
        return 1;
    rc = outcome(c, rc);
    return rc == 0 ? CHANNEL_BROKEN : rc;
}

int channel_awaits(const struct channel *c) {
    return c->awaits;
}

bool channel_holds(const struct channel *c) {
    return c->said_at < c->said_length || (c->ssl && SSL_has_pending(c->ssl));
}

int channel_fd(const struct channel *c) {
    return c->fd;
}

const char *channel_problem(const struct channel *c) {
    return c->problem;
}
