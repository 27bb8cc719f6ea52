#include "request.h"
#include "curl_api.h"
#include "lua_compat.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define REQUEST_TYPE "contree.request"

/* Replaces a text; the request owns the copy. */
static void copy_text(lua_State *L, char **slot, const char *text) {
    char *copy = strdup(text);
    if (!copy)
        luaL_error(L, "not enough memory");
    free(*slot);
    *slot = copy;
}

/* The readers below find their value on top of the stack and leave it. */

static void expect(lua_State *L, const char *key, int type) {
    if (lua_type(L, -1) != type)
        luaL_error(L, "bad request: '%s' must be a %s, not a %s", key,
                   lua_typename(L, type), luaL_typename(L, -1));
}

/* Reads a text without control characters, which could break the request line,
 * a header or a path. */
static const char *read_text(lua_State *L, const char *key, size_t *size) {
    size_t length;
    expect(L, key, LUA_TSTRING);
    const char *text = lua_tolstring(L, -1, &length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 && text[i] != '\t')
            luaL_error(L, "bad request: '%s' holds a control character", key);
    if (size)
        *size = length;
    return text;
}

static const char *read_path(lua_State *L, const char *key) {
    size_t length;
    expect(L, key, LUA_TSTRING);
    const char *path = lua_tolstring(L, -1, &length);
    if (length == 0 || strlen(path) != length)
        luaL_error(L, "bad request: '%s' must be a path", key);
    return path;
}

static bool read_flag(lua_State *L, const char *key) {
    expect(L, key, LUA_TBOOLEAN);
    return lua_toboolean(L, -1);
}

/* Reads a whole number from 0 to 2^53. */
static long long read_count(lua_State *L, const char *key) {
    expect(L, key, LUA_TNUMBER);
    double value = lua_tonumber(L, -1);
    if (!(value >= 0 && value <= 9007199254740992.0 && floor(value) == value))
        luaL_error(L, "bad request: '%s' must be a whole number", key);
    return (long long)value;
}

static double read_seconds(lua_State *L, const char *key) {
    expect(L, key, LUA_TNUMBER);
    double value = lua_tonumber(L, -1);
    if (!(value > 0))
        luaL_error(L, "bad request: '%s' must be more than 0 seconds", key);
    return value < 1e6 ? value : 1e6;
}

double request_seconds(lua_State *L, int index) {
    lua_pushvalue(L, index);
    double value = read_seconds(L, "timeout");
    lua_pop(L, 1);
    return value;
}

static void read_method(lua_State *L, struct request *r, const char *key) {
    static const char *const repeatable[] = {
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL};
    const char *method = read_text(L, key, NULL);
    if (!*method ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(method))
        luaL_error(L, "bad request: '%s' must be upper-case letters", key);
    copy_text(L, &r->method, method);
    r->repeatable = false;
    for (int i = 0; repeatable[i]; i++)
        r->repeatable = r->repeatable || strcmp(method, repeatable[i]) == 0;
}

const char *request_read_url(lua_State *L, int index) {
    lua_pushvalue(L, index);
    if (lua_isnil(L, -1))
        luaL_error(L, "bad request: 'url' is missing");
    const char *url = read_text(L, "url", NULL);
    if (strncasecmp(url, "http://", 7) != 0 &&
        strncasecmp(url, "https://", 8) != 0)
        luaL_error(L, "bad request: 'url' must begin with http:// or https://");
    if (strpbrk(url, " \t"))
        luaL_error(L, "bad request: 'url' has a blank in it");
    lua_pop(L, 1);
    return url;
}

static void read_socket(lua_State *L, struct request *r, const char *key) {
    const char *path = read_path(L, key);
    if (strlen(path) >= SOCKET_PATH_SIZE)
        luaL_error(L, "bad request: '%s' is longer than %d bytes", key,
                   SOCKET_PATH_SIZE - 1);
    copy_text(L, &r->socket_path, path);
}

static void add_header(lua_State *L, struct request *r, const char *line) {
    struct curl_slist *list = curl.slist_append(r->headers, line);
    if (!list)
        luaL_error(L, "not enough memory");
    r->headers = list;
}

/* For libcurl "Name:" means to send no such header; "Name;" means to send it
 * without a value. */
static void add_empty_header(lua_State *L, struct request *r, const char *line,
                             size_t name) {
    lua_pushlstring(L, line, name);
    lua_pushliteral(L, ";");
    lua_concat(L, 2);
    add_header(L, r, lua_tostring(L, -1));
    lua_pop(L, 1);
}

static void read_headers(lua_State *L, struct request *r, const char *key) {
    size_t count, size;
    expect(L, key, LUA_TTABLE);
    count = lua_rawlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        const char *line = read_text(L, key, &size);
        const char *colon = memchr(line, ':', size);
        if (!colon || colon == line || memchr(line, ' ', colon - line))
            luaL_error(L, "bad request: '%s' must be a list of 'Name: value'",
                       key);
        if (strspn(colon + 1, " \t") == strlen(colon + 1))
            add_empty_header(L, r, line, (size_t)(colon - line));
        else
            add_header(L, r, line);
        lua_pop(L, 1);
    }
}

/* Pushes the field `name` of the table on top of the stack; false, and pushes
 * nothing, when it is nil. */
static bool field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void only_fields(lua_State *L, const char *key,
                        const char *const *known) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        bool ok = false;
        lua_pop(L, 1);
        for (int i = 0; known[i] && lua_type(L, -1) == LUA_TSTRING; i++)
            ok = ok || strcmp(lua_tostring(L, -1), known[i]) == 0;
        if (!ok)
            luaL_error(L, "bad request: '%s' has an unknown field", key);
    }
}

static void read_body_file(lua_State *L, struct source *source) {
    source->kind = SOURCE_FILE;
    copy_text(L, &source->path, read_path(L, "body.path"));
    lua_pop(L, 1);
    if (field(L, "offset")) {
        source->offset = (off_t)read_count(L, "body.offset");
        lua_pop(L, 1);
    }
    if (field(L, "length")) {
        source->length = (off_t)read_count(L, "body.length");
        lua_pop(L, 1);
    }
}

static void read_body_table(lua_State *L, struct source *source) {
    static const char *const known[] = {"path", "offset", "length", "chunks",
                                        NULL};
    if (!lua_istable(L, -1))
        luaL_error(L, "bad request: 'body' must be a string or a table");
    only_fields(L, "body", known);
    if (field(L, "path")) {
        read_body_file(L, source);
        return;
    }
    if (!field(L, "chunks") || !read_flag(L, "body.chunks"))
        luaL_error(L, "bad request: 'body' needs a path or chunks = true");
    lua_pop(L, 1);
    source->kind = SOURCE_CHUNKS;
}

void request_read_body(lua_State *L, int index, const struct request *r,
                       struct source *source) {
    size_t size;
    if (lua_isnil(L, index)) {
        /* These say Content-Length: 0. */
        if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
            strcmp(r->method, "PATCH") == 0)
            source->kind = SOURCE_STRING;
        return;
    }
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *body = lua_tolstring(L, index, &size);
        source->kind = SOURCE_STRING;
        if (!bytes_append(&source->bytes, body, size))
            luaL_error(L, "not enough memory");
        return;
    }
    lua_pushvalue(L, index);
    read_body_table(L, source);
    lua_pop(L, 1);
}

/* A file that output goes to at once; nothing if it is not a regular file. */
static void read_output(lua_State *L, const char *name,
                        struct record_file *out) {
    struct stat status;
    if (!field(L, name))
        return;
    /* The first member of a file in every Lua. */
    FILE *file = *(FILE **)luaL_checkudata(L, -1, "FILE*");
    if (file && fflush(file) == 0 && fstat(fileno(file), &status) == 0 &&
        S_ISREG(status.st_mode))
        out->fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 3);
    lua_pop(L, 1);
}

static void read_sink_events(lua_State *L, struct sink *sink) {
    struct records *records = &sink->records;
    sink->kind = SINK_EVENTS;
    if (field(L, "spid")) {
        records->spid = read_count(L, "sink.spid");
        lua_pop(L, 1);
    }
    if (field(L, "spool")) {
        snprintf(records->spool.name, sizeof records->spool.name, "%s",
                 luaL_checkstring(L, -1));
        lua_pop(L, 1);
    }
    read_output(L, "stdout", &records->out);
    read_output(L, "stderr", &records->err);
}

/* A sink that is a table. */
static void read_sink_table(lua_State *L, struct sink *sink) {
    static const char *const known[] = {"path",   "mode",   "events", "spid",
                                        "stdout", "stderr", "spool",  NULL};
    only_fields(L, "sink", known);
    if (field(L, "events")) {
        lua_pop(L, 1);
        read_sink_events(L, sink);
        return;
    }
    if (!field(L, "path"))
        luaL_error(L, "bad request: 'sink' needs a path");
    sink->kind = SINK_FILE;
    copy_text(L, &sink->path, read_path(L, "sink.path"));
    lua_pop(L, 1);
    if (field(L, "mode")) {
        sink->mode = (mode_t)(read_count(L, "sink.mode") & 07777);
        lua_pop(L, 1);
    }
}

void request_read_sink(lua_State *L, int index, struct sink *sink) {
    static const char *const names[] = {"string", "chunks", "events", NULL};
    static const enum sink_kind kinds[] = {SINK_STRING, SINK_CHUNKS,
                                           SINK_EVENTS};
    if (lua_isnil(L, index))
        return;
    if (lua_istable(L, index)) {
        lua_pushvalue(L, index);
        read_sink_table(L, sink);
        lua_pop(L, 1);
        return;
    }
    for (int i = 0; names[i] && lua_type(L, index) == LUA_TSTRING; i++)
        if (strcmp(lua_tostring(L, index), names[i]) == 0) {
            sink->kind = kinds[i];
            return;
        }
    luaL_error(L, "bad request: 'sink' must be \"string\", \"chunks\", "
                  "\"events\", {path=} or {events=}");
}

static void read_max_body(lua_State *L, struct request *r, const char *key) {
    r->max_body = (size_t)read_count(L, key);
}

static void read_high_water(lua_State *L, struct request *r, const char *key) {
    r->high_water = (size_t)read_count(L, key);
    if (r->high_water == 0)
        luaL_error(L, "bad request: '%s' must be more than 0", key);
}

static void read_sha256(lua_State *L, struct request *r, const char *key) {
    r->want_sha256 = read_flag(L, key);
}

static void read_connect_timeout(lua_State *L, struct request *r,
                                 const char *key) {
    r->connect_timeout = read_seconds(L, key);
}

static void read_idle_timeout(lua_State *L, struct request *r,
                              const char *key) {
    r->idle_timeout = read_seconds(L, key);
}

static void read_timeout(lua_State *L, struct request *r, const char *key) {
    r->timeout = read_seconds(L, key);
}

static void read_compressed(lua_State *L, struct request *r, const char *key) {
    if (read_flag(L, key))
        add_header(L, r, "Accept-Encoding: gzip");
}

static void read_ca_file(lua_State *L, struct request *r, const char *key) {
    copy_text(L, &r->ca_file, read_path(L, key));
}

static void read_proxy(lua_State *L, struct request *r, const char *key) {
    copy_text(L, &r->proxy, read_text(L, key, NULL));
}

/* Url, body and sink are read apart: they differ from transfer to transfer. */
static void read_part(lua_State *L, struct request *r, const char *key) {
    if (r->prepared)
        luaL_error(L, "bad request: '%s' goes to loop:add()", key);
}

static void read_follow(lua_State *L, struct request *r, const char *key) {
    (void)r;
    if (read_flag(L, key))
        luaL_error(L, "bad request: redirects are never followed");
}

static const struct {
    const char *name;
    void (*read)(lua_State *, struct request *, const char *);
} keys[] = {
    {"method", read_method},
    {"url", read_part},
    {"unix_socket", read_socket},
    {"headers", read_headers},
    {"body", read_part},
    {"sink", read_part},
    {"timeout", read_timeout},
    {"connect_timeout", read_connect_timeout},
    {"idle_timeout", read_idle_timeout},
    {"compressed", read_compressed},
    {"max_body", read_max_body},
    {"high_water", read_high_water},
    {"sha256", read_sha256},
    {"ca_file", read_ca_file},
    {"proxy", read_proxy},
    {"follow", read_follow},
    {NULL, NULL},
};

/* Expects a key and its value on top of the stack. */
static void read_key(lua_State *L, struct request *r) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    int i = 0;
    while (keys[i].name && strcmp(keys[i].name, name) != 0)
        i++;
    if (!keys[i].name)
        luaL_error(L, "bad request: unknown key '%s'", name);
    keys[i].read(L, r, name);
}

/* Reads the table at `index`. */
static void read_table(lua_State *L, int index, struct request *r) {
    lua_pushnil(L);
    while (lua_next(L, index)) {
        read_key(L, r);
        lua_pop(L, 1);
    }
}

static struct request *push_request(lua_State *L) {
    struct request **slot = lua_newuserdata(L, sizeof *slot);
    struct request *r = *slot = malloc(sizeof *r);
    if (!r)
        luaL_error(L, "not enough memory");
    *r = (struct request){.references = 1,
                          .repeatable = true,
                          .max_body = 64 * 1024 * 1024,
                          .high_water = 1024 * 1024,
                          .connect_timeout = 10};
    luaL_setmetatable(L, REQUEST_TYPE);
    copy_text(L, &r->method, "GET");
    return r;
}

int request_lua_new(lua_State *L) {
    const char *problem = curl_api_load();
    if (problem)
        return luaL_error(L, "contree: %s", problem);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct request *r = push_request(L);
    r->prepared = true;
    read_table(L, 1, r);
    return 1;
}

/* Replaces nil at `to` with the field of the table at `index`. */
static void fill(lua_State *L, int to, int index, const char *name) {
    if (!lua_isnil(L, to))
        return;
    lua_getfield(L, index, name);
    lua_replace(L, to);
}

struct request *request_of(lua_State *L, int index) {
    struct request **slot;
    if (lua_istable(L, index)) {
        struct request *r = push_request(L);
        read_table(L, index, r);
        fill(L, index + 1, index, "url");
        fill(L, index + 2, index, "body");
        fill(L, index + 4, index, "sink");
        lua_replace(L, index);
        return r;
    }
    slot = luaL_checkudata(L, index, REQUEST_TYPE);
    if (!*slot) /* the state is being closed */
        luaL_error(L, "contree: this request is closed");
    return *slot;
}

struct request *request_hold(struct request *r) {
    r->references++;
    return r;
}

void request_release(struct request *r) {
    if (!r || --r->references > 0)
        return;
    curl.slist_free_all(r->headers);
    free(r->method);
    free(r->socket_path);
    free(r->ca_file);
    free(r->proxy);
    free(r);
}

static int request_gc(lua_State *L) {
    struct request **slot = luaL_checkudata(L, 1, REQUEST_TYPE);
    request_release(*slot);
    *slot = NULL;
    return 0;
}

void request_let_go(lua_State *L, int index) {
    struct request **slot = lua_touserdata(L, index);
    if ((*slot)->prepared)
        return;
    request_release(*slot);
    *slot = NULL;
}

static int request_usable(lua_State *L) {
    struct request **slot = luaL_checkudata(L, 1, REQUEST_TYPE);
    lua_pushboolean(L, *slot != NULL);
    return 1;
}

void request_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"usable", request_usable},
                                       {NULL, NULL}};
    compat_newtype(L, REQUEST_TYPE, methods, request_gc);
}
