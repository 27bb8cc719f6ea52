/* digest.c: see digest.h. */
#define _GNU_SOURCE
#include "base/digest.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void digest_print(const unsigned char *hash, char out[DIGEST_SIZE]) {
    char *p = stpcpy(out, "sha256:");
    for (int i = 0; i < 32; i++)
        p += snprintf(p, 3, "%02x", hash[i]);
}

void digest_of(const void *data, size_t length, char out[DIGEST_SIZE]) {
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    EVP_Digest(data, length, hash, NULL, EVP_sha256(), NULL);
    digest_print(hash, out);
}
