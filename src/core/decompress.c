#include "decompress.h"
#include "library.h"
#include "lua_compat.h"
#include "regular.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define TYPE "contree.decompressor"
#define LIBRARY_NAME "libarchive"
#if defined(__APPLE__)
#define LIBRARY "libarchive.2.dylib"
#else
#define LIBRARY "libarchive.so.13"
#endif

enum { OK = 0, END = 1, BLOCK = 1 << 18, READ_MAX = 1 << 22 };

/* A higher ratio of output to input is an attack. */
enum { RATIO_MAX = 2000 };
#define RATIO_FROM ((int64_t)256 << 20)

/* As in archive.h, which need not be there to build this. */
struct archive;
struct archive_entry;
struct api {
    struct archive *(*archive_read_new)(void);
    int (*archive_read_support_filter_gzip)(struct archive *);
    int (*archive_read_support_filter_bzip2)(struct archive *);
    int (*archive_read_support_filter_xz)(struct archive *);
    int (*archive_read_support_filter_zstd)(struct archive *);
    int (*archive_read_support_format_raw)(struct archive *);
    int (*archive_read_open_fd)(struct archive *, int, size_t);
    int (*archive_read_next_header)(struct archive *, struct archive_entry **);
    ssize_t (*archive_read_data)(struct archive *, void *, size_t);
    int64_t (*archive_filter_bytes)(struct archive *, int);
    const char *(*archive_error_string)(struct archive *);
    int (*archive_read_free)(struct archive *);
};

/* Written once, under pthread_once. */
static struct api api;
static bool loaded;

static void load(void) {
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    loaded = library != NULL;
#define RESOLVE(name)                                                          \
    loaded = loaded && library_resolve(library, #name, &api.name)
    RESOLVE(archive_read_new);
    RESOLVE(archive_read_support_filter_gzip);
    RESOLVE(archive_read_support_filter_bzip2);
    RESOLVE(archive_read_support_filter_xz);
    RESOLVE(archive_read_support_filter_zstd);
    RESOLVE(archive_read_support_format_raw);
    RESOLVE(archive_read_open_fd);
    RESOLVE(archive_read_next_header);
    RESOLVE(archive_read_data);
    RESOLVE(archive_filter_bytes);
    RESOLVE(archive_error_string);
    RESOLVE(archive_read_free);
#undef RESOLVE
}

static bool available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

struct decompressor {
    struct archive *archive;
    int fd;
    int64_t bytes;
};

static struct decompressor *check(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static int decompressor_close(lua_State *L) {
    struct decompressor *d = check(L);
    if (d->archive)
        api.archive_read_free(d->archive);
    if (d->fd >= 0)
        close(d->fd);
    d->archive = NULL;
    d->fd = -1;
    return 0;
}

static int failed(lua_State *L, const char *why) {
    lua_pushnil(L);
    lua_pushstring(L, why ? why : "no reason given");
    return 2;
}

static int read_some(lua_State *L, struct decompressor *d, void *block,
                     size_t size) {
    ssize_t n = api.archive_read_data(d->archive, block, size);
    if (n < 0)
        return failed(L, api.archive_error_string(d->archive));
    if (n == 0)
        return 0;
    d->bytes += n;
    if (d->bytes > RATIO_FROM &&
        d->bytes / RATIO_MAX > api.archive_filter_bytes(d->archive, -1))
        return failed(L, "it grows more than 2000 times: refused as a "
                         "decompression bomb");
    lua_pushlstring(L, block, (size_t)n);
    return 1;
}

static int decompressor_read(lua_State *L) {
    struct decompressor *d = check(L);
    lua_Integer most = luaL_checkinteger(L, 2);
    luaL_argcheck(L, most > 0 && most <= READ_MAX, 2, "a number of bytes");
    if (!d->archive)
        return failed(L, "it is closed");
    return read_some(L, d, lua_newuserdata(L, (size_t)most), (size_t)most);
}

/* Pushes an empty reader. */
static struct decompressor *push(lua_State *L) {
    static const luaL_Reg methods[] = {{"read", decompressor_read},
                                       {"close", decompressor_close},
                                       {NULL, NULL}};
    struct decompressor *d = lua_newuserdata(L, sizeof *d);
    *d = (struct decompressor){.fd = -1};
    if (luaL_newmetatable(L, TYPE)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, decompressor_close);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return d;
}

static bool start(struct archive *a, int fd) {
    struct archive_entry *entry;
    return api.archive_read_support_filter_gzip(a) == OK &&
           api.archive_read_support_filter_bzip2(a) == OK &&
           api.archive_read_support_filter_xz(a) == OK &&
           api.archive_read_support_filter_zstd(a) == OK &&
           api.archive_read_support_format_raw(a) == OK &&
           api.archive_read_open_fd(a, fd, BLOCK) == OK &&
           api.archive_read_next_header(a, &entry) == OK;
}

int decompress_lua_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const char *root = luaL_optstring(L, 2, NULL);
    struct decompressor *d = push(L);
    if (!available())
        return failed(L, LIBRARY_NAME ", which decompresses, cannot be loaded");
    d->fd = regular_open(path, root);
    if (d->fd < 0)
        return failed(L, regular_problem(errno));
    d->archive = api.archive_read_new();
    if (!d->archive)
        return failed(L, "not enough memory");
    if (!start(d->archive, d->fd))
        return failed(L, api.archive_error_string(d->archive));
    return 1;
}
