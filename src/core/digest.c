#include "digest.h"
#include "library.h"
#include "lua_compat.h"
#include "regular.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Loading libcrypto takes most of a millisecond, which nobody should pay for a
 * `require`: it is opened when a digest is first wanted, once a process. */
#if defined(__APPLE__)
#define CRYPTO_LIBRARY "libcrypto.3.dylib"
#elif OPENSSL_VERSION_NUMBER >= 0x30000000L
#define CRYPTO_LIBRARY "libcrypto.so.3"
#else
#define CRYPTO_LIBRARY "libcrypto.so.1.1"
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
    void *library = dlopen(CRYPTO_LIBRARY, RTLD_LAZY | RTLD_LOCAL);

    loaded = library != NULL;
#define CRYPTO_API_RESOLVE(name)                                               \
    loaded = loaded && library_resolve(library, #name, &crypto.name);
    CRYPTO_API(CRYPTO_API_RESOLVE)
#undef CRYPTO_API_RESOLVE
}

static bool available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return loaded;
}

static void check_available(lua_State *L) {
    if (!available())
        luaL_error(L, "contree: " CRYPTO_LIBRARY " (OpenSSL), which computes "
                      "SHA-256, cannot be loaded");
}

/* An EVP context is all there is to it; the type keeps OpenSSL in here. */
static EVP_MD_CTX *context(struct digest *digest) {
    return (EVP_MD_CTX *)(void *)digest;
}

struct digest *digest_new(void) {
    EVP_MD_CTX *new = available() ? crypto.EVP_MD_CTX_new() : NULL;

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

int digest_lua_string(lua_State *L) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    char hex[DIGEST_HEX_SIZE];
    struct digest *digest = (check_available(L), digest_new());

    if (!digest)
        return luaL_error(L, "not enough memory");
    digest_add(digest, data, size);
    digest_finish(digest, hex);
    digest_free(digest);
    lua_pushlstring(L, hex, DIGEST_HEX_SIZE - 1);
    return 1;
}

/* Adds what is left of `fd`; its size in bytes, or -1 with errno set. */
static long long add_file(struct digest *digest, int fd, char *buffer,
                          size_t capacity) {
    long long total = 0;

    for (;;) {
        ssize_t n = read(fd, buffer, capacity);
        if (n == 0)
            return total;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        digest_add(digest, buffer, (size_t)n);
        total += n;
    }
}

int digest_lua_file(lua_State *L) {
    enum { BUFFER = 256 * 1024 };
    const char *path = luaL_checkstring(L, 1);
    const char *root = luaL_optstring(L, 2, NULL);
    char *buffer = (check_available(L), lua_newuserdata(L, BUFFER));
    int fd = regular_open(path, root);
    struct digest *digest = fd >= 0 ? digest_new() : NULL;
    char hex[DIGEST_HEX_SIZE];
    long long size = -1;
    int error;

    if (digest)
        size = add_file(digest, fd, buffer, BUFFER);
    error = errno;
    if (size >= 0)
        digest_finish(digest, hex);
    digest_free(digest);
    if (fd >= 0)
        close(fd);
    if (size < 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", path, regular_problem(error));
        return 2;
    }
    lua_pushlstring(L, hex, DIGEST_HEX_SIZE - 1);
    lua_pushinteger(L, (lua_Integer)size);
    return 2;
}
