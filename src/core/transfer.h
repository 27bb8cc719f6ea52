/* transfer.h: one HTTP request and its response.
 *
 * In Lua:
 *
 *   write(s[, from])  adds to a body of chunks, 1 MiB of s at most, and returns
 *                 where in it to go on. Adds nothing, and returns false,
 *                 when 1 MiB waits already (it becomes ready when there is
 *                 room), or when the server has answered and does not
 *                 want the body
 *   finish()      the body of chunks is complete
 *   read()        all that a sink of chunks holds now, or nil
 *   next_event([out, err])  the oldest event not yet taken, or nil; see sse.h,
 *                 records.h: true if output went to a file, or to one of these
 *                 buffers; nil and a message if that failed
 *   written()     the id of the last record that went to a file of the sink,
 *                 and the bytes that did, of stdout and of stderr; or nil
 *   status()      as soon as the final headers are there; nil before
 *   headers()     {lower-case name = value}, then; of equal names the last
 *   header(name)  the value of that header (lower case), or nil
 *   done()        is it over? What was received can still be drained
 *   result()      nil until done, then always the same table: status, body,
 *                 bytes_sent, bytes_received, seconds, sha256,
 *                 connected, sent (a byte of the request may have reached the
 *                 server) and error = nil | {kind=, message=, code=}
 *   answer()      once done: status, body, content type and sha256, of which
 *                 the last three may be nil; nothing when there is an error
 *   cancel()      ends it at once with an error of kind "aborted"
 *   close()       ends it, too, and it cannot be used any more. Its memory
 *                 serves the next transfer, without waiting for the collector
 *
 * Error kinds: connect, resolve, timeout, idle, tls, closed (reset, no answer
 * or a short one), protocol (not HTTP; damaged or cut gzip), too_large, file
 * (one of ours), spool (it is not seen here), aborted, other. `code` is
 * libcurl's number.
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
#include "request.h"
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

/* Its userdata points to it. While it runs, it is in multi->active and its
 * callbacks write to it. Once that userdata is closed or collected, it is one
 * of multi->spare and waits to be used again, with its easy handle. */
struct transfer {
    struct multi *multi; /* holds a reference, unless it is a spare one */
    CURL *easy;
    struct request *known; /* what the easy handle is set up for, or NULL */
    enum source_kind known_body;
    struct curl_slist *headers; /* of the easy handle */

    struct request *request;
    struct link active, ready; /* a spare one is in multi->spare by `active` */
    struct source source;
    struct sink sink;
    struct response_head head;
    size_t heads; /* bytes of all header blocks so far */
    int status;   /* 0 until the final headers are there */
    bool done;
    bool resting;         /* libcurl holds back until the loop's next turn */
    bool has_result;      /* its table is with the userdata */
    int attempts;         /* how often libcurl was about to send the request */
    double timeout;       /* seconds; 0: none */
    double last_activity; /* for idle_timeout */
    long long last_bytes;
    struct transfer_error error;
    struct transfer_totals totals;
    char error_buffer[CURL_ERROR_SIZE]; /* libcurl's message */
};

/* Pushes a transfer for a request, without the source of its body; raises when
 * there is no memory. */
struct transfer *transfer_push(lua_State *L, struct multi *multi,
                               struct request *request);
/* Makes the easy handle one without options but the callbacks. */
void transfer_reset_easy(struct transfer *transfer);
/* Starts it, once its easy handle is set up. When that fails it is done at
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
/* Frees the spare ones, before the multi handle is closed. */
void transfer_free_spares(struct multi *multi);

void transfer_register(lua_State *L);

#pragma GCC visibility pop

#endif
