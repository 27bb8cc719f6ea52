#include "directory.h"
#include "lua_compat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last value is whether nothing is there: what hides that is no answer. */
static int failed(lua_State *L, const char *path) {
    int error = errno;
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(error));
    lua_pushboolean(L, error == ENOENT || error == ENOTDIR);
    return 3;
}

static void set_integer(lua_State *L, const char *name, long long value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

int directory_lua_stat(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat status, own;
    if (lstat(path, &own) < 0 || stat(path, &status) < 0)
        return failed(L, path);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, S_ISREG(status.st_mode)   ? "file"
                      : S_ISDIR(status.st_mode) ? "directory"
                                                : "other");
    lua_setfield(L, -2, "type");
    set_integer(L, "size", status.st_size);
    set_integer(L, "mode", status.st_mode & 07777);
    set_integer(L, "uid", status.st_uid);
    lua_pushboolean(L, S_ISLNK(own.st_mode));
    lua_setfield(L, -2, "link");
    return 1;
}

/* Adds the target of a symbolic link. The link may change meanwhile, and its
 * size is not always known before. */
static bool set_target(lua_State *L, const char *path) {
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target);
    if (length < 0)
        return false;
    if (length == (ssize_t)sizeof target) {
        errno = ENAMETOOLONG;
        return false;
    }
    lua_pushlstring(L, target, (size_t)length);
    lua_setfield(L, -2, "target");
    return true;
}

int directory_lua_lstat(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat status;
    char inode[48];
    if (lstat(path, &status) < 0)
        return failed(L, path);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, S_ISREG(status.st_mode)    ? "file"
                      : S_ISDIR(status.st_mode)  ? "directory"
                      : S_ISLNK(status.st_mode)  ? "link"
                      : S_ISFIFO(status.st_mode) ? "fifo"
                                                 : "other");
    lua_setfield(L, -2, "type");
    set_integer(L, "size", status.st_size);
    set_integer(L, "mode", status.st_mode & 07777);
    set_integer(L, "nlink", (long long)status.st_nlink);
    snprintf(inode, sizeof inode, "%ju.%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    lua_pushstring(L, inode);
    lua_setfield(L, -2, "inode");
    if (S_ISLNK(status.st_mode) && !set_target(L, path))
        return failed(L, path);
    return 1;
}

static int close_directory(lua_State *L) {
    DIR **directory = lua_touserdata(L, 1);
    if (*directory)
        closedir(*directory);
    *directory = NULL;
    return 0;
}

/* The open directory as a userdata on top of the stack, so that it is closed
 * even when Lua runs out of memory meanwhile. */
static DIR **push_directory(lua_State *L) {
    DIR **directory = lua_newuserdata(L, sizeof *directory);
    *directory = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_directory);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return directory;
}

int directory_lua_list(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    DIR **directory = push_directory(L);
    const struct dirent *entry;
    int count = 0;
    *directory = opendir(path);
    if (!*directory)
        return failed(L, path);
    lua_newtable(L);
    while ((errno = 0, entry = readdir(*directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++count);
    }
    if (errno)
        return failed(L, path);
    closedir(*directory);
    *directory = NULL;
    return 1;
}

int directory_lua_real_path(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    char full[PATH_MAX];
    if (!realpath(path, full))
        return failed(L, path);
    lua_pushstring(L, full);
    return 1;
}

int directory_lua_mkdir(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    mode_t mode = (mode_t)luaL_checkinteger(L, 2);
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return failed(L, path);
    lua_pushboolean(L, 1);
    return 1;
}

int directory_lua_chmod(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    mode_t mode = (mode_t)luaL_checkinteger(L, 2);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int done, error;
    if (fd < 0)
        return failed(L, path);
    done = fchmod(fd, mode);
    error = errno;
    close(fd);
    errno = error;
    if (done < 0)
        return failed(L, path);
    lua_pushboolean(L, 1);
    return 1;
}
