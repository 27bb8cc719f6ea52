/* hello.h: the first message of a TLS client, which says what host it wants.
 * Parsed by OpenSSL as a server would; nothing is answered. */
#ifndef CONTREE_AIRLOCK_HELLO_H
#define CONTREE_AIRLOCK_HELLO_H

#include "airlock/policy/rules.h"
#include <stdbool.h>
#include <stddef.h>

struct hello;

enum hello_state {
    HELLO_MORE,  /* the message has not come as a whole yet */
    HELLO_READ,  /* the other functions may be asked */
    HELLO_BROKEN /* this is no TLS */
};

struct hello *hello_make(void); /* NULL: out of memory */
void hello_free(struct hello *h);
/* More of what the client has sent. Not after another state than HELLO_MORE. */
enum hello_state hello_feed(struct hello *h, const void *data, size_t length);
/* The host that it names (SNI), in lower case; "" when it names none, or
 * several, or no host name. */
const char *hello_name(const struct hello *h);
/* Whether it may have encrypted another name (ECH, ESNI). */
bool hello_is_encrypted(const struct hello *h);

#endif
