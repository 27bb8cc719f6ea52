/* internal.h: what the files of this room share; nobody else includes it. */
#ifndef CONTREE_HTTP_INTERNAL_H
#define CONTREE_HTTP_INTERNAL_H

#include "base/buffer.h"
#include "base/fault.h"
#include "http/accept.h"
#include "http/http.h"
#include <microhttpd.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <zlib.h>

enum { REPLY_HEADERS = 4 };

struct request {
    struct http_server *server;
    struct connection *connection;
    struct MHD_Connection *mhd;
    struct url url;
    struct route_match match;
    bool head, gzip;
    double since; /* monotonic seconds */
    size_t target_length;

    /* receiving */
    bool begun, complete;
    struct buffer body;
    int64_t received, received_before; /* bytes of the body; at the last tick */
    int64_t discarded;
    bool lying; /* there were bytes to read at the last tick */
    json_t *json;
    struct fault fault; /* status 0: none so far */

    /* waiting */
    bool suspended, aborted, later;
    void (*gone)(void *arg);
    void *gone_arg;
    void *state;
    void (*release)(void *state);

    /* replying */
    struct {
        const char *name;
        char *value;
    } headers[REPLY_HEADERS];
    size_t header_count;
    struct MHD_Response *response;
    unsigned status;
    struct reply_body *stream;
};

struct listener {
    struct http_server *server;
    struct MHD_Daemon *daemon; /* NULL: not listening */
    uv_poll_t poll;
    struct acceptor acceptor;
    bool tcp, polling, accepting;
    size_t count, strangers; /* connections; those that are not known */
};

struct connection {
    struct connection *next, *previous;
    struct listener *listener;
    int fd;
    bool refused;   /* another user's process */
    bool known;     /* may ask: its token, or its user, was right */
    bool sent_away; /* to make way for another; soon closed */
    double opened;  /* monotonic seconds */
    double since;   /* the same, or when its last request ended */
    struct request *request;
};

struct http_server {
    const struct http_options *o;
    struct listener unix_listener, tcp_listener;
    uv_prepare_t prepare;
    uv_timer_t timeout, tick, later;
    bool kicked, closing, ended;
    int open_handles;   /* being closed */
    struct stat socket; /* of the Unix socket's name, while it is ours */
    unsigned char token_hash[SHA256_DIGEST_LENGTH];
    struct connection *connections;
    size_t active;
    uint64_t last_activity;
};

/* What each file has for the others. A file uses those above it only. */

/* ---- request.c ---- */

/* Whether the body is bytes, not JSON. */
bool request_is_bytes(const struct request *r);
/* Lets the connection go on, if it was waiting. */
void request_resume(struct request *r);
/* The same in the next turn of the loop, once it waits. */
void request_resume_later(struct request *r);

/* ---- reply.c ---- */

/* The API's error object (http-api.md §2.1). */
struct buffer fault_body(const struct fault *f);
/* The stream that a request sends. */
void reply_body_free(struct reply_body *b);
/* Lets a stream that was silent for long send its keepalive. */
void reply_body_tick(struct request *r, double now);

/* ---- connection.c ---- */

/* Takes over fd, and from then on connections come in. */
int listener_accept(struct listener *l, int fd, struct fault *f);
/* libmicrohttpd's MHD_NotifyConnectionCallback. */
void connection_notify(void *listener, struct MHD_Connection *mhd,
                       void **context,
                       enum MHD_ConnectionNotificationCode code);
/* It is no stranger any more. */
void connection_know(struct connection *c);
/* Now and then: ends those whose peers have gone, or say nothing. */
void connections_tick(struct http_server *s);

/* ---- authorize.c ---- */

/* What clients must send over TCP from now on. */
void server_set_token(struct http_server *s, const char *token);
/* Fills the request's fault unless it may ask: 401, 403. */
void request_authorize(struct request *r);

/* ---- receive.c: libmicrohttpd's callbacks for a request ---- */

/* The MHD_OPTION_URI_LOG_CALLBACK: the request, for the other callbacks. */
void *request_new(void *listener, const char *target,
                  struct MHD_Connection *mhd);
/* The MHD_AccessHandlerCallback. */
enum MHD_Result request_receive(void *arg, struct MHD_Connection *mhd,
                                const char *url, const char *method,
                                const char *version, const char *data,
                                size_t *length, void **context);
/* The MHD_RequestCompletedCallback. */
void request_free(void *arg, struct MHD_Connection *mhd, void **context,
                  enum MHD_RequestTerminationCode why);
/* The server was busy until now. */
void server_touch(struct http_server *s);

#endif
