/* client.c: see client.h. */
#define _GNU_SOURCE
#include "command/client.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/scope.h"
#include "http/listen.h"
#include "store/store.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_MAX = 65536 };
/* The answer to a route that is not served (http/route.c). */
#define NO_ROUTE "no such route"

bool local_is_served(const struct engine *e, const struct fault *f) {
    return f->status == 409 && e->dir_fd >= 0 && !e->store;
}

static int connect_engine(const char *path, struct fault *f) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd CLEANUP(cleanup_close) =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fault_set(f, 409,
                         "an engine serves the data directory, but not on %s: "
                         "say --socket, or stop it (contree-engine leaves when "
                         "idle, or on SIGTERM)",
                         path);
    if (!peer_is_us(fd))
        return fault_set(f, 403, "another user listens on %s: say --socket",
                         path);
    return steal_fd(&fd);
}

static int send_request(int fd, const char *path, struct buffer *body,
                        struct fault *f) {
    struct buffer all;
    buffer_init(&all, 2 * REPLY_MAX);
    buffer_addf(&all,
                "POST /v1/%s HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Type: application/json\r\nConnection: close\r\n"
                "Content-Length: %zu\r\n\r\n",
                path, body->length);
    buffer_add(&all, body->data, body->length);
    int result = body->failed || all.failed ? fault_memory(f)
                 : write_all(fd, all.data, all.length) < 0
                     ? fault_errno(f, "cannot send the request to the engine")
                     : 0;
    buffer_free(&all);
    return result;
}

/* Read the reply to its end: its JSON body, and its status. */
static json_t *read_reply(int fd, int *status, struct fault *f) {
    char *text CLEANUP(cleanup_free) = malloc(REPLY_MAX + 1);
    ssize_t length = text ? read_all(fd, text, REPLY_MAX) : -1;
    if (length < 0) {
        fault_errno(f, "cannot read the reply of the engine");
        return NULL;
    }
    text[length] = 0;
    const char *body = strstr(text, "\r\n\r\n");
    if (!body || sscanf(text, "HTTP/1.1 %d", status) != 1) {
        fault_set(f, 500, "the engine did not answer");
        return NULL;
    }
    return json_parse(body + 4, strlen(body + 4), f);
}

json_t *local_post(const struct options *o, const char *what,
                   struct buffer *body, struct fault *f) {
    int status = 0;
    json_add_string(body, "data_dir", o->config.data_dir);
    json_close(body, '}');
    json_end(body);
    char path[PATH_MAX];
    if (o->socket_given || !store_served_on(o->data_dir, path, sizeof path))
        snprintf(path, sizeof path, "%s", o->socket_path);
    int fd CLEANUP(cleanup_close) = connect_engine(path, f);
    json_t *reply = fd >= 0 && send_request(fd, what, body, f) == 0
                        ? read_reply(fd, &status, f)
                        : NULL;
    buffer_free(body);
    if (!reply || status == 200)
        return reply;
    const char *error = json_string_value(json_object_get(reply, "error"));
    if (status == 404 && error && strcmp(error, NO_ROUTE) == 0)
        error = "the engine that runs serves no such command; it was started "
                "with --plain-api: stop it, and try again";
    fault_set(f, status, "%s",
              error ? error : "the engine refused the request");
    json_decref(reply);
    return NULL;
}
