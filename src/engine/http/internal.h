/* internal.h: shared by the files of this room only. */
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
    int64_t received,
        received_before; /* bytes of the body: now, at the last tick */
    int64_t discarded;
    bool lying; /* bytes were unread at the last tick */
    bool held;  /* part of the body waits for request_go_on() */
    json_t *json;
    struct fault fault; /* status 0: no fault so far */

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
    size_t count, strangers; /* connections; those not known yet */
};

struct connection {
    struct connection *next, *previous;
    struct listener *listener;
    int fd;
    bool ours;      /* our own user's process, on the Unix socket */
    bool refused;   /* of a process that may not use that socket */
    bool known;     /* its user or its token was right */
    bool sent_away; /* shut down to make room */
    double opened;  /* monotonic seconds */
    double since;   /* when it was opened, or its last request ended */
    struct request *request;
};

struct http_server {
    const struct http_options *o;
    struct listener unix_listener, tcp_listener;
    uv_prepare_t prepare;
    uv_timer_t timeout, tick, later;
    bool kicked, closing, ended;
    bool quiet;         /* the last tick found nothing to watch */
    int open_handles;   /* that are being closed */
    struct stat socket; /* of the Unix socket, to know it by */
    unsigned char token_hash[SHA256_DIGEST_LENGTH];
    struct connection *connections;
    size_t active;
    uint64_t last_activity;
};

/* What each file offers. A file uses only those above it. */

/* ---- request.c ---- */

/* Whether the body is bytes, not JSON. */
bool request_is_bytes(const struct request *r);
/* Let the connection go on if it is suspended. */
void request_resume(struct request *r);
/* The same in the next turn of the loop; it may be suspended until then. */
void request_resume_later(struct request *r);

/* ---- reply.c ---- */

/* The error object of the API (http-api.md §2.1). */
struct buffer fault_body(const struct fault *f);
/* Free the stream of a request; NULL is fine. */
void reply_body_free(struct reply_body *b);
/* Send the keepalive of a stream that has been silent for long. */
void reply_body_tick(struct request *r, double now);

/* ---- connection.c ---- */

/* Take connections of `fd` from now on; takes it over. */
int listener_accept(struct listener *l, int fd, struct fault *f);
/* MHD_NotifyConnectionCallback. */
void connection_notify(void *listener, struct MHD_Connection *mhd,
                       void **context,
                       enum MHD_ConnectionNotificationCode code);
/* The client may ask: it is not a stranger any more. */
void connection_know(struct connection *c);
/* Every few seconds: end connections whose peers have gone or stay silent.
 * False: there is nothing to watch until something happens. */
bool connections_tick(struct http_server *s);

/* ---- authorize.c ---- */

/* Set the token that clients must send over TCP. */
void server_set_token(struct http_server *s, const char *token);
/* Set the request's fault to 401 or 403 if it may not ask. */
void request_authorize(struct request *r);

/* ---- receive.c: libmicrohttpd's callbacks for a request ---- */

/* MHD_OPTION_URI_LOG_CALLBACK, the first: returns the request. */
void *request_new(void *listener, const char *target,
                  struct MHD_Connection *mhd);
/* MHD_AccessHandlerCallback. */
enum MHD_Result request_receive(void *arg, struct MHD_Connection *mhd,
                                const char *url, const char *method,
                                const char *version, const char *data,
                                size_t *length, void **context);
/* MHD_RequestCompletedCallback. */
void request_free(void *arg, struct MHD_Connection *mhd, void **context,
                  enum MHD_RequestTerminationCode why);
/* Note that the server was busy just now. */
void server_touch(struct http_server *s);

#endif
