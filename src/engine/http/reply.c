/* reply.c: the replies of http.h: whole bodies, files and streams, with gzip if
 * the client takes it. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/url.h"
#include "http/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Below this, gzip costs more than it saves. */
    GZIP_MIN = 1024,
    /* A larger body goes out in chunks: some clients refuse a Content-Length
     * above 64 KiB (http-api.md §12). */
    LENGTH_MAX = 60 * 1024,
    STREAM_BLOCK = 32 * 1024,
    /* A larger body is compressed while it is sent. */
    PACK_HERE = 128 * 1024,
    KEEPALIVE_SECONDS = 10
};

/* A body that is made while it is sent. */
struct reply_body {
    struct request *request;
    struct stream_source source;
    bool gzip, ended;
    z_stream zip;
    char *raw;           /* the input of zip */
    size_t keepalive_at; /* bytes of the keepalive already sent */
    bool keepalive_due;
    double last; /* when bytes were last sent */
};

void reply_header(struct request *r, const char *name, const char *value) {
    char *copy = strdup(value);
    if (!copy || r->header_count == REPLY_HEADERS) {
        free(copy);
        return;
    }
    r->headers[r->header_count].name = name;
    r->headers[r->header_count++].value = copy;
}

void request_set_location(struct request *r, const char *operation) {
    struct buffer b;
    buffer_init(&b, 4096);
    for (size_t i = 0; i < r->match.prefix_count; i++)
        url_add_segment(&b, r->url.segments[i]);
    buffer_addf(&b, "/v1/operations/%s", operation);
    if (!b.failed)
        reply_header(r, "Location", b.data);
    buffer_free(&b);
}

/* Set the reply; libmicrohttpd sends it when it asks next. */
static void send_response(struct request *r, unsigned status,
                          struct MHD_Response *response, const char *type) {
    r->gone = NULL;
    if (!response) {
        r->aborted = true;
        request_resume(r);
        return;
    }
    if (type)
        MHD_add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < r->header_count; i++)
        MHD_add_response_header(response, r->headers[i].name,
                                r->headers[i].value);
    r->status = status;
    r->response = response;
    request_resume(r);
}

void reply_empty(struct request *r, int status) {
    send_response(
        r, (unsigned)status,
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL);
}

/* Compress `data` with gzip; false if that failed: send it as it is. */
static bool compress_buffer(const char *data, size_t length, char **out,
                            size_t *out_length) {
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&z, length);
    char *packed = malloc(bound);
    z.next_in = (unsigned char *)data;
    z.avail_in = (unsigned)length;
    z.next_out = (unsigned char *)packed;
    z.avail_out = (unsigned)bound;
    bool done = packed && deflate(&z, Z_FINISH) == Z_STREAM_END;
    *out_length = z.total_out;
    deflateEnd(&z);
    if (!done)
        free(packed);
    else
        *out = packed;
    return done;
}

struct whole {
    char *data;
    size_t length, sent; /* sent: by whole_stream() */
};

static ssize_t whole_read(void *arg, uint64_t position, char *out, size_t max) {
    struct whole *w = arg;
    size_t left = w->length - (size_t)position;
    if (left == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = left < max ? left : max;
    memcpy(out, w->data + position, n);
    return (ssize_t)n;
}

static ssize_t whole_stream(void *arg, char *out, size_t max) {
    struct whole *w = arg;
    size_t left = w->length - w->sent, n = left < max ? left : max;
    memcpy(out, w->data + w->sent, n);
    w->sent += n;
    return n ? (ssize_t)n : STREAM_END;
}

static void whole_free(void *arg) {
    struct whole *w = arg;
    free(w->data);
    free(w);
}

/* Make a response in chunks. To a HEAD, libmicrohttpd before 0.9.77 would send
 * the last chunk, which the client would take for the beginning of its next
 * answer: answer a HEAD without chunks, and end the connection. */
static struct MHD_Response *
chunked_response(const struct request *r, MHD_ContentReaderCallback read,
                 void *arg, MHD_ContentReaderFreeCallback release) {
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK, read, arg, release);
    if (response && r->head)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT,
                                 MHD_RO_END);
    return response;
}

/* Takes over `data`. The reply to a HEAD always has the length. */
static struct MHD_Response *whole_response(const struct request *r, char *data,
                                           size_t length) {
    if (r->head || length <= LENGTH_MAX)
        return MHD_create_response_from_buffer(length, data,
                                               MHD_RESPMEM_MUST_FREE);
    struct whole *w = calloc(1, sizeof *w);
    if (!w) {
        free(data);
        return NULL;
    }
    *w = (struct whole){data, length, 0};
    return chunked_response(r, whole_read, w, whole_free);
}

/* ---- streams ---- */

static ssize_t keepalive_read(struct reply_body *b, char *out, size_t max) {
    size_t left = strlen(b->source.keepalive) - b->keepalive_at;
    size_t n = left < max ? left : max;
    memcpy(out, b->source.keepalive + b->keepalive_at, n);
    b->keepalive_at += n;
    if (n == left) {
        b->keepalive_at = 0;
        b->keepalive_due = false;
    }
    return (ssize_t)n;
}

/* Read plain bytes. A keepalive is sent only where the source says STREAM_WAIT:
 * then its last frame is complete. */
static ssize_t plain_read(struct reply_body *b, char *out, size_t max) {
    if (b->keepalive_at)
        return keepalive_read(b, out, max);
    ssize_t n = b->source.read(b->source.arg, out, max);
    if (n == STREAM_LATER) {
        request_resume_later(b->request);
        n = STREAM_WAIT;
    }
    if (n == STREAM_WAIT && b->keepalive_due)
        return keepalive_read(b, out, max);
    return n;
}

/* Compress what the source has, and flush, so that the client sees it now. */
static ssize_t gzip_read(struct reply_body *b, char *out, size_t max) {
    b->zip.next_out = (unsigned char *)out;
    b->zip.avail_out = (unsigned)max;
    while (b->zip.avail_out == max) {
        int flush = Z_SYNC_FLUSH;
        if (b->zip.avail_in == 0 && !b->ended) {
            ssize_t n = plain_read(b, b->raw, STREAM_BLOCK);
            if (n == STREAM_CUT)
                return n;
            if (n == STREAM_WAIT) {
                /* The rest of the last flush, if `out` was full then. */
                deflate(&b->zip, Z_SYNC_FLUSH);
                break;
            }
            b->ended = n == STREAM_END;
            b->zip.next_in = (unsigned char *)b->raw;
            b->zip.avail_in = n > 0 ? (unsigned)n : 0;
        }
        if (b->ended)
            flush = Z_FINISH;
        int result = deflate(&b->zip, flush);
        if (result == Z_STREAM_END && b->zip.avail_out == max)
            return STREAM_END;
        if (result == Z_STREAM_ERROR)
            return STREAM_CUT;
        if (result == Z_STREAM_END)
            break;
    }
    return (ssize_t)(max - b->zip.avail_out);
}

static ssize_t body_read(void *arg, uint64_t position, char *out, size_t max) {
    struct reply_body *b = arg;
    (void)position;
    if (b->request->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t n = b->gzip ? gzip_read(b, out, max) : plain_read(b, out, max);
    if (n > 0)
        b->last = monotonic_seconds();
    if (n == STREAM_WAIT) {
        b->request->suspended = true;
        MHD_suspend_connection(b->request->mhd);
        return 0;
    }
    return n == STREAM_END   ? MHD_CONTENT_READER_END_OF_STREAM
           : n == STREAM_CUT ? MHD_CONTENT_READER_END_WITH_ERROR
                             : n;
}

void reply_body_free(struct reply_body *b) {
    if (!b)
        return;
    if (b->source.close)
        b->source.close(b->source.arg);
    if (b->gzip)
        deflateEnd(&b->zip);
    free(b->raw);
    free(b);
}

void reply_body_tick(struct request *r, double now) {
    struct reply_body *b = r->stream;
    if (!b || !b->source.keepalive || now - b->last < KEEPALIVE_SECONDS)
        return;
    b->keepalive_due = true;
    request_resume(r);
}

void stream_wake(struct request *r) {
    request_resume(r);
}

static void send_stream(struct request *r, int status, const char *type,
                        const struct stream_source *source) {
    struct reply_body *b = calloc(1, sizeof *b);
    if (!b) {
        source->close(source->arg);
        reply_memory(r);
        return;
    }
    b->request = r;
    b->source = *source;
    b->last = monotonic_seconds();
    b->raw = r->gzip ? malloc(STREAM_BLOCK) : NULL;
    b->gzip = b->raw && deflateInit2(&b->zip, Z_BEST_SPEED, Z_DEFLATED, 15 + 16,
                                     8, Z_DEFAULT_STRATEGY) == Z_OK;
    r->stream = b; /* freed with the request */
    if (b->gzip)
        reply_header(r, "Content-Encoding", "gzip");
    send_response(r, (unsigned)status, chunked_response(r, body_read, b, NULL),
                  type);
}

void reply_stream(struct request *r, const char *type,
                  const struct stream_source *source) {
    reply_header(r, "Cache-Control", "no-cache");
    send_stream(r, 200, type, source);
}

/* ---- whole replies ---- */

/* Compress piece by piece: all at once would hold up the loop. */
static void send_packed(struct request *r, int status, const char *type,
                        char *data, size_t length) {
    struct whole *w = calloc(1, sizeof *w);
    if (!w) {
        free(data);
        send_response(r, (unsigned)status, NULL, type);
        return;
    }
    *w = (struct whole){data, length, 0};
    send_stream(r, status, type,
                &(struct stream_source){whole_stream, whole_free, w, NULL});
}

static void send_whole(struct request *r, int status, const char *type,
                       char *data, size_t length) {
    char *packed;
    size_t packed_length;
    if (r->gzip && length > PACK_HERE && !r->head) {
        send_packed(r, status, type, data, length);
        return;
    }
    if (r->gzip && length > GZIP_MIN && length <= PACK_HERE &&
        compress_buffer(data, length, &packed, &packed_length)) {
        free(data);
        data = packed;
        length = packed_length;
        reply_header(r, "Content-Encoding", "gzip");
    }
    send_response(r, (unsigned)status, whole_response(r, data, length), type);
}

void reply_json(struct request *r, int status, struct buffer *b) {
    json_end(b);
    size_t length = b->length;
    char *data = buffer_take(b);
    if (data)
        send_whole(r, status, "application/json", data, length);
    else
        reply_error(r, 500, "the reply does not fit into memory");
}

void reply_text(struct request *r, const char *type, struct buffer *b) {
    size_t length = b->length;
    char *data = buffer_take(b);
    if (data)
        send_whole(r, 200, type, data, length);
    else
        reply_error(r, 500, "the reply does not fit into memory");
}

struct buffer fault_body(const struct fault *f) {
    struct buffer b;
    buffer_init(&b, 16 * 1024);
    json_open(&b, NULL, '{');
    json_add_string(&b, "error", f->message);
    json_add_int(&b, "status", f->status);
    json_close(&b, '}');
    json_end(&b);
    return b;
}

void reply_fault(struct request *r, const struct fault *f) {
    struct buffer b = fault_body(f);
    if (f->status >= 500)
        log_line("%s %s: %d: %s", r->match.route ? r->match.route->method : "?",
                 r->match.route ? r->match.route->pattern : "?", f->status,
                 f->message);
    /* Asking again is safe after these, so say when (http-api.md §2.3). */
    if (f->status == 425 || f->status == 429)
        reply_header(r, "Retry-After", "1");
    size_t length = b.length;
    char *data = buffer_take(&b);
    send_whole(r, f->status, "application/json", data, data ? length : 0);
}

void reply_error(struct request *r, int status, const char *format, ...) {
    struct fault f = {.status = status};
    va_list args;
    va_start(args, format);
    vsnprintf(f.message, sizeof f.message, format, args);
    va_end(args);
    reply_fault(r, &f);
}

void reply_memory(struct request *r) {
    struct fault f;
    fault_memory(&f);
    reply_fault(r, &f);
}

/* A file is never compressed: a Content-Length, which shows progress, and
 * sendfile are worth more. */
void reply_fd(struct request *r, const char *type, int fd, int64_t size) {
    struct MHD_Response *response =
        MHD_create_response_from_fd64((uint64_t)size, fd);
    if (!response)
        close_fd(fd);
    send_response(r, 200, response, type);
}
