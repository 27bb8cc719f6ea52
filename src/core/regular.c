#include "regular.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static void close_quietly(int fd) {
    int error = errno;
    close(fd);
    errno = error;
}

/* Opens a path below a directory. Without openat2 in the kernel, ".." and a
 * link at the end of the path are refused. */
static int open_below(int dir, const char *path) {
#if defined(__linux__) && defined(SYS_openat2)
    struct open_how how = {.flags = FLAGS,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd;

    do
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    if (fd >= 0 || errno != ENOSYS)
        return fd;
#endif
    if (path[0] == '/' || strstr(path, "..")) {
        errno = EXDEV;
        return -1;
    }
    return openat(dir, path, FLAGS | O_NOFOLLOW);
}

static int open_any(const char *path, const char *root) {
    int dir, fd;
    if (!root)
        return open(path, FLAGS);
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    fd = open_below(dir, path);
    close_quietly(dir);
    return fd;
}

int regular_open(const char *path, const char *root) {
    int fd = open_any(path, root);
    struct stat status;
    if (fd < 0) {
        /* A socket, or a device without a driver. */
        if (errno == ENXIO || errno == ENODEV)
            errno = EINVAL;
        return -1;
    }
    if (fstat(fd, &status) < 0) {
        close_quietly(fd);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

const char *regular_problem(int error) {
    switch (error) {
    case EXDEV:
        return "it leads out of its directory";
    case EINVAL:
        return "it is not a regular file";
    case EFBIG:
        return "it is too large";
    default:
        return strerror(error);
    }
}

/* Reads up to `most` bytes into the buffer; false with errno set. */
static bool read_all(int fd, luaL_Buffer *b, size_t most) {
    size_t total = 0;
    for (;;) {
        char *block = luaL_prepbuffer(b);
        ssize_t n = read(fd, block, LUAL_BUFFERSIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        total += (size_t)n;
        if (total > most) {
            errno = EFBIG;
            return false;
        }
        luaL_addsize(b, (size_t)n);
    }
}

#define FILE_TYPE "contree.file"

static int close_file(lua_State *L) {
    int *fd = luaL_checkudata(L, 1, FILE_TYPE);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return 0;
}

/* The descriptor as a userdata on top of the stack, so that it is closed even
 * when Lua runs out of memory meanwhile. */
static int *push_file(lua_State *L) {
    int *fd = compat_newuserdata(L, sizeof *fd);
    *fd = -1;
    luaL_setmetatable(L, FILE_TYPE);
    return fd;
}

static int failed(lua_State *L, const char *path, int error) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, regular_problem(error));
    lua_pushboolean(L, error == ENOENT);
    return 3;
}

int regular_lua_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_Number most = luaL_checknumber(L, 2);
    const char *root = luaL_optstring(L, 3, NULL);
    int *fd = push_file(L);
    luaL_Buffer b;
    luaL_argcheck(L, most >= 0 && most < (lua_Number)SIZE_MAX, 2,
                  "a number of bytes");
    *fd = regular_open(path, root);
    if (*fd < 0)
        return failed(L, path, errno);
    luaL_buffinit(L, &b);
    bool done = read_all(*fd, &b, (size_t)most);
    int error = errno;
    luaL_pushresult(&b);
    close(*fd);
    *fd = -1;
    return done ? 1 : failed(L, path, error);
}

int regular_lua_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const char *root = luaL_optstring(L, 2, NULL);
    int *fd = push_file(L);
    *fd = regular_open(path, root);
    return *fd < 0 ? failed(L, path, errno) : 1;
}

static int file_describe(lua_State *L) {
    const int *fd = luaL_checkudata(L, 1, FILE_TYPE);
    struct stat status;
    char inode[48];
    if (fstat(*fd, &status) < 0)
        return failed(L, "an open file", errno);
    snprintf(inode, sizeof inode, "%ju.%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, *fd);
    lua_setfield(L, -2, "fd");
    lua_pushinteger(L, (lua_Integer)status.st_size);
    lua_setfield(L, -2, "size");
    lua_pushstring(L, inode);
    lua_setfield(L, -2, "inode");
    return 1;
}

void regular_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"describe", file_describe}, {"close", close_file}, {NULL, NULL}};
    compat_newtype(L, FILE_TYPE, methods, close_file);
}
