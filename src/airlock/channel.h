/* channel.h: one end of a connection whose bytes are read here: a socket, or
 * TLS over one. Nothing blocks. */
#ifndef CONTREE_AIRLOCK_CHANNEL_H
#define CONTREE_AIRLOCK_CHANNEL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct channel;

/* A channel over a socket that does not block, which it takes over and closes.
 * `said` is what was read from it already. NULL: out of memory; then the socket
 * is the caller's still. */
struct channel *channel_plain(int fd, const void *said, size_t length);
/* The server of a TLS connection. */
struct channel *channel_server(int fd, SSL_CTX *context, const void *said,
                               size_t length);
/* The client of one, who checks that the certificate is `name`'s. `context`
 * must verify. */
struct channel *channel_client(int fd, SSL_CTX *context, const char *name);
/* The context of such clients: verifies by the machine's authorities, speaks
 * HTTP/1.1. NULL: out of memory. */
SSL_CTX *channel_verifier(void);
void channel_free(struct channel *c);

enum { CHANNEL_WAITS = -1, CHANNEL_BROKEN = -2 };
/* Bytes read, 0 at the end, CHANNEL_WAITS or CHANNEL_BROKEN. */
ssize_t channel_read(struct channel *c, void *to, size_t size);
/* Bytes taken, CHANNEL_WAITS or CHANNEL_BROKEN. After CHANNEL_WAITS the same
 * bytes are offered again, with more behind them on wish. */
ssize_t channel_write(struct channel *c, const void *from, size_t size);
/* Says that no more will be written; what it could not say yet is dropped. */
void channel_finish(struct channel *c);
/* For the handshake: 1 when it is done, CHANNEL_WAITS, or CHANNEL_BROKEN. */
int channel_handshake(struct channel *c);
/* What the last call that has to wait waits for: UV_READABLE, UV_WRITABLE. */
int channel_awaits(const struct channel *c);
/* Whether a read may give bytes although the socket has none. */
bool channel_holds(const struct channel *c);
int channel_fd(const struct channel *c);
/* Why a TLS connection is broken, in the words of OpenSSL; "" if unknown. */
const char *channel_problem(const struct channel *c);
/* Closes without a farewell: the other side sees a reset. */
void channel_reset(struct channel *c);

#endif
