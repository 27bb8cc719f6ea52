/* digest.h: SHA-256 as container images write it. */
#ifndef CONTREE_BASE_DIGEST_H
#define CONTREE_BASE_DIGEST_H

#include <stddef.h>

/* "sha256:", 64 hexadecimal digits and a NUL. */
enum { DIGEST_SIZE = 72 };

void digest_of(const void *data, size_t length, char out[DIGEST_SIZE]);
/* Prints the 32 bytes of a hash. */
void digest_print(const unsigned char *hash, char out[DIGEST_SIZE]);

#endif
