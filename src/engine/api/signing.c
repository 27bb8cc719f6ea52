/* signing.c: requests of a run that its client signs (http-api.md §4.34), an
 * extension. */
#include "operation/signing.h"
#include "api/active.h"
#include "api/api.h"
#include "api/routes.h"
#include <stdlib.h>
#include <string.h>

struct signing_stream {
    struct signing_reader reader;
    struct request *request;
    size_t sent; /* of the reader's text */
    bool ended;  /* the last frame is made */
};

static ssize_t stream_read(void *arg, char *out, size_t max) {
    struct signing_stream *s = arg;
    struct buffer *text = &s->reader.text;
    if (s->sent == text->length) {
        text->length = s->sent = 0;
        if (s->ended)
            return STREAM_END;
        if (s->reader.op)
            return STREAM_WAIT;
        s->ended = true;
        if (!buffer_addf(text, "event: end\ndata: {}\n\n"))
            return STREAM_CUT;
    }
    size_t left = text->length - s->sent;
    size_t n = left < max ? left : max;
    memcpy(out, text->data + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}

static void stream_close(void *arg) {
    struct signing_stream *s = arg;
    signing_unfollow(&s->reader);
    buffer_free(&s->reader.text);
    free(s);
}

static void on_news(struct signing_reader *r) {
    struct signing_stream *s = (struct signing_stream *)r;
    if (s->request)
        stream_wake(s->request);
}

static void signing_get(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct signing_stream *s = op ? calloc(1, sizeof *s) : NULL;
    if (op && !s)
        fault_memory(&f);
    if (s)
        s->reader.news = on_news;
    if (!s || signing_follow(op, &s->reader, &f) < 0) {
        free(s);
        reply_fault(r, &f);
        return;
    }
    s->request = r;
    reply_stream(r, "text/event-stream",
                 &(struct stream_source){stream_read, stream_close, s,
                                         ": keepalive\n\n"});
}

static void signing_post(struct request *r) {
    const char *text = request_param(r, 1);
    struct fault f;
    int64_t id;
    struct operation *op = operation_find_active(r, &f);
    if (op && !parse_int(text, &id)) {
        fault_set(&f, 404, "nothing waits to be signed as \"%.40s\"", text);
        op = NULL;
    }
    if (!op || signing_answer(op, id, request_json(r), &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

const struct route signing_routes[] = {
    {"GET", "operations/*/signing", .handle = signing_get},
    {"POST", "operations/*/signing/*", BODY_JSON, .handle = signing_post},
    {.method = NULL},
};
