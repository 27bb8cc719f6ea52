/* authority.h: a certificate authority for one sandbox: made when its airlock
 * starts, gone with it. The sandbox trusts it, and nobody else does. Its key
 * never leaves this process. */
#ifndef CONTREE_AIRLOCK_AUTHORITY_H
#define CONTREE_AIRLOCK_AUTHORITY_H

#include "base/fault.h"
#include <openssl/ssl.h>

struct authority;

struct authority *authority_make(struct fault *f);
void authority_free(struct authority *a);
/* Its certificate, as PEM. */
const char *authority_pem(const struct authority *a);
/* What a server of that name is made of; kept by `a`, which knows LEAVES_MAX
 * names and then forgets all. NULL: out of memory. */
enum { LEAVES_MAX = 256 };
SSL_CTX *authority_server(struct authority *a, const char *name);

#endif
