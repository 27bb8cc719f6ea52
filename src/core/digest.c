#include "digest.h"
#include "library.h"

#include <openssl/evp.h>
#include <pthread.h>

/* Loading libcrypto takes most of a millisecond, which a `require` should not
 * cost. The library is opened once a process, for the first digest. */
#if defined(__APPLE__)
const char digest_library[] = "libcrypto.3.dylib";
#elif OPENSSL_VERSION_NUMBER >= 0x30000000L
const char digest_library[] = "libcrypto.so.3";
#else
const char digest_library[] = "libcrypto.so.1.1";
#endif

#define CRYPTO_API(X)                                                          \
    X(EVP_MD_CTX_new)                                                          \
    X(EVP_MD_CTX_free)                                                         \
    X(EVP_DigestInit_ex)                                                       \
    X(EVP_DigestUpdate)                                                        \
    X(EVP_DigestFinal_ex)                                                      \
    X(EVP_sha256)

/* Written once, under pthread_once. */
static struct {
#define CRYPTO_API_MEMBER(name) __typeof__(&name) name;
    CRYPTO_API(CRYPTO_API_MEMBER)
#undef CRYPTO_API_MEMBER
} crypto;
static bool loaded;

static void load(void) {
    void *library = dlopen(digest_library, RTLD_LAZY | RTLD_LOCAL);
    loaded = library != NULL;
#define CRYPTO_API_RESOLVE(name)                                               \
    loaded = loaded && library_resolve(library, #name, &crypto.name);
    CRYPTO_API(CRYPTO_API_RESOLVE)
#undef CRYPTO_API_RESOLVE
}

bool digest_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

/* A digest is an EVP context. The type of its own keeps OpenSSL in this file.
 */
static EVP_MD_CTX *context(struct digest *digest) {
    return (EVP_MD_CTX *)(void *)digest;
}

struct digest *digest_new(void) {
    EVP_MD_CTX *new = digest_available() ? crypto.EVP_MD_CTX_new() : NULL;
    if (new &&crypto.EVP_DigestInit_ex(new, crypto.EVP_sha256(), NULL) != 1) {
        crypto.EVP_MD_CTX_free(new);
        new = NULL;
    }
    return (struct digest *)(void *)new;
}

void digest_add(struct digest *digest, const void *data, size_t size) {
    crypto.EVP_DigestUpdate(context(digest), data, size);
}

void digest_restart(struct digest *digest) {
    crypto.EVP_DigestInit_ex(context(digest), crypto.EVP_sha256(), NULL);
}

static void to_hex(const unsigned char *sum, char hex[DIGEST_HEX_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    hex[64] = '\0';
}

void digest_finish(struct digest *digest, char hex[DIGEST_HEX_SIZE]) {
    unsigned char sum[EVP_MAX_MD_SIZE] = {0};
    crypto.EVP_DigestFinal_ex(context(digest), sum, NULL);
    to_hex(sum, hex);
}

void digest_free(struct digest *digest) {
    if (digest)
        crypto.EVP_MD_CTX_free(context(digest));
}
