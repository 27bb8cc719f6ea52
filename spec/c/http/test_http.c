/* test_http.c: the HTTP server without an engine. It serves the two routes of
 * this file over a Unix socket and over TCP. */
#define _GNU_SOURCE
#include "base/fd.h"
#include "check.h"
#include "http/http.h"
#include "temp_dir.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* The server of the running test; there is one at a time. */
static struct {
    struct temp_dir dir;
    uv_loop_t loop;
    struct workers workers;
    char socket_path[80];
    struct http_options options;
    struct http_server *server;
    struct request *kept; /* the request that is answered later */
    int gone;             /* clients that did not wait for the answer */
} site;

static const struct descriptors most = {
    .runs = 1, .connections = 8, .strangers = 2};

/* ---- the routes ---- */

/* POST echo/NAME {"text": …} */
static void echo(struct request *r) {
    struct buffer b;
    buffer_init(&b, 4096);
    json_open(&b, NULL, '{');
    json_add_string(&b, "name", request_param(r, 0));
    json_add_string(
        &b, "text",
        json_string_value(json_object_get(request_json(r), "text")));
    json_add_bool(&b, "context", request_context(r) == &site);
    json_close(&b, '}');
    reply_json(r, 200, &b);
}

static void on_gone(void *arg) {
    (void)arg;
    site.kept = NULL;
    site.gone++;
}

/* GET later */
static void later(struct request *r) {
    site.kept = r;
    request_on_gone(r, on_gone, NULL);
}

static const struct route echo_routes[] = {
    {"POST", "echo/*", BODY_JSON, .handle = echo},
    {.method = NULL},
};
static const struct route later_routes[] = {
    {"GET", "later", .handle = later},
    {.method = NULL},
};
static const struct route *const routes[] = {echo_routes, later_routes, NULL};

/* ---- a server and its client ---- */

static void site_open(const char *listen, const char *token) {
    struct fault f = {0};
    memset(&site, 0, sizeof site);
    site.dir = temp_dir_make();
    snprintf(site.socket_path, sizeof site.socket_path, "%s/s", site.dir.path);
    uv_loop_init(&site.loop);
    site.workers.loop = &site.loop;
    site.options = (struct http_options){.loop = &site.loop,
                                         .workers = &site.workers,
                                         .most = &most,
                                         .socket_path = site.socket_path,
                                         .listen = listen,
                                         .token = token,
                                         .routes = routes,
                                         .context = &site};
    site.server = http_open(&site.options, &f);
    CHECK(site.server != NULL);
}

static void site_close(void) {
    http_quiesce(site.server);
    CHECK(access(site.socket_path, F_OK) < 0);
    http_close(site.server);
    uv_run(&site.loop, UV_RUN_DEFAULT);
    CHECK_NUMBER(uv_loop_close(&site.loop), 0);
    temp_dir_remove(&site.dir);
}

/* Let the server take one turn, then sleep a moment. */
static void turn(void) {
    uv_run(&site.loop, UV_RUN_NOWAIT);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int connect_to(const void *address, socklen_t length) {
    int family = ((const struct sockaddr *)address)->sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, address, length) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static int connect_unix(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", site.socket_path);
    return connect_to(&a, sizeof a);
}

/* Connect over TCP. The port is that of the one listening socket we have. */
static int connect_tcp(void) {
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in a = {0};
        socklen_t size = sizeof a, length = sizeof(int);
        int listening = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) ==
                0 &&
            listening && getsockname(fd, (struct sockaddr *)&a, &size) == 0 &&
            a.sin_family == AF_INET)
            return connect_to(&a, sizeof a);
    }
    CHECK(!"a listening TCP socket");
    return -1;
}

static void ask(int fd, const char *request) {
    CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) ==
          (ssize_t)strlen(request));
}

/* Read until the server closes the connection, for some seconds at most. */
static const char *answer(int fd) {
    static char text[8192];
    size_t length = 0;
    for (int turns = 0; turns < 10000; turns++) {
        ssize_t n = recv(fd, text + length, sizeof text - 1 - length, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        length += n > 0 ? (size_t)n : 0;
        turn();
    }
    text[length] = 0;
    close(fd);
    return text;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static const char *body(const char *text) {
    const char *end = strstr(text, "\r\n\r\n");
    return end ? end + 4 : "";
}

#define END "Host: x\r\nConnection: close\r\n\r\n"

/* ---- the tests ---- */

static void test_reply(void) {
    site_open(NULL, NULL);
    int fd = connect_unix();
    ask(fd, "POST /v1/echo/a%2Fb HTTP/1.1\r\nContent-Length: 14\r\n" END
            "{\"text\": \"hi\"}");
    const char *text = answer(fd);
    CHECK(starts_with(text, "HTTP/1.1 200 OK\r\n"));
    CHECK_STRING(body(text),
                 "{\"name\":\"a/b\",\"text\":\"hi\",\"context\":true}");
    CHECK_NUMBER((long long)http_active(site.server), 0);
    site_close();
}

static void test_prefix(void) {
    site_open(NULL, NULL);
    int fd = connect_unix();
    ask(fd, "POST /some/where/v1/echo/x HTTP/1.1\r\nContent-Length: 2\r\n" END
            "{}");
    CHECK_STRING(body(answer(fd)),
                 "{\"name\":\"x\",\"text\":null,\"context\":true}");
    site_close();
}

static void test_token(void) {
    site_open("127.0.0.1:0", "right");
    int fd = connect_tcp();
    ask(fd, "GET /v1/none HTTP/1.1\r\n" END);
    const char *text = answer(fd);
    CHECK(starts_with(text, "HTTP/1.1 401 Unauthorized\r\n"));
    CHECK(strstr(text, "WWW-Authenticate: Bearer\r\n"));
    fd = connect_tcp();
    ask(fd, "GET /v1/none HTTP/1.1\r\nAuthorization: Bearer wrong\r\n" END);
    CHECK(starts_with(answer(fd), "HTTP/1.1 401 Unauthorized\r\n"));
    fd = connect_tcp();
    ask(fd, "GET /v1/none HTTP/1.1\r\nAuthorization: bearer right\r\n" END);
    CHECK(starts_with(answer(fd), "HTTP/1.1 404 Not Found\r\n"));
    site_close();
}

static void test_tcp_needs_token(void) {
    struct fault f = {0};
    site_open(NULL, NULL);
    struct http_options o = site.options;
    o.socket_path = NULL;
    o.listen = "127.0.0.1:0";
    CHECK(!http_open(&o, &f));
    CHECK_NUMBER(f.status, 400);
    site_close();
}

static void test_unknown_path(void) {
    static const char *const paths[] = {"/",        "/v1",       "/v1/none",
                                        "/v1/echo", "/echo/x",   "/v1/echo/x/y",
                                        "/v1/lat",  "/v1/later2"};
    site_open(NULL, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char line[128];
        int fd = connect_unix();
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n" END, paths[i]);
        ask(fd, line);
        const char *text = answer(fd);
        CHECK(starts_with(text, "HTTP/1.1 404 Not Found\r\n"));
        CHECK_STRING(body(text),
                     "{\"error\":\"no such route\",\"status\":404}");
    }
    site_close();
}

static void test_wrong_method(void) {
    site_open(NULL, NULL);
    int fd = connect_unix();
    ask(fd, "DELETE /v1/later HTTP/1.1\r\n" END);
    const char *text = answer(fd);
    CHECK(starts_with(text, "HTTP/1.1 405 Method Not Allowed\r\n"));
    CHECK(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
    fd = connect_unix();
    ask(fd, "GET /v1/echo/x HTTP/1.1\r\n" END);
    CHECK(strstr(answer(fd), "\r\nAllow: POST\r\n"));
    site_close();
}

static void test_large_body(void) {
    char request[256];
    site_open(NULL, NULL);
    int fd = connect_unix();
    snprintf(request, sizeof request,
             "POST /v1/echo/x HTTP/1.1\r\nContent-Length: %d\r\n" END,
             JSON_BODY_MAX + 1);
    ask(fd, request); /* the answer does not wait for the body */
    CHECK(starts_with(answer(fd), "HTTP/1.1 413 "));
    CHECK_NUMBER((long long)http_active(site.server), 0);
    site_close();
}

static void test_bad_json(void) {
    site_open(NULL, NULL);
    int fd = connect_unix();
    ask(fd, "POST /v1/echo/x HTTP/1.1\r\nContent-Length: 1\r\n" END "{");
    CHECK(starts_with(answer(fd), "HTTP/1.1 400 Bad Request\r\n"));
    site_close();
}

/* A connection whose request the handler has kept. */
static int ask_later(void) {
    int fd = connect_unix();
    ask(fd, "GET /v1/later HTTP/1.1\r\n" END);
    for (int i = 0; i < 5000 && !site.kept; i++)
        turn();
    CHECK(site.kept != NULL);
    return fd;
}

static void test_later(void) {
    site_open(NULL, NULL);
    int fd = ask_later();
    CHECK_NUMBER((long long)http_active(site.server), 1);
    if (site.kept) {
        reply_header(site.kept, "X-Late", "yes");
        reply_empty(site.kept, 204);
    }
    const char *text = answer(fd);
    CHECK(starts_with(text, "HTTP/1.1 204 No Content\r\n"));
    CHECK(strstr(text, "\r\nX-Late: yes\r\n"));
    CHECK_NUMBER(site.gone, 0);
    site_close();
}

static void test_client_leaves(void) {
    site_open(NULL, NULL);
    int fd = ask_later();
    close(fd);
    for (int i = 0; i < 20000 && http_active(site.server); i++)
        turn();
    CHECK_NUMBER(site.gone, 1);
    CHECK_NUMBER((long long)http_active(site.server), 0);
    fd = connect_unix();
    ask(fd, "POST /v1/echo/x HTTP/1.1\r\nContent-Length: 2\r\n" END "{}");
    CHECK(starts_with(answer(fd), "HTTP/1.1 200 OK\r\n"));
    site_close();
}

static void test_close(void) {
    char text[1024] = "";
    site_open(NULL, NULL);
    int fd = ask_later();
    site_close();
    CHECK(recv(fd, text, sizeof text - 1, 0) > 0);
    CHECK(starts_with(text, "HTTP/1.1 503 Service Unavailable\r\n"));
    close(fd);
}

int main(void) {
    RUN(test_reply, "a route gets its parameter, its body and the context");
    RUN(test_prefix, "segments before v1 do not matter to a route");
    RUN(test_token, "over TCP only a client with the token may ask");
    RUN(test_tcp_needs_token, "TCP is not served without a token");
    RUN(test_unknown_path, "an unknown path gets 404");
    RUN(test_wrong_method, "a wrong method gets 405 and those that are right");
    RUN(test_large_body, "a body too large gets 413 before it was sent");
    RUN(test_bad_json, "a body that is not JSON gets 400");
    RUN(test_later, "a handler may reply after it has returned");
    RUN(test_client_leaves, "a client that goes away ends its request");
    RUN(test_close, "a request that waits gets 503 when the server closes");
    return CHECK_DONE();
}
