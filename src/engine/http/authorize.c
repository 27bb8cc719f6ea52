/* authorize.c: the engine's own user, and its group if that is allowed, may ask
 * over the Unix socket, the holder of the token over TCP. */
#include "http/internal.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

static void hash_token(const char *token, size_t length,
                       unsigned char out[SHA256_DIGEST_LENGTH]) {
    SHA256((const unsigned char *)token, length, out);
}

/* Compare hashes: the time that this takes then tells nothing of the token, not
 * even its length. */
static bool token_is_right(struct request *r) {
    const char *header = request_header(r, "Authorization");
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    header += 7 + strspn(header + 7, " ");
    hash_token(header, strlen(header), hash);
    return CRYPTO_memcmp(hash, r->server->token_hash, sizeof hash) == 0;
}

/* Over TCP only the token counts, not the Host header. It also keeps out a web
 * page that reaches us by DNS rebinding: the page has no token. */
void request_authorize(struct request *r) {
    if (r->connection->refused) {
        fault_set(&r->fault, 403,
                  "this engine serves its own user, with --group also the "
                  "group of that user");
    } else if (r->connection->listener->tcp && !token_is_right(r)) {
        fault_set(&r->fault, 401, "missing or wrong bearer token");
        reply_header(r, "WWW-Authenticate", "Bearer");
    } else {
        connection_know(r->connection);
    }
}

void server_set_token(struct http_server *s, const char *token) {
    hash_token(token, strlen(token), s->token_hash);
}
