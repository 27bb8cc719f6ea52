/* transfer.h: one HTTP request and its response.
 *
 * In Lua:
 *
 *   write(s)      adds to a body of chunks. Adds nothing, and returns false,
 *                 when 1 MiB waits already (it becomes ready when there is
 *                 room), or when the server has answered and does not
 *                 want the body
 *   finish()      the body of chunks is complete
 *   read()        all that a sink of chunks holds now, or nil
 *   next_event()  the oldest event not yet taken, or nil; see sse.h, records.h
 *   written()     the id of the last record that went to a file of the sink,
 * and the bytes that did, of stdout and of stderr; or nil status()      as soon
 * as the final headers are there; nil before headers()     {lower-case name =
 * value}, then; of equal names the last header(name)  the value of that header
 * (lower case), or nil done()        is it over? What was received can still be
 * drained result()      nil until done, then always the same table: status,
 * body, bytes_sent, bytes_received, seconds, sha256, connected, sent (a byte of
 * the request may have reached the server) and error = nil | {kind=, message=,
 * code=} cancel()      ends it at once with an error of kind "aborted"
 *
 * Error kinds: connect, resolve, timeout, idle, tls, closed (reset, no answer
 * or a short one), protocol (not HTTP; damaged or cut gzip), too_large, file
 * (one of ours), aborted, other. `code` is libcurl's number.
 *
 * libcurl sends a request again by itself when a kept connection turns out to
 * be dead, but never one whose method may not be repeated (POST, PATCH) and
 * of which a byte was sent.
 */
#ifndef CONTREE_TRANSFER_H
#define CONTREE_TRANSFER_H

#include "curl_api.h"
#include "head.h"
#include "list.h"
#include "multi.h"
#include "sink.h"
#include "source.h"
#include "transfer_error.h"

#include <lua.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Facts that remain once the transfer is done. */
struct transfer_totals {
    CURLcode code;
    long long bytes_sent, bytes_received; /* of the bodies, on the wire */
    double seconds;
    bool connected;
    bool sent; /* a byte of the request may have reached the server */
    char sha256[DIGEST_HEX_SIZE]; /* "": none */
};

/* The memory of its userdata. While it runs, it is in multi->active and its
 * callbacks write to it. */
struct transfer {
    struct multi *multi; /* holds a reference */
    struct link active, ready;
    CURL *easy; /* NULL before and after */
    struct curl_slist *headers;
    struct source source;
    struct sink sink;
    struct response_head head;
    size_t heads; /* bytes of all header blocks so far */
    int status;   /* 0 until the final headers are there */
    bool done;
    bool resting;    /* libcurl holds back until the loop's next turn */
    bool has_result; /* its table is with the userdata */
    bool repeatable; /* the method may be sent twice (RFC 9110, 9.2.2) */
    bool want_sha256;
    int attempts; /* how often libcurl was about to send the request */
    double connect_timeout, idle_timeout, timeout; /* seconds; 0: none */
    double last_activity;                          /* for idle_timeout */
    long long last_bytes;
    char socket_path[108]; /* "": TCP */
    struct transfer_error error;
    struct transfer_totals totals;
    char error_buffer[CURL_ERROR_SIZE]; /* libcurl's message */
};

/* Pushes a new transfer with a fresh easy handle and no request; raises when
 * there is no memory. */
struct transfer *transfer_push(lua_State *L, struct multi *multi);
/* Starts it, once request_read() has filled it. When that fails it is done at
 * once, and queued. */
void transfer_start(struct transfer *transfer);
/* To be called when libcurl is done with it. */
void transfer_complete(struct transfer *transfer, CURLcode code);
/* Ends it with this error; no effect when it is done. */
void transfer_abort(struct transfer *transfer, const char *kind,
                    const char *message);
/* Lets a resting transfer go on. */
void transfer_go_on(struct transfer *transfer);
/* Ends it when it was idle for its idle timeout. The moment of the next check;
 * INFINITY: never. */
double transfer_check_idle(struct transfer *transfer, double now);

void transfer_register(lua_State *L);

#pragma GCC visibility pop

#endif
