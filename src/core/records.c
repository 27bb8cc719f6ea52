#include "records.h"
#include "lua_compat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 1024 * 1024 /* from the spool to a file at once */ };

/* A finished record that waits for Lua. One in the spool has no bytes here. */
struct record {
    struct record *next;
    struct record_head head;
    char bytes[];
};

void records_init(struct records *records) {
    *records = (struct records){
        .out.fd = -1, .err.fd = -1, .spid = -1, .last_written = -1};
    records->last = &records->first;
    spool_init(&records->spool);
}

static void close_file(struct record_file *file) {
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

void records_close(struct records *records) {
    close_file(&records->out);
    close_file(&records->err);
    spool_close(&records->spool);
    bytes_free(&records->read);
}

void records_end(struct records *records) {
    records->ended = true;
    if (!records->first)
        records_close(records);
}

/* How many bytes follow the head. */
static size_t body_length(const struct record_head *head) {
    return head->at < 0 ? (size_t)head->length : 0;
}

static bool drop(struct records *records) {
    struct record *record = records->first;
    if (!record)
        return false;
    records->queued -= sizeof *record + body_length(&record->head);
    records->first = record->next;
    if (!records->first)
        records->last = &records->first;
    free(record);
    return true;
}

void records_free(struct records *records) {
    records_close(records);
    while (drop(records))
        ;
    bytes_free(&records->body);
}

/* ---- heads ---- */

/* Take a number and the character behind it from *at. */
static bool take_number(const char **at, char behind, long long *out) {
    const char *p = *at;
    *out = 0;
    for (; *p >= '0' && *p <= '9' && p - *at < 16; p++)
        *out = *out * 10 + (*p - '0');
    if (p == *at || *p != behind)
        return false;
    *at = p + 1;
    return true;
}

static bool is_known(const char *type) {
    static const char *const types[] = {"event", "stdout", "stderr", "stdin",
                                        "error", "spool",  NULL};
    for (int i = 0; types[i]; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* Take the length, and the place in the spool if there is one. */
static bool take_length(const char *at, struct record_head *head) {
    head->at = -1;
    return take_number(&at, 0, &head->length) ||
           (take_number(&at, ' ', &head->length) &&
            take_number(&at, 0, &head->at));
}

/* Bytes of a stream may be in the spool; those of other records come along. */
static bool may_be_spooled(const char *type) {
    return strncmp(type, "std", 3) == 0;
}

/* Parse a line, which ends with a NUL. */
static bool parse_head(const char *line, struct record_head *head,
                       struct transfer_error *error) {
    size_t length = strcspn(line, " ");
    const char *at = line + length + 1;
    if (line[length] != ' ' || length >= sizeof head->type)
        return fail(error, "protocol", "a record has a broken head");
    memcpy(head->type, line, length);
    head->type[length] = 0;
    if (!is_known(head->type) || !take_number(&at, ' ', &head->id) ||
        !take_number(&at, ' ', &head->spid) || !take_length(at, head) ||
        (head->at >= 0 && !may_be_spooled(head->type)))
        return fail(error, "protocol", "a record has a broken head");
    return head->length <= RECORD_LIMIT ||
           fail(error, "too_large", "a record is larger than 4 MiB");
}

/* Take bytes of a head, up to its end. */
static bool take_head(struct records *records, const char **data, size_t *size,
                      struct transfer_error *error) {
    const char *end = memchr(*data, '\n', *size);
    size_t length = end ? (size_t)(end - *data) : *size;
    if (length >= sizeof records->line - records->line_length)
        return fail(error, "protocol", "a record has a broken head");
    memcpy(records->line + records->line_length, *data, length);
    records->line_length += length;
    *data += length + (end != NULL);
    *size -= length + (end != NULL);
    if (!end || records->line_length == 0)
        return true;
    records->line[records->line_length] = 0;
    records->in_body = true;
    length = records->line_length;
    records->line_length = 0;
    return (strlen(records->line) == length ||
            fail(error, "protocol", "a record has a broken head")) &&
           parse_head(records->line, &records->head, error) &&
           (records->head.at < 0 || records->spool.fd >= 0 ||
            fail(error, "protocol", "a record is in no spool"));
}

/* ---- bodies ---- */

/* Where the bytes of a record go, if they make no event. */
static struct record_file *file_of(struct records *records,
                                   const struct record_head *head) {
    struct record_file *file = strcmp(head->type, "stdout") == 0 ? &records->out
                               : strcmp(head->type, "stderr") == 0
                                   ? &records->err
                                   : NULL;
    return file && (file->fd >= 0 || file->buffer) &&
                   head->spid == records->spid
               ? file
               : NULL;
}

static void note_written(struct records *records, struct record_file *file,
                         const struct record_head *head) {
    file->written += head->length;
    records->last_written = head->id;
}

static bool write_out(const struct record_head *head, int fd, const char *data,
                      struct transfer_error *error) {
    size_t left = (size_t)head->length;
    while (left > 0) {
        ssize_t n = write(fd, data, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(error, "file", "%s: %s", head->type, strerror(errno));
        data += n;
        left -= (size_t)n;
    }
    return true;
}

static bool enqueue(struct records *records, const char *data,
                    struct transfer_error *error) {
    size_t length = body_length(&records->head);
    struct record *record = malloc(sizeof *record + length);
    if (!record)
        return fail(error, "other", "not enough memory");
    record->next = NULL;
    record->head = records->head;
    if (length > 0)
        memcpy(record->bytes, data, length);
    *records->last = record;
    records->last = &record->next;
    records->queued += sizeof *record + length;
    return true;
}

/* The body is complete. Output goes to its file at once if nothing before it
 * waits. To copy from the spool may take long, so Lua asks for that. */
static bool deliver(struct records *records, const char *data,
                    struct transfer_error *error) {
    const struct record_head *head = &records->head;
    struct record_file *file = file_of(records, head);
    records->in_body = false;
    if (strcmp(head->type, "spool") == 0)
        return spool_open(&records->spool, data, (size_t)head->length, error);
    if (!file || records->first || head->at >= 0)
        return enqueue(records, data, error);
    if (!write_out(head, file->fd, data, error))
        return false;
    note_written(records, file, head);
    return true;
}

/* Take bytes of a body, up to its end. One that is there as a whole is not
 * copied. */
static bool take_body(struct records *records, const char **data, size_t *size,
                      struct transfer_error *error) {
    struct bytes *body = &records->body;
    size_t wanted = body_length(&records->head) - body->length;
    size_t n = wanted < *size ? wanted : *size;
    const char *from = *data;
    *data += n;
    *size -= n;
    if (body->length == 0 && n == wanted)
        return deliver(records, from, error);
    if (!bytes_append(body, from, n))
        return fail(error, "other", "not enough memory");
    if (n < wanted)
        return true;
    bool ok = deliver(records, body->data, error);
    body->length = 0;
    if (body->capacity > 256 * 1024)
        bytes_free(body);
    return ok;
}

bool records_feed(struct records *records, const char *data, size_t size,
                  struct transfer_error *error) {
    bool ok = true;
    while (ok &&
           (size > 0 || (records->in_body && body_length(&records->head) == 0)))
        ok = records->in_body ? take_body(records, &data, &size, error)
                              : take_head(records, &data, &size, error);
    return ok;
}

/* ---- for Lua ---- */

static bool add_to_buffer(const struct records *records,
                          const struct record *record, struct bytes *buffer,
                          struct transfer_error *error) {
    size_t length = (size_t)record->head.length;
    if (!bytes_reserve(buffer, length))
        return fail(error, "other", "not enough memory");
    char *end = buffer->data + buffer->length;
    if (record->head.at < 0)
        memcpy(end, record->bytes, length);
    else if (!spool_read(&records->spool, record->head.at, end, length, error))
        return false;
    buffer->length += length;
    return true;
}

static bool copy_to_file(struct records *records, const struct record *record,
                         int fd, struct transfer_error *error) {
    const struct record_head *head = &record->head;
    return head->at < 0
               ? write_out(head, fd, record->bytes, error)
               : spool_copy(&records->spool, head->at, (size_t)head->length, fd,
                            head->type, error);
}

/* Copy output that waits to its file or buffer; false if that is not next. */
static bool copy_next(struct records *records, struct transfer_error *error) {
    const struct record *record = records->first;
    struct record_file *file = record ? file_of(records, &record->head) : NULL;
    if (!file ||
        !(file->buffer ? add_to_buffer(records, record, file->buffer, error)
                       : copy_to_file(records, record, file->fd, error)))
        return false;
    note_written(records, file, &record->head);
    return drop(records);
}

/* The bytes of the oldest record; NULL with the error. */
static const char *bytes_of(struct records *records,
                            const struct record *record,
                            struct transfer_error *error) {
    const struct record_head *head = &record->head;
    if (head->at < 0)
        return record->bytes;
    if (!bytes_reserve(&records->read, (size_t)head->length + 1)) {
        fail(error, "other", "not enough memory");
        return NULL;
    }
    return spool_read(&records->spool, head->at, records->read.data,
                      (size_t)head->length, error)
               ? records->read.data
               : NULL;
}

static bool push_first(lua_State *L, struct records *records,
                       struct transfer_error *error) {
    const struct record *record = records->first;
    const char *type = record->head.type;
    const char *bytes = bytes_of(records, record, error);
    bool is_error = strcmp(type, "error") == 0;
    bool is_text = is_error || strcmp(type, "event") == 0;
    if (!bytes)
        return false;
    lua_createtable(L, 0, 4);
    if (!is_error) {
        lua_pushinteger(L, (lua_Integer)record->head.id);
        lua_setfield(L, -2, "id");
    }
    lua_pushinteger(L, (lua_Integer)record->head.spid);
    lua_setfield(L, -2, "spid");
    lua_pushstring(L, is_error ? "sse_error" : type);
    lua_setfield(L, -2, "event");
    lua_pushlstring(L, bytes, (size_t)record->head.length);
    lua_setfield(L, -2, is_text ? "data" : "bytes");
    drop(records);
    return true;
}

static bool push_next(lua_State *L, struct records *records,
                      struct transfer_error *error) {
    long long before = records->out.written + records->err.written, copied = 0;
    while (copied < COPY_BYTES && copy_next(records, error))
        copied = records->out.written + records->err.written - before;
    if (error->kind)
        return false;
    if (copied == 0 && records->first)
        return push_first(L, records, error);
    if (copied > 0)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    return true;
}

bool records_push(lua_State *L, struct records *records, struct bytes *out,
                  struct bytes *err, struct transfer_error *error) {
    records->out.buffer = out;
    records->err.buffer = err;
    bool ok = push_next(L, records, error);
    records->out.buffer = records->err.buffer = NULL;
    if (records->ended && (!ok || !records->first))
        records_close(records);
    return ok;
}

int records_push_written(lua_State *L, const struct records *records) {
    if (records->last_written < 0)
        return compat_nil(L);
    lua_pushinteger(L, (lua_Integer)records->last_written);
    lua_pushinteger(L, (lua_Integer)records->out.written);
    lua_pushinteger(L, (lua_Integer)records->err.written);
    return 3;
}
