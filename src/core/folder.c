#define _GNU_SOURCE /* renameat2, F_SETLEASE */
#include "folder.h"
#include "beneath.h"
#include "clock.h"
#include "hashing.h"
#include "lua_compat.h"
#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_TYPE "contree.folder"
#define COPYING_TYPE "contree.copying"

static int check_folder(lua_State *L) {
    const int *fd = luaL_checkudata(L, 1, FOLDER_TYPE);
    if (*fd < 0)
        luaL_error(L, "this folder is closed");
    return *fd;
}

static const char *reason_of(int error) {
    switch (error) {
    case EEXIST:
    case ENOTEMPTY:
        return "exists";
    case ENOENT:
    case ENOTDIR:
        return "missing";
    case ELOOP:
    case EXDEV:
        return "link";
    default:
        return NULL;
    }
}

static int failed(lua_State *L, const char *path) {
    int error = errno;
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path,
                    error == ELOOP ? "a symbolic link is in the way"
                                   : regular_problem(error));
    lua_pushstring(L, reason_of(error));
    return 3;
}

static int done(lua_State *L, const char *path, int result) {
    if (result < 0)
        return failed(L, path);
    lua_pushboolean(L, 1);
    return 1;
}

/* For the functions that change the directory of a path: runs one with that
 * directory and the last name. */
static int in_parent(lua_State *L, int (*function)(lua_State *L, int parent,
                                                   const char *name)) {
    const char *path = luaL_checkstring(L, 2), *name;
    int parent = beneath_parent(check_folder(L), path, &name);
    int result = parent < 0 ? -1 : function(L, parent, name);
    beneath_close(parent);
    return done(L, path, result);
}

/* A name beside another file: the argument at 3. */
static const char *check_name(lua_State *L) {
    const char *name = luaL_checkstring(L, 3);
    luaL_argcheck(L,
                  *name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
                      strcmp(name, "..") != 0,
                  3, "must be a name");
    return name;
}

static int folder_gc(lua_State *L) {
    int *fd = luaL_checkudata(L, 1, FOLDER_TYPE);
    beneath_close(*fd);
    *fd = -1;
    return 0;
}

int folder_lua_new(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int *fd = compat_newuserdata(L, sizeof *fd);
    *fd = -1;
    luaL_setmetatable(L, FOLDER_TYPE);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? failed(L, path) : 1;
}

static int folder_lock(lua_State *L) {
    lua_pushboolean(L, flock(check_folder(L), LOCK_EX | LOCK_NB) == 0);
    return 1;
}

/* ---- looking ---- */

static void set_integer(lua_State *L, const char *name, long long value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_status(lua_State *L, const struct stat *status) {
    char text[128];
    lua_createtable(L, 0, 8);
    lua_pushstring(L, S_ISREG(status->st_mode)   ? "file"
                      : S_ISDIR(status->st_mode) ? "directory"
                      : S_ISLNK(status->st_mode) ? "link"
                                                 : "other");
    lua_setfield(L, -2, "type");
    set_integer(L, "size", status->st_size);
    set_integer(L, "mode", status->st_mode & 07777);
    set_integer(L, "uid", status->st_uid);
    set_integer(L, "gid", status->st_gid);
    snprintf(text, sizeof text, "%ju.%ju", (uintmax_t)status->st_dev,
             (uintmax_t)status->st_ino);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "inode");
    snprintf(text, sizeof text, "%jd.%ld %jd %jo",
             (intmax_t)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
             (intmax_t)status->st_size, (uintmax_t)status->st_mode);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "stamp");
}

static int folder_look(lua_State *L) {
    const char *path = luaL_checkstring(L, 2), *name;
    int parent = beneath_parent(check_folder(L), path, &name);
    char target[PATH_MAX];
    struct stat status;
    ssize_t length = 0;
    int result =
        parent < 0 ? -1 : fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && S_ISLNK(status.st_mode)) {
        length = readlinkat(parent, name, target, sizeof target);
        result = length < 0 ? -1 : 0;
    }
    beneath_close(parent);
    if (result < 0)
        return errno == ENOENT || errno == ENOTDIR ? compat_nil(L)
                                                   : failed(L, path);
    push_status(L, &status);
    if (S_ISLNK(status.st_mode)) {
        lua_pushlstring(L, target, (size_t)length);
        lua_setfield(L, -2, "target");
    }
    return 1;
}

static int open_regular(int root, const char *path) {
    struct stat status;
    int fd = beneath_open(root, path, O_RDONLY, 0);
    if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

static int folder_hash(lua_State *L) {
    const char *path = luaL_checkstring(L, 2);
    int fd = open_regular(check_folder(L), path);
    return fd < 0 ? failed(L, path) : hashing_push(L, fd);
}

/* A lease is granted only while nobody has the file open for writing. Whoever
 * opens it in this very moment makes the system send a signal: one that is
 * ignored by default, in place of SIGIO, which ends a process. */
static int folder_idle(lua_State *L) {
    const char *path = luaL_checkstring(L, 2);
    int fd = open_regular(check_folder(L), path);
    bool idle = true;
    if (fd < 0)
        return failed(L, path);
#ifdef F_SETLEASE
    if (fcntl(fd, F_SETSIG, SIGURG) == 0) {
        idle = fcntl(fd, F_SETLEASE, F_RDLCK) == 0 || errno != EAGAIN;
        fcntl(fd, F_SETLEASE, F_UNLCK);
    }
#endif
    close(fd);
    lua_pushboolean(L, idle);
    return 1;
}

/* ---- new files ---- */

struct copying {
    int from, to;
};

static int copying_gc(lua_State *L) {
    struct copying *copying = luaL_checkudata(L, 1, COPYING_TYPE);
    beneath_close(copying->from);
    beneath_close(copying->to);
    copying->from = copying->to = -1;
    return 0;
}

static int option(lua_State *L, int index, const char *name, int otherwise) {
    lua_getfield(L, index, name);
    int value = (int)luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static int folder_copy(lua_State *L) {
    const char *from = luaL_checkstring(L, 2);
    const char *path = luaL_checkstring(L, 3);
    int root = check_folder(L), uid, gid;
    luaL_checktype(L, 4, LUA_TTABLE);
    uid = option(L, 4, "uid", -1);
    gid = option(L, 4, "gid", -1);
    mode_t mode = (mode_t)option(L, 4, "mode", 0644) & 07777;
    struct copying *copying = compat_newuserdata(L, sizeof *copying);
    *copying = (struct copying){-1, -1};
    luaL_setmetatable(L, COPYING_TYPE);
    copying->from = regular_open(from, NULL);
    if (copying->from < 0)
        return failed(L, from);
    copying->to = beneath_open(root, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (copying->to < 0)
        return failed(L, path);
    /* Only root may give files away. The owner first: it resets bits. */
    if ((uid >= 0 || gid >= 0) &&
        fchown(copying->to, (uid_t)uid, (gid_t)gid) < 0 && errno != EPERM)
        return failed(L, path);
    return fchmod(copying->to, mode) < 0 ? failed(L, path) : 1;
}

static int write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The bytes that were copied; 0 at the end, -1 with errno set. */
static ssize_t copy_part(const struct copying *copying) {
    char block[64 * 1024];
    ssize_t n;
    do
        n = read(copying->from, block, sizeof block);
    while (n < 0 && errno == EINTR);
    if (n > 0 && write_all(copying->to, block, (size_t)n) < 0)
        return -1;
    return n;
}

static int copying_step(lua_State *L) {
    struct copying *copying = luaL_checkudata(L, 1, COPYING_TYPE);
    double limit = clock_now() + luaL_checknumber(L, 2);
    ssize_t n;
    if (copying->to < 0)
        return luaL_error(L, "this copy is complete");
    do
        n = copy_part(copying);
    while (n > 0 && clock_now() < limit);
    if (n > 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (n == 0 && fsync(copying->to) < 0)
        n = -1;
    int result = done(L, "copying", (int)n);
    copying_gc(L);
    return result;
}

static int make_link(lua_State *L, int parent, const char *name) {
    return symlinkat(luaL_checkstring(L, 3), parent, name);
}

static int folder_link(lua_State *L) {
    luaL_checkstring(L, 3);
    return in_parent(L, make_link);
}

static int make_directory(lua_State *L, int parent, const char *name) {
    int fd, result;
    mode_t mode = (mode_t)lua_tointeger(L, 3) & 07777;
    if (mkdirat(parent, name, 0700) < 0)
        return -1;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    result = fd < 0 ? -1 : fchmod(fd, mode);
    beneath_close(fd);
    return result;
}

static int folder_mkdir(lua_State *L) {
    luaL_checkinteger(L, 3);
    return in_parent(L, make_directory);
}

/* ---- names ---- */

static int rename_beside(lua_State *L, int parent, const char *name,
                         unsigned flags) {
    return renameat2(parent, name, parent, lua_tostring(L, 3), flags);
}

static int swap(lua_State *L, int parent, const char *name) {
    return rename_beside(L, parent, name, RENAME_EXCHANGE);
}

/* The answer false for an error that is no failure. */
static int but_false_at(lua_State *L, int results, int error) {
    if (results == 1 || errno != error)
        return results;
    lua_pushboolean(L, 0);
    return 1;
}

static int folder_swap(lua_State *L) {
    check_name(L);
    return but_false_at(L, in_parent(L, swap), EINVAL);
}

/* Not all file systems know the flag; a link to the new name does not replace
 * either, but is no way for directories. */
static int move(lua_State *L, int parent, const char *name) {
    const char *other = lua_tostring(L, 3);
    struct stat status;
    int result = rename_beside(L, parent, name, RENAME_NOREPLACE);
    if (result == 0 || errno != EINVAL)
        return result;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode)) {
        if (fstatat(parent, other, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return renameat(parent, name, parent, other);
        errno = EEXIST;
        return -1;
    }
    if (linkat(parent, name, parent, other, 0) < 0)
        return -1;
    return unlinkat(parent, name, 0);
}

static int folder_move(lua_State *L) {
    check_name(L);
    return but_false_at(L, in_parent(L, move), EEXIST);
}

static int replace(lua_State *L, int parent, const char *name) {
    return rename_beside(L, parent, name, 0);
}

static int folder_replace(lua_State *L) {
    check_name(L);
    return in_parent(L, replace);
}

static int remove_name(lua_State *L, int parent, const char *name) {
    (void)L;
    int result = unlinkat(parent, name, 0);
    if (result < 0 && (errno == EISDIR || errno == EPERM))
        result = unlinkat(parent, name, AT_REMOVEDIR);
    return result;
}

static int folder_remove(lua_State *L) {
    return in_parent(L, remove_name);
}

static int sync_parent(lua_State *L, int parent, const char *name) {
    (void)L;
    (void)name;
    return fsync(parent);
}

static int folder_sync(lua_State *L) {
    return in_parent(L, sync_parent);
}

/* ---- small files of our own ---- */

static int write_beside(int parent, const char *temporary, const char *data,
                        size_t size, bool durable) {
    int fd, result;
    unlinkat(parent, temporary, 0); /* of a process that was killed */
    fd = openat(parent, temporary,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    result = write_all(fd, data, size);
    if (result == 0 && durable)
        result = fsync(fd);
    beneath_close(fd);
    return result;
}

static int write_file(lua_State *L, int parent, const char *name) {
    size_t size;
    const char *data = lua_tolstring(L, 3, &size);
    bool durable = lua_toboolean(L, 4);
    char temporary[NAME_MAX + 1];
    snprintf(temporary, sizeof temporary, "%.200s.%ld", name, (long)getpid());
    if (write_beside(parent, temporary, data, size, durable) < 0 ||
        renameat(parent, temporary, parent, name) < 0) {
        int error = errno;
        unlinkat(parent, temporary, 0);
        errno = error;
        return -1;
    }
    return durable ? fsync(parent) : 0;
}

static int folder_write(lua_State *L) {
    luaL_checkstring(L, 3);
    return in_parent(L, write_file);
}

static int folder_append(lua_State *L) {
    size_t size;
    const char *path = luaL_checkstring(L, 2);
    const char *data = luaL_checklstring(L, 3, &size);
    int fd = beneath_open(check_folder(L), path, O_WRONLY | O_APPEND | O_CREAT,
                          0600);
    int result = fd < 0 ? -1 : write_all(fd, data, size);
    if (result == 0)
        result = fsync(fd);
    beneath_close(fd);
    return done(L, path, result);
}

void folder_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"lock", folder_lock},     {"look", folder_look},
        {"hash", folder_hash},     {"idle", folder_idle},
        {"copy", folder_copy},     {"link", folder_link},
        {"mkdir", folder_mkdir},   {"swap", folder_swap},
        {"move", folder_move},     {"replace", folder_replace},
        {"remove", folder_remove}, {"sync", folder_sync},
        {"write", folder_write},   {"append", folder_append},
        {"close", folder_gc},      {NULL, NULL}};
    static const luaL_Reg copying[] = {{"step", copying_step}, {NULL, NULL}};
    compat_newtype(L, FOLDER_TYPE, methods, folder_gc);
    compat_newtype(L, COPYING_TYPE, copying, copying_gc);
}
