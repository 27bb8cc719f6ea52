/* digest.h: SHA-256 of the bytes that pass through. */
#ifndef CONTREE_DIGEST_H
#define CONTREE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

struct digest;

enum { DIGEST_HEX_SIZE = 65 };

/* Loads libcrypto if need be; false when it cannot be loaded. */
bool digest_available(void);
/* The file name of libcrypto. */
extern const char digest_library[];
/* NULL when there is no memory, or no libcrypto; free with digest_free(). */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Forgets the bytes that were added. */
void digest_restart(struct digest *digest);
/* Ends it: writes 64 lower-case hex digits and a NUL. */
void digest_finish(struct digest *digest, char hex[DIGEST_HEX_SIZE]);
/* Takes NULL. */
void digest_free(struct digest *digest);

#pragma GCC visibility pop

#endif
