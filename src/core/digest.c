#include "digest.h"
#include "library.h"
#include "loop.h"
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

#define HASHING_TYPE "contree.hashing"

/* What Lua gets: a digest that is computed a part at a time. */
struct hashing {
    struct digest *digest;
    int fd;           /* of a file, or -1 */
    const char *data; /* what is left of a string, which the table holds */
    size_t left;
    long long size;
};

static struct hashing *push_hashing(lua_State *L) {
    struct hashing *hashing = compat_newuserdata(L, sizeof *hashing);

    *hashing = (struct hashing){.fd = -1};
    luaL_setmetatable(L, HASHING_TYPE);
    check_available(L);
    hashing->digest = digest_new();
    if (!hashing->digest)
        luaL_error(L, "not enough memory");
    return hashing;
}

int digest_lua_hash(lua_State *L) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    struct hashing *hashing = push_hashing(L);

    hashing->data = data;
    hashing->left = size;
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    compat_settable(L, -2);
    return 1;
}

int digest_lua_hash_file(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const char *root = luaL_optstring(L, 2, NULL);
    struct hashing *hashing = push_hashing(L);

    hashing->fd = regular_open(path, root);
    if (hashing->fd >= 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, regular_problem(errno));
    return 2;
}

static void end_hashing(struct hashing *hashing) {
    digest_free(hashing->digest);
    hashing->digest = NULL;
    if (hashing->fd >= 0)
        close(hashing->fd);
    hashing->fd = -1;
}

/* Adds the next part; its size, 0 at the end, or -1 with errno set. */
static ssize_t add_part(struct hashing *hashing) {
    char buffer[64 * 1024];
    const void *part = buffer;
    ssize_t n = (ssize_t)sizeof buffer;

    if (hashing->fd >= 0) {
        do
            n = read(hashing->fd, buffer, sizeof buffer);
        while (n < 0 && errno == EINTR);
    } else {
        if (hashing->left < sizeof buffer)
            n = (ssize_t)hashing->left;
        part = hashing->data;
        hashing->data += n;
        hashing->left -= (size_t)n;
    }
    if (n > 0) {
        digest_add(hashing->digest, part, (size_t)n);
        hashing->size += n;
    }
    return n;
}

/* step(seconds) -> false: there is more | hex, size | nil, message */
static int hashing_step(lua_State *L) {
    struct hashing *hashing = luaL_checkudata(L, 1, HASHING_TYPE);
    double limit = loop_now() + luaL_checknumber(L, 2);
    char hex[DIGEST_HEX_SIZE];
    ssize_t n;

    if (!hashing->digest)
        return luaL_error(L, "this digest has ended");
    do
        n = add_part(hashing);
    while (n > 0 && loop_now() < limit);
    if (n > 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (n < 0) {
        lua_pushnil(L);
        lua_pushstring(L, regular_problem(errno));
    } else {
        digest_finish(hashing->digest, hex);
        lua_pushlstring(L, hex, DIGEST_HEX_SIZE - 1);
        lua_pushinteger(L, (lua_Integer)hashing->size);
    }
    end_hashing(hashing);
    return 2;
}

static int hashing_gc(lua_State *L) {
    end_hashing(luaL_checkudata(L, 1, HASHING_TYPE));
    return 0;
}

void digest_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", hashing_step}, {NULL, NULL}};

    compat_newtype(L, HASHING_TYPE, methods, hashing_gc);
}
