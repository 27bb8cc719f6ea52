/* http.c: what is passed on of a connection is requests for its
 * host, in whatever pieces they come: read again, nothing is refused. The first
 * byte chooses what they begin with, as chance would seldom find a request. */
#include "airlock/http.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct policy *make_policy(void) {
    json_t *rules = json_loads("{\"allow\":[{\"host\":\"a.example\",\"paths\":"
                               "[\"/v1/**\",\"/\"]}]}",
                               0, NULL);
    struct policy *p = policy_parse(rules, "", NULL);
    json_decref(rules);
    return p;
}

static enum http_state send_in(const struct policy *p, const char *data,
                               size_t size, size_t piece, struct buffer *out) {
    const struct target t = {.name = "a.example", .port = 80};
    struct http *h = http_make(p, &t);
    enum http_state state = HTTP_GOES_ON;
    buffer_init(out, 1 << 20);
    for (size_t at = 0; at < size && state == HTTP_GOES_ON; at += piece)
        state =
            http_take(h, data + at, size - at < piece ? size - at : piece, out);
    http_free(h);
    return state;
}

static const char *const beginnings[] = {
    "",
    "GET / HTTP/1.1\r\nHost: a.example\r\n",
    "GET /v1/",
    "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nbytes",
    ("POST / HTTP/1.1\r\nHost: a.example\r\n"
     "Transfer-Encoding: chunked\r\n\r\n"),
    "GET http://a.example",
    "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: ",
};
enum { BEGINNINGS = sizeof beginnings / sizeof *beginnings };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct policy *policy; /* made once */
    struct buffer in, out, again;
    if (!policy)
        policy = make_policy();
    if (size == 0)
        return 0;
    const char *beginning = beginnings[data[0] % BEGINNINGS];
    buffer_init(&in, 1 << 20);
    buffer_add(&in, beginning, strlen(beginning));
    buffer_add(&in, data + 1, size - 1);
    send_in(policy, in.data, in.length, size % 40 + 1, &out);
    buffer_free(&in);
    if (out.length > 0 && (send_in(policy, out.data, out.length, out.length,
                                   &again) != HTTP_GOES_ON ||
                           !again.data))
        abort();
    if (out.length > 0)
        buffer_free(&again);
    buffer_free(&out);
    return 0;
}
