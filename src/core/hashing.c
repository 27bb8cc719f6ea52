#include "hashing.h"
#include "clock.h"
#include "digest.h"
#include "lua_compat.h"
#include "regular.h"

#include <errno.h>
#include <unistd.h>

static void check_available(lua_State *L) {
    if (!digest_available())
        luaL_error(L,
                   "contree: %s (OpenSSL), which computes SHA-256, cannot "
                   "be loaded",
                   digest_library);
}

int hashing_lua_string(lua_State *L) {
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

/* A digest that is computed a part at a time. */
struct hashing {
    struct digest *digest;
    int fd;           /* of the file, -1: a string */
    const char *data; /* the rest of the string, which the table keeps */
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

int hashing_lua_new(lua_State *L) {
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

int hashing_lua_open(lua_State *L) {
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

int hashing_push(lua_State *L, int fd) {
    /* Making it raises only without memory or libcrypto. */
    push_hashing(L)->fd = fd;
    return 1;
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

static int hashing_step(lua_State *L) {
    struct hashing *hashing = luaL_checkudata(L, 1, HASHING_TYPE);
    double limit = clock_now() + luaL_checknumber(L, 2);
    char hex[DIGEST_HEX_SIZE];
    ssize_t n;
    if (!hashing->digest)
        return luaL_error(L, "this digest has ended");
    do
        n = add_part(hashing);
    while (n > 0 && clock_now() < limit);
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

void hashing_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", hashing_step}, {NULL, NULL}};
    compat_newtype(L, HASHING_TYPE, methods, hashing_gc);
}
