#include "pack.h"
#include "clock.h"
#include "lua_compat.h"
#include "tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACK_TYPE "contree.pack"

enum {
    ENOUGH = 512 * 1024, /* bytes of one step */
    PIECE = 256 * 1024   /* of a file, between looks at the clock */
};

/* An open directory. */
struct level {
    DIR *dir;
    size_t path; /* the length of its own in pack.path */
    bool shown;  /* something in it is in the archive, or it is left out */
};

struct pack {
    struct bytes out, path; /* the path ends with a NUL, which is not counted */
    struct level *levels;
    size_t depth, room;
    int fd; /* of the file that is being read, -1: none */
    off_t left, size;
    bool has_mode, over;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    size_t
        top; /* the length of the directory's path at the begin of pack.path */
};

static struct pack *check_pack(lua_State *L) {
    return luaL_checkudata(L, 1, PACK_TYPE);
}

static void end_pack(struct pack *p) {
    while (p->depth > 0)
        closedir(p->levels[--p->depth].dir);
    free(p->levels);
    p->levels = NULL;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    bytes_free(&p->out);
    bytes_free(&p->path);
    p->over = true;
}

static int pack_gc(lua_State *L) {
    end_pack(check_pack(L));
    return 0;
}

/* ---- paths ---- */

/* The name of the current entry in the archive. */
static const char *name_of(const struct pack *p) {
    return p->path.data + p->top + 1;
}

/* Makes the path that of an entry of the directory at the top; NULL: that of
 * the directory. False when there is no memory. */
static bool set_name(struct pack *p, const char *name) {
    p->path.length = p->levels[p->depth - 1].path;
    if (!name)
        return bytes_append(&p->path, "", 1) && p->path.length-- > 0;
    return bytes_append(&p->path, "/", 1) &&
           bytes_append(&p->path, name, strlen(name) + 1) &&
           p->path.length-- > 0;
}

/* ---- entries ---- */

/* The functions from here to step() return false with a message on top of the
 * stack. */
static bool refuse(lua_State *L, const struct pack *p, const char *why) {
    lua_pushfstring(L, "%s: %s", p->path.data, why);
    return false;
}

static bool failed(lua_State *L, const struct pack *p) {
    return refuse(L, p, strerror(errno));
}

static bool no_memory(lua_State *L) {
    lua_pushliteral(L, "not enough memory");
    return false;
}

static bool enter(lua_State *L, struct pack *p, int fd) {
    if (p->depth == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        struct level *levels = realloc(p->levels, room * sizeof *levels);
        if (!levels) {
            close(fd);
            return no_memory(L);
        }
        p->levels = levels;
        p->room = room;
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return failed(L, p);
    }
    p->levels[p->depth++] = (struct level){.dir = dir, .path = p->path.length};
    return true;
}

static bool add(lua_State *L, struct pack *p, struct tar_entry *e) {
    e->name = name_of(p);
    e->uid = p->uid;
    e->gid = p->gid;
    for (size_t i = 0; i < p->depth; i++)
        p->levels[i].shown = true;
    return tar_header(&p->out, e) || no_memory(L);
}

/* An image's directories keep their modes, so a directory is not described but
 * implied by what is in it: at least by a name that unpacking knows and drops.
 */
static bool leave(lua_State *L, struct pack *p) {
    struct tar_entry e = {.type = '0', .mode = 0644};
    bool shown = p->levels[p->depth - 1].shown;
    if (!shown && (!set_name(p, ".wh..wh.plnk") || !add(L, p, &e)))
        return no_memory(L);
    closedir(p->levels[--p->depth].dir);
    return true;
}

/* Whether the file was added under another name; else its name is kept. */
static bool is_known(lua_State *L, const struct pack *p, const struct stat *st,
                     struct tar_entry *e) {
    char inode[48];
    if (st->st_nlink < 2)
        return false;
    snprintf(inode, sizeof inode, "%ju.%ju", (uintmax_t)st->st_dev,
             (uintmax_t)st->st_ino);
    compat_gettable(L, 1);
    lua_getfield(L, -1, inode);
    e->target = lua_tostring(L, -1); /* the table keeps it */
    lua_pop(L, 1);
    if (!e->target) {
        lua_pushstring(L, name_of(p));
        lua_setfield(L, -2, inode);
    }
    lua_pop(L, 1);
    return e->target != NULL;
}

static bool add_file(lua_State *L, struct pack *p, int dir, const char *name) {
    struct stat st;
    struct tar_entry e = {.type = '0'};
    p->fd = openat(dir, name,
                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (p->fd < 0 || fstat(p->fd, &st) < 0)
        return failed(L, p);
    if (!S_ISREG(st.st_mode))
        return refuse(L, p, "it has changed while it was read");
    p->left = p->size = st.st_size;
    if (is_known(L, p, &st, &e)) {
        e.type = '1';
        p->left = p->size = 0;
    }
    e.mode = p->has_mode ? p->mode : st.st_mode & 0111 ? 0755 : 0644;
    e.size = p->size;
    e.mtime = st.st_mtime;
    return add(L, p, &e);
}

static bool add_link(lua_State *L, struct pack *p, int dir, const char *name,
                     const struct stat *st) {
    char target[PATH_MAX];
    struct tar_entry e = {
        .type = '2', .mode = 0777, .target = target, .mtime = st->st_mtime};
    ssize_t length = readlinkat(dir, name, target, sizeof target - 1);
    if (length < 0)
        return failed(L, p);
    target[length] = '\0';
    return add(L, p, &e);
}

static bool add_directory(lua_State *L, struct pack *p, int dir,
                          const char *name, bool ignored) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(L, p);
    if (!enter(L, p, fd))
        return false;
    p->levels[p->depth - 1].shown = ignored;
    return true;
}

/* What ignores() says of the current entry: see pack.h. */
static int verdict(lua_State *L, const struct pack *p, bool is_directory) {
    compat_gettable(L, 1);
    lua_rawgeti(L, -1, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 2);
        return 0;
    }
    lua_pushstring(L, name_of(p));
    lua_pushboolean(L, is_directory);
    lua_call(L, 2, 1);
    int said = (int)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return said;
}

static bool add_entry(lua_State *L, struct pack *p, const struct dirent *d) {
    int dir = dirfd(p->levels[p->depth - 1].dir);
    struct stat st = {.st_mode = S_IFREG};
    if (!set_name(p, d->d_name))
        return no_memory(L);
    if (d->d_type != DT_REG &&
        fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(L, p);
    int said = verdict(L, p, S_ISDIR(st.st_mode));
    if (S_ISDIR(st.st_mode) && said < 2)
        return add_directory(L, p, dir, d->d_name, said == 1);
    if (said > 0)
        return true;
    if (strncmp(d->d_name, ".wh.", 4) == 0)
        return refuse(L, p, "a name with .wh. removes a file in a layer");
    if (S_ISREG(st.st_mode))
        return add_file(L, p, dir, d->d_name);
    if (S_ISLNK(st.st_mode))
        return add_link(L, p, dir, d->d_name, &st);
    return refuse(L, p, "it is neither a file nor a directory");
}

static bool add_next(lua_State *L, struct pack *p) {
    const struct dirent *d;
    do {
        errno = 0;
        d = readdir(p->levels[p->depth - 1].dir);
        if (!d && errno)
            return failed(L, p);
        if (!d)
            return leave(L, p);
    } while (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0);
    return add_entry(L, p, d);
}

/* ---- contents ---- */

static bool end_file(lua_State *L, struct pack *p) {
    close(p->fd);
    p->fd = -1;
    return tar_pad(&p->out, p->size) || no_memory(L);
}

static bool read_piece(lua_State *L, struct pack *p) {
    size_t most = p->left < PIECE ? (size_t)p->left : PIECE;
    if (most == 0)
        return end_file(L, p);
    if (!bytes_reserve(&p->out, most))
        return no_memory(L);
    ssize_t n = read(p->fd, p->out.data + p->out.length, most);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0)
        return failed(L, p);
    if (n == 0)
        return refuse(L, p, "it became shorter while it was read");
    p->out.length += (size_t)n;
    p->left -= n;
    return p->left > 0 || end_file(L, p);
}

/* ---- the face for Lua ---- */

static bool go_on(lua_State *L, struct pack *p) {
    if (p->fd >= 0)
        return read_piece(L, p);
    if (p->depth > 0)
        return add_next(L, p);
    p->over = true;
    return tar_end(&p->out) || no_memory(L);
}

static int pack_step(lua_State *L) {
    struct pack *p = check_pack(L);
    double limit = clock_now() + luaL_checknumber(L, 2);
    lua_settop(L, 2);
    if (p->over)
        return compat_nil(L);
    do {
        if (!go_on(L, p)) {
            end_pack(p);
            lua_pushnil(L);
            lua_insert(L, -2);
            return 2;
        }
    } while (!p->over && p->out.length < ENOUGH && clock_now() < limit);
    lua_pushlstring(L, p->out.data ? p->out.data : "", p->out.length);
    p->out.length = 0;
    return 1;
}

static lua_Integer number_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void read_options(lua_State *L, struct pack *p) {
    lua_getfield(L, 1, "mode");
    p->has_mode = !lua_isnil(L, -1);
    lua_pop(L, 1);
    p->mode = (mode_t)number_field(L, "mode") & 07777;
    p->uid = (uid_t)number_field(L, "uid");
    p->gid = (gid_t)number_field(L, "gid");
}

int pack_lua_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "path");
    const char *path = luaL_checkstring(L, 2);
    struct pack *p = compat_newuserdata(L, sizeof *p);
    *p = (struct pack){.fd = -1, .top = strlen(path)};
    luaL_setmetatable(L, PACK_TYPE);
    lua_createtable(L, 1, 0); /* [1]: ignores; inode: name */
    lua_getfield(L, 1, "ignores");
    lua_rawseti(L, -2, 1);
    compat_settable(L, -2);
    read_options(L, p);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!bytes_append(&p->path, path, p->top + 1)) {
        if (fd >= 0)
            close(fd);
        return luaL_error(L, "not enough memory");
    }
    p->path.length--;
    if (fd >= 0 ? enter(L, p, fd) : failed(L, p))
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

void pack_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", pack_step}, {NULL, NULL}};
    compat_newtype(L, PACK_TYPE, methods, pack_gc);
}
