/* http.c: any bytes on a connection to the server: every answer is an HTTP
 * response of the right length, whose body is JSON, with a status that the API
 * has; a handler gets only what a request said. The first byte says how the
 * bytes come. */
#define _GNU_SOURCE
#include "http/http.h"
#include "../input.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, QUIET_TURNS = 6 };

static struct {
    uv_loop_t loop;
    struct workers workers;
    char socket[340];
    struct http_options options;
    struct http_server *server;
} site;

static void echo(struct request *r) {
    struct buffer b;
    size_t length;
    buffer_init(&b, 1 << 20);
    json_open(&b, NULL, '{');
    json_add_string(&b, "name", request_param(r, 0));
    if (request_json(r))
        json_add_value(&b, "json", request_json(r));
    else if (request_bytes(r, &length))
        json_add_base64(&b, "bytes", request_bytes(r, &length), length);
    json_close(&b, '}');
    reply_header(r, "X-Type", request_header(r, "Content-Type") ? "1" : "0");
    reply_json(r, 200, &b);
}

static int begin(struct request *r, int64_t length, struct fault *f) {
    (void)r;
    return length > 1000 ? fault_set(f, 413, "too large") : 0;
}

static ssize_t take(struct request *r, const void *data, size_t length,
                    struct fault *f) {
    (void)r;
    (void)f;
    HOLDS(length == 0 || data);
    return (ssize_t)length;
}

static const struct route table[] = {
    {"GET", "echo/*", BODY_NONE, .handle = echo},
    {"POST", "echo/*", BODY_JSON, .handle = echo},
    {"POST", "bytes/*", BODY_BYTES, .handle = echo},
    {"POST", "stream/*", BODY_STREAM, .handle = echo, .open = begin,
     .write = take},
    {.method = NULL},
};
static const struct route *const routes[] = {table, NULL};
static const struct descriptors most = {
    .runs = 1, .connections = 8, .strangers = 8};

static void make_site(void) {
    struct fault f;
    signal(SIGPIPE, SIG_IGN);
    snprintf(site.socket, sizeof site.socket, "%s/s", fuzz_directory("http"));
    HOLDS(uv_loop_init(&site.loop) == 0);
    site.workers.loop = &site.loop;
    site.options = (struct http_options){.loop = &site.loop,
                                         .workers = &site.workers,
                                         .most = &most,
                                         .socket_path = site.socket,
                                         .routes = routes};
    site.server = http_open(&site.options, &f);
    HOLDS(site.server);
}

static int dial(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HOLDS(fd >= 0 && strlen(site.socket) < sizeof a.sun_path);
    memcpy(a.sun_path, site.socket, strlen(site.socket) + 1);
    HOLDS(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    HOLDS(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* Send in pieces, and read until no more comes. (Of those who stop amid a
 * request the server learns some seconds later.) */
static size_t converse(const char *data, size_t size, size_t piece,
                       char *answer) {
    int fd = dial();
    size_t sent = 0, got = 0;
    for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
        size_t n = piece < size - sent ? piece : size - sent;
        ssize_t done = n ? send(fd, data + sent, n, MSG_NOSIGNAL) : 0;
        sent = done < 0 ? size : sent + (size_t)done;
        uv_run(&site.loop, UV_RUN_NOWAIT);
        ssize_t more = recv(fd, answer + got, ANSWER_MAX - got, 0);
        if (more == 0)
            break;
        got += more > 0 ? (size_t)more : 0;
        if (done > 0 || more > 0)
            quiet = 0;
    }
    close(fd);
    for (int i = 0; i < QUIET_TURNS; i++)
        uv_run(&site.loop, UV_RUN_NOWAIT);
    return got;
}

static const char *header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *p = head; (p = memmem(p, (size_t)(end - p), "\r\n", 2));
         p += 2)
        if ((size_t)(end - p) > length + 2 &&
            strncasecmp(p + 2, name, length) == 0)
            return p + 2 + length;
    return NULL;
}

static bool is_status(int status) {
    static const int known[] = {200, 400, 404, 405, 413, 414,
                                415, 431, 500, 501, 505};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == status)
            return true;
    return false;
}

/* The answers are whole; the last one may be to a HEAD, which has no body. */
static void check(const char *at, size_t left) {
    while (left > 0) {
        int status = 0;
        const char *end = memmem(at, left, "\r\n\r\n", 4);
        HOLDS(end && sscanf(at, "HTTP/1.%*1[01] %3d ", &status) == 1);
        end += 4;
        const char *length = header(at, end, "Content-Length: ");
        size_t body = length ? strtoul(length, NULL, 10) : 0;
        left -= (size_t)(end - at);
        if (status != 100) {
            HOLDS(is_status(status));
            /* A HEAD's answer is followed by the next one, or by nothing. */
            bool none = left == 0 || strncmp(end, "HTTP/1.", 7) == 0;
            HOLDS(none || body <= left);
            body = none ? 0 : body;
            const char *type = header(at, end, "Content-Type: ");
            if (body > 0 && type && !header(at, end, "Content-Encoding:") &&
                strncmp(type, "application/json", 16) == 0) {
                json_t *v = json_loadb(end, body, 0, NULL);
                HOLDS(v);
                HOLDS(status == 200 || json_integer_value(json_object_get(
                                           v, "status")) == status);
                json_decref(v);
            }
        }
        at = end + body;
        left -= body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char answer[ANSWER_MAX + 1]; /* too large for a frame */
    struct input in = {data, size};
    size_t length;
    if (!site.server)
        make_site();
    uint8_t how = input_byte(&in);
    char *bytes = input_rest(&in, &length);
    size_t got = converse(bytes, length, how ? how * 8u : length + 1, answer);
    answer[got] = '\0';
    check(answer, got);
    HOLDS(http_active(site.server) == 0);
    free(bytes);
    return 0;
}
