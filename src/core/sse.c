#include "sse.h"
#include "lua_compat.h"

#include <stdlib.h>
#include <string.h>

/* A finished event: its three texts one after the other in `text`. */
struct sse_event {
    struct sse_event *next;
    bool has_id, has_event, has_data;
    size_t id, event, data; /* sizes */
    char text[];
};

void sse_init(struct sse *sse) {
    *sse = (struct sse){0};
    sse->last = &sse->first;
}

bool sse_drop(struct sse *sse) {
    struct sse_event *event = sse->first;
    if (!event)
        return false;
    sse->queued -= sizeof *event + event->id + event->event + event->data;
    sse->first = event->next;
    if (!sse->first)
        sse->last = &sse->first;
    free(event);
    return true;
}

void sse_free(struct sse *sse) {
    while (sse_drop(sse))
        ;
    bytes_free(&sse->id.bytes);
    bytes_free(&sse->event.bytes);
    bytes_free(&sse->data.bytes);
    bytes_free(&sse->line);
}

static bool broken(struct sse *sse, const char *why) {
    sse->error = why;
    return false;
}

static bool no_memory(struct sse *sse) {
    return broken(sse, "not enough memory");
}

/* Keeps the memory for the next frame, unless it is unusually large. */
static void reset_field(struct sse_field *field) {
    field->present = false;
    field->bytes.length = 0;
    if (field->bytes.capacity > 64 * 1024)
        bytes_free(&field->bytes);
}

static char *put(char *to, const struct sse_field *field) {
    size_t length = field->bytes.length;
    if (length > 0)
        memcpy(to, field->bytes.data, length);
    return to + length;
}

/* Queues the frame at an empty line, if it has an id or data. */
static bool end_frame(struct sse *sse) {
    size_t size = sizeof(struct sse_event) + sse->id.bytes.length +
                  sse->event.bytes.length + sse->data.bytes.length;
    struct sse_event *event;
    if (sse->id.present || sse->data.present) {
        event = malloc(size);
        if (!event)
            return no_memory(sse);
        *event = (struct sse_event){.has_id = sse->id.present,
                                    .has_event = sse->event.present,
                                    .has_data = sse->data.present,
                                    .id = sse->id.bytes.length,
                                    .event = sse->event.bytes.length,
                                    .data = sse->data.bytes.length};
        put(put(put(event->text, &sse->id), &sse->event), &sse->data);
        *sse->last = event;
        sse->last = &event->next;
        sse->queued += size;
    }
    reset_field(&sse->id);
    reset_field(&sse->event);
    reset_field(&sse->data);
    return true;
}

static bool set_field(struct sse *sse, struct sse_field *field,
                      const char *value, size_t size) {
    field->present = true;
    field->bytes.length = 0;
    return bytes_append(&field->bytes, value, size) || no_memory(sse);
}

static bool add_data(struct sse *sse, const char *value, size_t size) {
    struct bytes *data = &sse->data.bytes;
    if (sse->data.present && !bytes_append(data, "\n", 1))
        return no_memory(sse);
    sse->data.present = true;
    return bytes_append(data, value, size) || no_memory(sse);
}

static bool is_name(const char *name, const char *line, size_t size) {
    return strlen(name) == size && memcmp(name, line, size) == 0;
}

static bool end_line(struct sse *sse, const char *line, size_t size) {
    const char *colon = size > 0 ? memchr(line, ':', size) : NULL;
    size_t name = colon ? (size_t)(colon - line) : size;
    const char *value = colon ? colon + 1 : line + size;
    size_t length = (size_t)(line + size - value);
    if (size == 0)
        return end_frame(sse);
    if (length > 0 && *value == ' ') {
        value++;
        length--;
    }
    if (is_name("data", line, name))
        return add_data(sse, value, length);
    if (is_name("event", line, name))
        return set_field(sse, &sse->event, value, length);
    if (is_name("id", line, name) && !memchr(value, '\0', length))
        return set_field(sse, &sse->id, value, length);
    return true;
}

/* The first CR or LF of `data`, or NULL. */
static const char *find_end(const char *data, size_t size) {
    const char *lf = memchr(data, '\n', size);
    const char *cr = memchr(data, '\r', lf ? (size_t)(lf - data) : size);
    return cr ? cr : lf;
}

static bool fits(struct sse *sse, size_t more) {
    size_t held = sse->id.bytes.length + sse->event.bytes.length +
                  sse->data.bytes.length + sse->line.length;
    if (more <= SSE_FRAME_LIMIT && held <= SSE_FRAME_LIMIT - more)
        return true;
    return broken(sse, "an event is larger than 4 MiB");
}

/* Takes the end of a line, which may have begun in earlier bytes. */
static bool take_line(struct sse *sse, const char *data, size_t size) {
    if (!fits(sse, size))
        return false;
    if (sse->line.length == 0)
        return end_line(sse, data, size);
    if (!bytes_append(&sse->line, data, size))
        return no_memory(sse);
    bool ok = end_line(sse, sse->line.data, sse->line.length);
    sse->line.length = 0;
    return ok;
}

/* Drops a byte order mark at the start of the stream, however it is split. */
static bool skip_mark(struct sse *sse, const char **data, size_t *size) {
    static const char mark[] = "\xEF\xBB\xBF";
    while (sse->seen < 3 && *size > 0) {
        if (**data != mark[sse->seen]) {
            /* Not a mark: the bytes belong to the first line. */
            size_t matched = sse->seen;
            sse->seen = 3;
            return bytes_append(&sse->line, mark, matched) || no_memory(sse);
        }
        sse->seen++;
        ++*data;
        --*size;
    }
    return true;
}

bool sse_feed(struct sse *sse, const char *data, size_t size) {
    const char *end;
    if (!skip_mark(sse, &data, &size))
        return false;
    while (size > 0 && !sse->error) {
        if (sse->skip_lf && *data == '\n') {
            data++;
            size--;
        }
        sse->skip_lf = false;
        end = size > 0 ? find_end(data, size) : NULL;
        if (!end)
            break;
        sse->skip_lf = *end == '\r';
        if (!take_line(sse, data, (size_t)(end - data)))
            return false;
        size -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    if (sse->error || !fits(sse, size))
        return false;
    return bytes_append(&sse->line, data, size) || no_memory(sse);
}

static void push_text(lua_State *L, bool present, const char *name,
                      const char *text, size_t size) {
    if (!present)
        return;
    lua_pushlstring(L, text, size);
    lua_setfield(L, -2, name);
}

void sse_push(lua_State *L, struct sse *sse) {
    const struct sse_event *event = sse->first;
    if (!event) {
        lua_pushnil(L);
        return;
    }
    const char *text = event->text;
    lua_createtable(L, 0, 3);
    push_text(L, event->has_id, "id", text, event->id);
    text += event->id;
    push_text(L, event->has_event, "event", text, event->event);
    text += event->event;
    push_text(L, event->has_data, "data", text, event->data);
    sse_drop(sse);
}

#define SSE_TYPE "contree.sse"

static struct sse *check_sse(lua_State *L) {
    return luaL_checkudata(L, 1, SSE_TYPE);
}

int sse_lua_new(lua_State *L) {
    struct sse *sse = compat_newuserdata(L, sizeof *sse);
    sse_init(sse);
    luaL_setmetatable(L, SSE_TYPE);
    return 1;
}

/* parser:feed(bytes) -> true once it is not in error */
static int parser_feed(lua_State *L) {
    struct sse *sse = check_sse(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    lua_pushboolean(L, sse_feed(sse, data, size));
    return 1;
}

static int parser_next(lua_State *L) {
    sse_push(L, check_sse(L));
    return 1;
}

static int parser_error(lua_State *L) {
    lua_pushstring(L, check_sse(L)->error);
    return 1;
}

static int parser_gc(lua_State *L) {
    struct sse *sse = check_sse(L);
    sse_free(sse);
    sse_init(sse);
    return 0;
}

static const luaL_Reg methods[] = {{"feed", parser_feed},
                                   {"next", parser_next},
                                   {"error", parser_error},
                                   {NULL, NULL}};

void sse_register(lua_State *L) {
    compat_newtype(L, SSE_TYPE, methods, parser_gc);
}
