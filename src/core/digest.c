#include "digest.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

/* An EVP context is all there is to it; the type keeps OpenSSL in here. */
static EVP_MD_CTX *context(struct digest *digest) {
    return (EVP_MD_CTX *)(void *)digest;
}

struct digest *digest_new(void) {
    EVP_MD_CTX *new = EVP_MD_CTX_new();

    if (new &&EVP_DigestInit_ex(new, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(new);
        new = NULL;
    }
    return (struct digest *)(void *)new;
}

void digest_add(struct digest *digest, const void *data, size_t size) {
    EVP_DigestUpdate(context(digest), data, size);
}

void digest_restart(struct digest *digest) {
    EVP_DigestInit_ex(context(digest), EVP_sha256(), NULL);
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

    EVP_DigestFinal_ex(context(digest), sum, NULL);
    to_hex(sum, hex);
}

void digest_free(struct digest *digest) {
    EVP_MD_CTX_free(context(digest));
}

int digest_lua_string(lua_State *L) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[DIGEST_HEX_SIZE];

    if (EVP_Digest(data, size, sum, NULL, EVP_sha256(), NULL) != 1)
        return luaL_error(L, "SHA-256 failed");
    to_hex(sum, hex);
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
    char *buffer = lua_newuserdata(L, BUFFER);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
        lua_pushfstring(L, "%s: %s", path, strerror(error));
        return 2;
    }
    lua_pushlstring(L, hex, DIGEST_HEX_SIZE - 1);
    lua_pushinteger(L, (lua_Integer)size);
    return 2;
}
