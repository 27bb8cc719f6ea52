#include "request.h"
#include "descriptors.h"
#include "lua_compat.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static void set_long(struct transfer *transfer, CURLoption option, long value) {
    curl.easy_setopt(transfer->easy, option, value);
}

static void set_size(struct transfer *transfer, CURLoption option,
                     curl_off_t value) {
    curl.easy_setopt(transfer->easy, option, value);
}

/* libcurl copies the text. */
static void set_text(lua_State *L, struct transfer *transfer, CURLoption option,
                     const char *value) {
    if (curl.easy_setopt(transfer->easy, option, value) == CURLE_OUT_OF_MEMORY)
        luaL_error(L, "not enough memory");
}

static char *copy_text(lua_State *L, const char *text) {
    char *copy = strdup(text);
    if (!copy)
        luaL_error(L, "not enough memory");
    return copy;
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

static void read_method(lua_State *L, struct transfer *t, const char *key) {
    static const char *const repeatable[] = {
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL};
    const char *method = read_text(L, key, NULL);
    if (!*method ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(method))
        luaL_error(L, "bad request: '%s' must be upper-case letters", key);
    t->repeatable = false;
    for (int i = 0; repeatable[i]; i++)
        t->repeatable = t->repeatable || strcmp(method, repeatable[i]) == 0;
}

static void read_url(lua_State *L, struct transfer *t, const char *key) {
    const char *url = read_text(L, key, NULL);
    if (strncasecmp(url, "http://", 7) != 0 &&
        strncasecmp(url, "https://", 8) != 0)
        luaL_error(L, "bad request: '%s' must begin with http:// or https://",
                   key);
    if (strpbrk(url, " \t"))
        luaL_error(L, "bad request: '%s' has a blank in it", key);
    set_text(L, t, CURLOPT_URL, url);
}

static void read_socket(lua_State *L, struct transfer *t, const char *key) {
    const char *path = read_path(L, key);
    if (strlen(path) >= sizeof t->socket_path)
        luaL_error(L, "bad request: '%s' is longer than %d bytes", key,
                   (int)sizeof t->socket_path - 1);
    memcpy(t->socket_path, path, strlen(path) + 1);
    set_text(L, t, CURLOPT_UNIX_SOCKET_PATH, path);
}

static void add_header(lua_State *L, struct transfer *t, const char *line) {
    struct curl_slist *list = curl.slist_append(t->headers, line);
    if (!list)
        luaL_error(L, "not enough memory");
    t->headers = list;
}

/* For libcurl "Name:" means to send no such header; "Name;" means to send it
 * without a value. */
static void add_empty_header(lua_State *L, struct transfer *t, const char *line,
                             size_t name) {
    lua_pushlstring(L, line, name);
    lua_pushliteral(L, ";");
    lua_concat(L, 2);
    add_header(L, t, lua_tostring(L, -1));
    lua_pop(L, 1);
}

static void read_headers(lua_State *L, struct transfer *t, const char *key) {
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
            add_empty_header(L, t, line, (size_t)(colon - line));
        else
            add_header(L, t, line);
        lua_pop(L, 1);
    }
}

static bool has_header(const struct transfer *t, const char *name) {
    size_t size = strlen(name);
    for (const struct curl_slist *h = t->headers; h; h = h->next)
        if (strncasecmp(h->data, name, size) == 0 &&
            (h->data[size] == ':' || h->data[size] == ';'))
            return true;
    return false;
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

static void read_body_file(lua_State *L, struct transfer *t) {
    t->source.kind = SOURCE_FILE;
    t->source.path = copy_text(L, read_path(L, "body.path"));
    lua_pop(L, 1);
    if (field(L, "offset")) {
        t->source.offset = (off_t)read_count(L, "body.offset");
        lua_pop(L, 1);
    }
    if (field(L, "length")) {
        t->source.length = (off_t)read_count(L, "body.length");
        lua_pop(L, 1);
    }
}

static void read_body(lua_State *L, struct transfer *t, const char *key) {
    static const char *const known[] = {"path", "offset", "length", "chunks",
                                        NULL};
    size_t size;
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *body = lua_tolstring(L, -1, &size);
        t->source.kind = SOURCE_STRING;
        if (!bytes_append(&t->source.bytes, body, size))
            luaL_error(L, "not enough memory");
        return;
    }
    if (!lua_istable(L, -1))
        luaL_error(L, "bad request: '%s' must be a string or a table", key);
    only_fields(L, key, known);
    if (field(L, "path")) {
        read_body_file(L, t);
        return;
    }
    if (!field(L, "chunks") || !read_flag(L, "body.chunks"))
        luaL_error(L, "bad request: '%s' needs a path or chunks = true", key);
    lua_pop(L, 1);
    t->source.kind = SOURCE_CHUNKS;
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

static void read_sink_events(lua_State *L, struct transfer *t) {
    struct records *records = &t->sink.records;
    t->sink.kind = SINK_EVENTS;
    if (field(L, "spid")) {
        records->spid = read_count(L, "sink.spid");
        lua_pop(L, 1);
    }
    read_output(L, "stdout", &records->out);
    read_output(L, "stderr", &records->err);
}

static void read_sink(lua_State *L, struct transfer *t, const char *key) {
    static const char *const known[] = {"path",   "mode",   "events", "spid",
                                        "stdout", "stderr", NULL};
    static const char *const names[] = {"string", "chunks", "events", NULL};
    static const enum sink_kind kinds[] = {SINK_STRING, SINK_CHUNKS,
                                           SINK_EVENTS};
    if (lua_istable(L, -1)) {
        only_fields(L, key, known);
        if (field(L, "events")) {
            lua_pop(L, 1);
            read_sink_events(L, t);
            return;
        }
        if (!field(L, "path"))
            luaL_error(L, "bad request: '%s' needs a path", key);
        t->sink.kind = SINK_FILE;
        t->sink.path = copy_text(L, read_path(L, "sink.path"));
        lua_pop(L, 1);
        if (field(L, "mode")) {
            t->sink.mode = (mode_t)(read_count(L, "sink.mode") & 07777);
            lua_pop(L, 1);
        }
        return;
    }
    for (int i = 0; names[i] && lua_type(L, -1) == LUA_TSTRING; i++)
        if (strcmp(lua_tostring(L, -1), names[i]) == 0) {
            t->sink.kind = kinds[i];
            return;
        }
    luaL_error(L,
               "bad request: '%s' must be \"string\", \"chunks\", "
               "\"events\", {path=} or {events=}",
               key);
}

static void read_max_body(lua_State *L, struct transfer *t, const char *key) {
    t->sink.max_body = (size_t)read_count(L, key);
}

static void read_high_water(lua_State *L, struct transfer *t, const char *key) {
    t->sink.high_water = (size_t)read_count(L, key);
    if (t->sink.high_water == 0)
        luaL_error(L, "bad request: '%s' must be more than 0", key);
}

static void read_sha256(lua_State *L, struct transfer *t, const char *key) {
    t->want_sha256 = read_flag(L, key);
}

static void read_connect_timeout(lua_State *L, struct transfer *t,
                                 const char *key) {
    t->connect_timeout = read_seconds(L, key);
}

static void read_idle_timeout(lua_State *L, struct transfer *t,
                              const char *key) {
    t->idle_timeout = read_seconds(L, key);
}

static void read_timeout(lua_State *L, struct transfer *t, const char *key) {
    t->timeout = read_seconds(L, key);
}

static void read_compressed(lua_State *L, struct transfer *t, const char *key) {
    if (read_flag(L, key))
        add_header(L, t, "Accept-Encoding: gzip");
}

static void read_ca_file(lua_State *L, struct transfer *t, const char *key) {
    set_text(L, t, CURLOPT_CAINFO, read_path(L, key));
}

static void read_proxy(lua_State *L, struct transfer *t, const char *key) {
    set_text(L, t, CURLOPT_PROXY, read_text(L, key, NULL));
}

static void read_follow(lua_State *L, struct transfer *t, const char *key) {
    (void)t;
    if (read_flag(L, key))
        luaL_error(L, "bad request: redirects are never followed");
}

static const struct {
    const char *name;
    void (*read)(lua_State *, struct transfer *, const char *);
} keys[] = {
    {"method", read_method},
    {"url", read_url},
    {"unix_socket", read_socket},
    {"headers", read_headers},
    {"body", read_body},
    {"sink", read_sink},
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
static void read_key(lua_State *L, struct transfer *t) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    int i = 0;
    while (keys[i].name && strcmp(keys[i].name, name) != 0)
        i++;
    if (!keys[i].name)
        luaL_error(L, "bad request: unknown key '%s'", name);
    keys[i].read(L, t, name);
}

static long milliseconds(double seconds) {
    return (long)ceil(seconds * 1000);
}

/* Options that are the same for every request. */
static void set_constants(struct transfer *t) {
    set_long(t, CURLOPT_NOSIGNAL, 1);
    curl.easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION,
                     descriptors_open_socket);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else the end of a transfer waits for the resolver. */
    set_long(t, CURLOPT_QUICK_EXIT, 1);
#endif
    set_long(t, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_long(t, CURLOPT_HTTP_CONTENT_DECODING, 0);
}

/* Sets the options of a request with a body. */
static void set_upload(lua_State *L, struct transfer *t, const char *method) {
    struct source *source = &t->source;
    /* The default of 64 KiB is much slower for large bodies. */
    if (source->kind != SOURCE_STRING || source->bytes.length > 64 * 1024)
        set_long(t, CURLOPT_UPLOAD_BUFFERSIZE, 1024 * 1024);
    if (source->kind == SOURCE_STRING) {
        set_size(t, CURLOPT_POSTFIELDSIZE_LARGE,
                 (curl_off_t)source->bytes.length);
        curl.easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                         source->bytes.data ? source->bytes.data : "");
        if (!has_header(t, "Content-Type"))
            add_header(L, t, "Content-Type:");
    } else {
        set_long(t, CURLOPT_UPLOAD, 1);
    }
    if (source->kind != SOURCE_STRING || strcmp(method, "POST") != 0)
        set_text(L, t, CURLOPT_CUSTOMREQUEST, method);
    if (!has_header(t, "Expect"))
        add_header(L, t, "Expect:");
}

static void set_method(lua_State *L, struct transfer *t, const char *method) {
    bool post = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                strcmp(method, "PATCH") == 0;
    if (t->source.kind == SOURCE_NONE && post)
        t->source.kind = SOURCE_STRING; /* Content-Length: 0 */
    if (strcmp(method, "HEAD") == 0)
        set_long(t, CURLOPT_NOBODY, 1);
    else if (t->source.kind != SOURCE_NONE)
        set_upload(L, t, method);
    else if (strcmp(method, "GET") != 0)
        set_text(L, t, CURLOPT_CUSTOMREQUEST, method);
}

static void set_way(lua_State *L, struct transfer *t) {
    if (*t->socket_path) {
        set_text(L, t, CURLOPT_PROXY, ""); /* ignore that of the environment */
        return;
    }
    set_long(t, CURLOPT_TCP_NODELAY, 1);
    set_long(t, CURLOPT_TCP_KEEPALIVE, 1);
    set_long(t, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
}

static void set_limits(struct transfer *t) {
    set_long(t, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(t->connect_timeout));
    if (t->timeout > 0)
        set_long(t, CURLOPT_TIMEOUT_MS, milliseconds(t->timeout));
    if (t->sink.kind != SINK_STRING)
        set_long(t, CURLOPT_BUFFERSIZE, 128 * 1024);
}

void request_read(lua_State *L, int index, struct transfer *t) {
    const char *method;
    luaL_checktype(L, index, LUA_TTABLE);
    t->repeatable = true;
    t->connect_timeout = 10;
    set_constants(t);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        read_key(L, t);
        lua_pop(L, 1);
    }
    lua_getfield(L, index, "url");
    if (lua_isnil(L, -1))
        luaL_error(L, "bad request: 'url' is missing");
    lua_getfield(L, index, "method");
    method = lua_isnil(L, -1) ? "GET" : lua_tostring(L, -1);
    set_method(L, t, method);
    set_limits(t);
    set_way(L, t);
    curl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    lua_pop(L, 2);
}
