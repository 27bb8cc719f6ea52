#define _GNU_SOURCE /* futimens */
#include "untar.h"
#include "bytes.h"
#include "lua_compat.h"
#include "tar.h"
#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNTAR_TYPE "contree.untar"

enum { RECORDS_MAX = 16 << 20 }; /* bytes of one header, or of one map */

#define FILE_MAX (INT64_C(1) << 60)

/* What the archive consists of. */
enum part { HEADER, RECORDS, MAP, DATA, PAD };

struct untar {
    char *to, *below;
    struct tree tree;
    enum part part;
    uint64_t left; /* bytes of this part */
    uint64_t pad;  /* zeros behind it */
    bool over;
    char problem[PATH_MAX + 256];

    struct bytes block;        /* of this part, so far */
    char records_of;           /* the type of these RECORDS */
    struct bytes name, target; /* told ahead; length 0: not */
    int64_t size, real_size;   /* told ahead; -1: not */
    struct timespec mtime;     /* the same, with tv_nsec -1 */
    bool sparse;

    int fd; /* of the file that is written, -1: none */
    struct tree_entry entry;
    int64_t *map; /* of a sparse file: offset and length of each piece */
    size_t pieces, piece;
    int64_t lines; /* of the map, so far */
    int64_t at;    /* where the next byte goes */
    int64_t end;   /* of the file */
};

static bool refuse(struct untar *u, const char *name, const char *why) {
    snprintf(u->problem, sizeof u->problem, "%s%s%.*s: %s", u->to,
             *name ? "/" : "", PATH_MAX / 2, name, why);
    return false;
}

static bool damaged(struct untar *u) {
    return refuse(u, "", "the archive is damaged");
}

static bool failed(struct untar *u, const char *name) {
    return refuse(u, name,
                  errno == EINVAL   ? "no path may lead out"
                  : errno == EEXIST ? "it is in the archive twice"
                                    : strerror(errno));
}

/* ---- what is told ahead ---- */

static void forget(struct untar *u) {
    u->name.length = u->target.length = 0;
    u->size = u->real_size = -1;
    u->mtime = (struct timespec){.tv_nsec = -1};
    u->sparse = false;
}

static bool set_text(struct untar *u, struct bytes *to, const char *text,
                     size_t size) {
    to->length = 0;
    if (memchr(text, '\0', size))
        return damaged(u);
    if (!bytes_append(to, text, size) || !bytes_append(to, "", 1))
        return refuse(u, "", "not enough memory");
    return true;
}

static int64_t decimal(const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return end == text || errno || value < 0 ? -1 : value;
}

static struct timespec time_of(const char *text) {
    char *end;
    struct timespec t = {.tv_sec = (time_t)strtoll(text, &end, 10)};
    long scale = 100000000;
    if (*end == '.')
        for (const char *p = end + 1; *p >= '0' && *p <= '9' && scale > 0;
             p++) {
            t.tv_nsec += (*p - '0') * scale;
            scale /= 10;
        }
    if (*text == '-' && t.tv_nsec && t.tv_sec > INT64_MIN) {
        t.tv_sec--;
        t.tv_nsec = 1000000000 - t.tv_nsec;
    }
    return t;
}

/* A record of a pax header; its value ends with a NUL. */
static bool take_record(struct untar *u, const char *key, const char *value,
                        size_t size) {
    if (strcmp(key, "path") == 0)
        return u->sparse || set_text(u, &u->name, value, size);
    if (strcmp(key, "linkpath") == 0)
        return set_text(u, &u->target, value, size);
    if (strcmp(key, "size") == 0)
        return (u->size = decimal(value)) >= 0 || damaged(u);
    if (strcmp(key, "mtime") == 0)
        u->mtime = time_of(value);
    if (strcmp(key, "GNU.sparse.realsize") == 0)
        return (u->real_size = decimal(value)) >= 0 || damaged(u);
    if (strcmp(key, "GNU.sparse.name") == 0) {
        u->sparse = true;
        return set_text(u, &u->name, value, size);
    }
    return true;
}

/* Records "LENGTH KEY=VALUE\n". */
static bool take_records(struct untar *u) {
    char *at = u->block.data, *end = at + u->block.length;
    while (at < end) {
        char *text;
        unsigned long length = strtoul(at, &text, 10);
        char *value =
            *text == ' ' ? memchr(text, '=', (size_t)(end - text)) : NULL;
        if (length > (size_t)(end - at) || !value || value >= at + length ||
            at[length - 1] != '\n')
            return damaged(u);
        *value++ = '\0';
        at += length;
        at[-1] = '\0';
        if (!take_record(u, text + 1, value, (size_t)(at - 1 - value)))
            return false;
    }
    return true;
}

static bool end_records(struct untar *u) {
    /* So that no number is read past the end. */
    if (!bytes_append(&u->block, "", 1))
        return refuse(u, "", "not enough memory");
    u->block.length--;
    if (u->records_of == 'x')
        return take_records(u);
    size_t size = strnlen(u->block.data, u->block.length);
    return u->records_of == 'g' ||
           set_text(u, u->records_of == 'L' ? &u->name : &u->target,
                    u->block.data, size);
}

/* ---- headers ---- */

/* Octal digits, or base 256; -1 for what is no number. */
static int64_t number_of(const char *field, size_t width) {
    int64_t value = 0;
    size_t i = 0;
    if ((unsigned char)field[0] == 0x80) {
        for (i = 1; i < width; i++) {
            if (value > INT64_MAX >> 8)
                return -1;
            value = value << 8 | (unsigned char)field[i];
        }
        return value;
    }
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (field[i] - '0');
    return i == width || field[i] == '\0' || field[i] == ' ' ? value : -1;
}

static bool sum_is_right(const char *block) {
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (i < 148 || i >= 156)
            sum += (unsigned char)block[i];
    return number_of(block + 148, 8) == (int64_t)sum;
}

/* The name of the header, unless one was told ahead. */
static bool take_name(struct untar *u, const char *block) {
    char name[100 + 1 + 155 + 1];
    bool posix = memcmp(block + 257, "ustar", 6) == 0 && block[345];
    if (u->name.length > 0)
        return true;
    int length = snprintf(name, sizeof name, "%.*s%s%.100s", posix ? 155 : 0,
                          block + 345, posix ? "/" : "", block);
    return set_text(u, &u->name, name, (size_t)length);
}

/* Makes a path of the archive one below the directory that is unpacked: without
 * empty and "." parts. */
static bool relate(struct untar *u, struct bytes *path) {
    size_t used = 0, below = strlen(u->below);
    char *text = path->data;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "/");
        if (length == 2 && memcmp(p, "..", 2) == 0)
            return refuse(u, text, "no path may lead out");
        if (length && !(length == 1 && *p == '.')) {
            if (used)
                text[used++] = '/';
            memmove(text + used, p, length);
            used += length;
        }
        p += length + (p[length] == '/');
    }
    text[used] = '\0';
    if (strncmp(text, u->below, below) != 0 ||
        (below && text[below] && text[below] != '/'))
        return refuse(u, text, "it is not in the directory");
    memmove(text, text + below, used - below + 1);
    if (*text == '/')
        memmove(text, text + 1, strlen(text));
    return true;
}

/* ---- entries ---- */

static bool begin_file(struct untar *u) {
    u->fd = tree_file(&u->tree, &u->entry);
    if (u->fd < 0)
        return failed(u, u->entry.name);
    u->at = 0;
    u->end = u->sparse ? u->real_size : u->size;
    if (u->end < 0 || u->end > FILE_MAX)
        return damaged(u);
    u->part = u->sparse ? MAP : DATA;
    u->pieces = u->piece = 0;
    u->lines = 0;
    u->block.length = 0;
    return true;
}

static bool make_entry(struct untar *u, char type) {
    const char *name = u->entry.name;
    switch (type) {
    case '0':
    case '7':
    case '\0':
        return begin_file(u);
    case '1':
        return relate(u, &u->target) &&
               (tree_same(&u->tree, &u->entry, u->target.data) ||
                failed(u, name));
    case '2':
        return tree_link(&u->tree, &u->entry, u->target.data) ||
               failed(u, name);
    case '5':
        return tree_directory(&u->tree, &u->entry) || failed(u, name);
    default:
        return true;
    }
}

static bool take_entry(struct untar *u, const char *block) {
    int64_t mode = number_of(block + 100, 8);
    int64_t mtime = number_of(block + 136, 12);
    char target[101];
    snprintf(target, sizeof target, "%.100s", block + 157);
    if (!take_name(u, block) || !relate(u, &u->name) ||
        (u->target.length == 0 &&
         !set_text(u, &u->target, target, strlen(target))))
        return false;
    if (u->mtime.tv_nsec < 0)
        u->mtime = (struct timespec){.tv_sec = mtime > 0 ? (time_t)mtime : 0};
    u->entry = (struct tree_entry){.name = u->name.data,
                                   .mode = mode > 0 ? (mode_t)mode & 0777 : 0,
                                   .mtime = u->mtime};
    u->part = DATA;
    return make_entry(u, block[156]);
}

static bool take_header(struct untar *u) {
    const char *block = u->block.data;
    int64_t size = number_of(block + 124, 12);
    char type = block[156];
    if (!block[0] && number_of(block + 148, 8) == 0) {
        u->over = true;
        return true;
    }
    if (!sum_is_right(block) || size < 0)
        return damaged(u);
    if (strchr("xgLK", type) && type) {
        if (size > RECORDS_MAX)
            return damaged(u);
        u->records_of = type;
        u->part = RECORDS;
    } else {
        if (u->size < 0)
            u->size = size;
        size = u->size;
        if (!take_entry(u, block))
            return false;
    }
    u->left = (uint64_t)size;
    u->pad = (uint64_t)(-size & (TAR_BLOCK - 1));
    u->block.length = 0;
    return true;
}

/* ---- contents ---- */

/* The map of a sparse file: how many pieces, then the offset and length of
 * each, one number a line. */
static bool read_map(struct untar *u, int64_t count) {
    const char *p = u->block.data;
    free(u->map);
    u->map = calloc((size_t)count + 1, 2 * sizeof *u->map);
    if (!u->map)
        return refuse(u, "", "not enough memory");
    for (int64_t i = 0; i < 2 * count; i++) {
        p = strchr(p, '\n') + 1;
        u->map[i] = decimal(p);
        if (u->map[i] < 0 || u->map[i] > u->end ||
            (i % 2 && u->map[i - 1] + u->map[i] > u->end))
            return damaged(u);
    }
    u->pieces = (size_t)count;
    u->part = DATA;
    return true;
}

/* A block of the map has come; there are as many as its lines need. */
static bool take_map(struct untar *u) {
    const char *p = u->block.data + u->block.length - TAR_BLOCK;
    const char *end = p + TAR_BLOCK;
    while ((p = memchr(p, '\n', (size_t)(end - p)))) {
        p++;
        u->lines++;
    }
    if (u->block.length > RECORDS_MAX || u->lines == 0)
        return damaged(u);
    int64_t count = decimal(u->block.data);
    if (count < 0 || count > RECORDS_MAX / 4)
        return damaged(u);
    return u->lines < 1 + 2 * count || read_map(u, count);
}

/* How many of the next bytes belong together, and where. */
static size_t find_place(struct untar *u, size_t most) {
    if (!u->sparse)
        return most;
    while (u->piece < u->pieces && u->map[2 * u->piece + 1] == 0)
        u->piece++;
    if (u->piece == u->pieces)
        return 0;
    int64_t *piece = u->map + 2 * u->piece;
    u->at = piece[0];
    return (uint64_t)piece[1] < most ? (size_t)piece[1] : most;
}

static bool write_data(struct untar *u, const char *data, size_t size) {
    while (u->fd >= 0 && size > 0) {
        size_t most = find_place(u, size);
        if (most == 0)
            return damaged(u);
        ssize_t n = pwrite(u->fd, data, most, u->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(u, u->entry.name);
        data += n;
        size -= (size_t)n;
        u->at += n;
        if (u->sparse) {
            u->map[2 * u->piece] += n;
            u->map[2 * u->piece + 1] -= n;
        }
    }
    return true;
}

static bool end_data(struct untar *u) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, u->entry.mtime};
    bool done = true;
    if (u->fd >= 0) {
        done = (!u->sparse || ftruncate(u->fd, u->end) == 0) &&
               futimens(u->fd, times) == 0;
        done = close(u->fd) == 0 && done;
        u->fd = -1;
    }
    if (!done)
        return failed(u, u->entry.name);
    forget(u);
    return true;
}

/* ---- pieces ---- */

/* Collects bytes of a part that is read as a whole, or by blocks. */
static bool collect(struct untar *u, const char **data, size_t *size,
                    size_t most) {
    size_t n = *size < most ? *size : most;
    if (!bytes_append(&u->block, *data, n))
        return refuse(u, "", "not enough memory");
    *data += n;
    *size -= n;
    return true;
}

/* Goes on to the next part when this one is complete. */
static bool proceed(struct untar *u) {
    if (u->part == MAP && u->left == 0)
        return damaged(u);
    if (u->left > 0 || u->part == HEADER)
        return true;
    if (u->part == RECORDS && !end_records(u))
        return false;
    if (u->part == DATA && !end_data(u))
        return false;
    u->left = u->part == PAD ? 0 : u->pad;
    u->part = u->left > 0 ? PAD : HEADER;
    u->block.length = 0;
    return true;
}

static bool take_some(struct untar *u, const char **data, size_t *size) {
    size_t before = *size;
    size_t most = u->left < before ? (size_t)u->left : before;
    if (u->part == HEADER) {
        if (!collect(u, data, size, TAR_BLOCK - u->block.length))
            return false;
        return u->block.length < TAR_BLOCK || (take_header(u) && proceed(u));
    }
    if (u->part == RECORDS || u->part == MAP) {
        size_t rest = TAR_BLOCK - u->block.length % TAR_BLOCK;
        if (!collect(u, data, size,
                     u->part == MAP && rest < most ? rest : most))
            return false;
    } else {
        if (u->part == DATA && !write_data(u, *data, most))
            return false;
        *data += most;
        *size -= most;
    }
    u->left -= before - *size;
    if (u->part == MAP && u->block.length % TAR_BLOCK == 0 && !take_map(u))
        return false;
    return proceed(u);
}

/* ---- the face for Lua ---- */

static struct untar *check_untar(lua_State *L) {
    return luaL_checkudata(L, 1, UNTAR_TYPE);
}

static void end_untar(struct untar *u) {
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
    tree_end(&u->tree);
    bytes_free(&u->block);
    bytes_free(&u->name);
    bytes_free(&u->target);
    free(u->map);
    free(u->to);
    free(u->below);
    u->map = NULL;
    u->to = u->below = NULL;
}

static int untar_gc(lua_State *L) {
    end_untar(check_untar(L));
    return 0;
}

static int told(lua_State *L, struct untar *u) {
    lua_pushnil(L);
    lua_pushstring(L, u->problem);
    end_untar(u);
    return 2;
}

static int untar_feed(lua_State *L) {
    struct untar *u = check_untar(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    if (!u->to)
        return luaL_error(L, "this archive has ended");
    while (size > 0 && !u->over)
        if (!take_some(u, &data, &size))
            return told(L, u);
    lua_pushboolean(L, 1);
    return 1;
}

static int untar_finish(lua_State *L) {
    struct untar *u = check_untar(L);
    double seconds = luaL_checknumber(L, 2);
    if (!u->to)
        return luaL_error(L, "this archive has ended");
    if (!u->over) {
        refuse(u, "", "the archive is cut off");
        return told(L, u);
    }
    int settled = tree_settle(&u->tree, seconds);
    if (settled < 0 || (settled == 1 && !tree_finish(&u->tree, u->to))) {
        refuse(u, "",
               errno == ENOTEMPTY || errno == EEXIST
                   ? "there is a directory already that is not empty"
                   : strerror(errno));
        return told(L, u);
    }
    if (settled == 1)
        end_untar(u);
    lua_pushboolean(L, settled);
    return 1;
}

int untar_lua_new(lua_State *L) {
    const char *to = luaL_checkstring(L, 1), *below = luaL_checkstring(L, 2);
    struct untar *u = compat_newuserdata(L, sizeof *u);
    *u = (struct untar){.fd = -1, .tree = {.root = -1, .parent = -1}};
    luaL_setmetatable(L, UNTAR_TYPE);
    forget(u);
    u->to = strdup(to);
    u->below = strdup(below);
    if (!u->to || !u->below)
        return luaL_error(L, "not enough memory");
    if (tree_begin(&u->tree, to))
        return 1;
    refuse(u, "", strerror(errno));
    return told(L, u);
}

void untar_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"feed", untar_feed},
                                       {"finish", untar_finish},
                                       {"close", untar_gc},
                                       {NULL, NULL}};
    compat_newtype(L, UNTAR_TYPE, methods, untar_gc);
}
