#include "transfer.h"
#include "clock.h"
#include "codec.h"
#include "lua_compat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_TYPE "contree.transfer"

/* Callbacks of libcurl, which must not enter Lua. */

static bool is_streaming(const struct transfer *t) {
    return t->sink.kind == SINK_CHUNKS || t->sink.kind == SINK_EVENTS;
}

static void set_resting(struct transfer *t, bool resting) {
    t->multi->resting += (int)resting - (int)t->resting;
    t->resting = resting;
}

/* Lets libcurl go on in the directions that are not held back. */
static CURLcode unpause(struct transfer *t) {
    return curl.easy_pause(t->easy,
                           (t->sink.paused || t->resting ? CURLPAUSE_RECV : 0) |
                               (t->source.starved ? CURLPAUSE_SEND : 0));
}

/* Has the server answered that it does not want the body? */
static bool is_refused(const struct transfer *t) {
    return t->status >= 300;
}

/* Ends the body. Else libcurl waits for the next chunk, and does not notice
 * that the answer is complete (checked with 7.88). */
static void end_chunks(struct transfer *t) {
    t->source.finished = true;
    if (t->source.starved) {
        t->source.starved = false;
        unpause(t);
    }
}

static size_t on_header(char *line, size_t one, size_t size, void *user) {
    struct transfer *t = user;
    bool blank = size > 0 && (line[0] == '\r' || line[0] == '\n');
    (void)one;
    /* libcurl keeps all of them. */
    t->heads += size;
    if (t->heads > HEADS_LIMIT) {
        fail(&t->error, "too_large",
             "the server sends headers without end, more than %d bytes",
             HEADS_LIMIT);
        return 0;
    }
    if (t->status != 0)
        return size; /* a trailer */
    if (!blank && !head_add(&t->head, line, size)) {
        fail(&t->error, "protocol", "the response headers are too large");
        return 0;
    }
    if (!blank || t->head.status < 200)
        return size;
    t->status = t->head.status;
    if (!sink_begin(&t->sink, &t->head, &t->error))
        return 0;
    if (is_streaming(t))
        multi_queue(t->multi, &t->ready);
    if (is_refused(t))
        end_chunks(t);
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *user) {
    struct transfer *t = user;
    size_t held = sink_held(&t->sink);
    (void)one;
    if (held >= t->sink.high_water) {
        t->sink.paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    /* Else libcurl reads as long as the server sends. */
    if (multi_is_late(t->multi)) {
        set_resting(t, true);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!sink_write(&t->sink, data, size, &t->error))
        return size == 0 ? 1 : 0;
    if (sink_held(&t->sink) > held)
        multi_queue(t->multi, &t->ready);
    return size;
}

static size_t on_read(char *out, size_t one, size_t size, void *user) {
    struct transfer *t = user;
    struct source *source = &t->source;
    size *= one;
    switch (source_read(source, out, &size, &t->error)) {
    case SOURCE_STARVED:
        return CURL_READFUNC_PAUSE;
    case SOURCE_FAILED:
        return CURL_READFUNC_ABORT;
    case SOURCE_OK:
        break;
    }
    if (source->refused && source_waiting(source) < SOURCE_HIGH_WATER / 2) {
        source->refused = false;
        multi_queue(t->multi, &t->ready);
    }
    return size;
}

static int on_seek(void *user, curl_off_t offset, int origin) {
    struct transfer *t = user;
    if (offset != 0 || origin != SEEK_SET || !source_rewind(&t->source))
        return CURL_SEEKFUNC_CANTSEEK;
    return CURL_SEEKFUNC_OK;
}

static bool request_left(const struct transfer *t) {
    long size = 0;
    curl.easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &size);
    return size > 0;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* Called whenever the request is about to be sent. When a kept connection turns
 * out to be dead, libcurl sends the request again on a new one, whatever the
 * method. But the server may have carried out the first one, so this is right
 * only for methods that may be repeated. */
static int on_prepared(void *user, char *a, char *b, int c, int d) {
    struct transfer *t = user;
    (void)a, (void)b, (void)c, (void)d;
    if (t->attempts++ > 0 && !t->request->repeatable && request_left(t)) {
        fail(&t->error, "closed",
             "the server closed the connection before it answered");
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}
#endif

/* Take the totals from libcurl, which keeps them until the next transfer. */
static void measure(struct transfer *t) {
    struct transfer_totals *totals = &t->totals;
    curl_off_t sent = 0, received = 0, total = 0, connected = 0;
    curl.easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl.easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    curl.easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &total);
    curl.easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
    totals->bytes_sent = sent;
    totals->bytes_received = received;
    totals->seconds = (double)total / 1e6;
    totals->connected = t->attempts > 0 || connected > 0;
    totals->sent = request_left(t);
}

static bool says(const struct transfer *t, const char *words) {
    return strstr(t->error_buffer, words) != NULL;
}

static const char *kind_of(const struct transfer *t, CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "resolve";
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return "connect";
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";
    case CURLE_RECV_ERROR:
        /* libcurl has no separate codes for these. */
        if (says(t, "Too large response headers"))
            return "too_large";
        return says(t, "chunk") ? "protocol" : "closed";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        return "closed";
    case CURLE_SSL_CONNECT_ERROR:
        return says(t, "SSL_ERROR_SYSCALL") || says(t, "reset by peer")
                   ? "closed"
                   : "tls";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return "tls";
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return "protocol";
    default:
        return "other";
    }
}

static void explain_timeout(struct transfer *t) {
    if (t->totals.connected || t->timeout == t->request->connect_timeout)
        fail(&t->error, "timeout", "no complete answer within %g seconds",
             t->timeout);
    else
        fail(&t->error, "timeout", "no connection within %g seconds",
             t->timeout > 0 && t->timeout < t->request->connect_timeout
                 ? t->timeout
                 : t->request->connect_timeout);
}

static void explain(struct transfer *t, CURLcode code) {
    const char *words =
        *t->error_buffer ? t->error_buffer : curl.easy_strerror(code);
    long error = 0;
    measure(t);
    curl.easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
    if (code == CURLE_OPERATION_TIMEDOUT)
        explain_timeout(t);
    else if (code == CURLE_COULDNT_CONNECT && t->totals.sent)
        /* libcurl had sent the request, and tried another connection. */
        fail(&t->error, "closed",
             "the server closed the connection before it answered");
    else if (code == CURLE_OUT_OF_MEMORY && t->status == 0)
        fail(&t->error, "too_large",
             "a header of the answer is too long, or there is no memory");
    else if (code == CURLE_COULDNT_CONNECT && t->request->socket_path &&
             error != 0)
        fail(&t->error, "connect", "cannot connect to %s: %s",
             t->request->socket_path, strerror((int)error));
    else
        fail(&t->error, kind_of(t, code), "%s", words);
}

static struct digest *digest_of(const struct transfer *t) {
    return t->sink.digest ? t->sink.digest : t->source.digest;
}

/* Frees everything that only a running transfer needs. */
static void stop(struct transfer *t, bool forked) {
    set_resting(t, false);
    if (!forked)
        multi_remove(t->multi, t->easy, &t->active);
    source_close(&t->source);
    sink_close(&t->sink, forked);
}

void transfer_complete(struct transfer *t, CURLcode code) {
    struct digest *digest = digest_of(t);
    t->totals.code = code;
    if (code != CURLE_OK)
        explain(t, code);
    else if (t->status == 0)
        fail(&t->error, "protocol",
             "the server sent status %d, which does not answer a request",
             t->head.status);
    else if (!t->error.kind)
        sink_finish(&t->sink, &t->error);
    if (digest && !t->error.kind)
        digest_finish(digest, t->totals.sha256);
    stop(t, false);
    t->done = true;
    multi_queue(t->multi, &t->ready);
}

void transfer_abort(struct transfer *t, const char *kind, const char *message) {
    if (t->done)
        return;
    fail(&t->error, kind, "%s", message);
    transfer_complete(t, CURLE_ABORTED_BY_CALLBACK);
}

void transfer_go_on(struct transfer *t) {
    set_resting(t, false);
    CURLcode code = unpause(t);
    if (code != CURLE_OK)
        transfer_complete(t, code);
}

/* So that the end is late by an eighth of the timeout at most. */
static double next_idle_check(const struct transfer *t, double now) {
    return now + t->request->idle_timeout / 8;
}

double transfer_check_idle(struct transfer *t, double now) {
    curl_off_t sent = 0, received = 0;
    long head = 0, request = 0;
    const double idle_timeout = t->request->idle_timeout;
    if (idle_timeout == 0)
        return INFINITY;
    curl.easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl.easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    curl.easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &head);
    curl.easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request);
    long long bytes = sent + received + head + request;
    /* It is not idle while it is held back by us, or connects. */
    if (bytes != t->last_bytes || t->sink.paused || t->source.starved ||
        request == 0) {
        t->last_bytes = bytes;
        t->last_activity = now;
    } else if (now - t->last_activity >= idle_timeout) {
        fail(&t->error, "idle", "nothing was sent or received for %g seconds",
             idle_timeout);
        transfer_complete(t, CURLE_OPERATION_TIMEDOUT);
        return INFINITY;
    }
    return next_idle_check(t, now);
}

/* Starting. */

static void set_callbacks(struct transfer *t) {
    CURL *easy = t->easy;
    curl.easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error_buffer);
    curl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl.easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl.easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl.easy_setopt(easy, CURLOPT_READDATA, t);
    curl.easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl.easy_setopt(easy, CURLOPT_SEEKDATA, t);
#if LIBCURL_VERSION_NUM >= 0x075000
    curl.easy_setopt(easy, CURLOPT_PREREQDATA, t);
    if (curl.easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prepared) == CURLE_OK)
        return;
#endif
    if (!t->request->repeatable)
        curl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

void transfer_reset_easy(struct transfer *t) {
    curl.easy_reset(t->easy);
    curl.slist_free_all(t->headers);
    request_release(t->known);
    t->headers = NULL;
    t->known = NULL;
    set_callbacks(t);
}

static bool open_ends(struct transfer *t) {
    bool incoming = t->sink.kind == SINK_FILE || t->sink.kind == SINK_CHUNKS;
    struct digest **digest = incoming ? &t->sink.digest : &t->source.digest;
    if (t->request->want_sha256 &&
        (incoming || t->source.kind != SOURCE_NONE)) {
        *digest = digest_new();
        if (!*digest)
            return fail(&t->error, "other", "no memory, or no libcrypto");
    }
    if (!source_open(&t->source, &t->error) || !sink_open(&t->sink, &t->error))
        return false;
    if (t->source.kind == SOURCE_FILE)
        curl.easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)t->source.length);
    return true;
}

void transfer_start(struct transfer *t) {
    t->last_activity = clock_now();
    CURLMcode code = multi_add(t->multi, t->easy, &t->active);
    if (code != CURLM_OK) {
        transfer_abort(t, "other", curl.multi_strerror(code));
        return;
    }
    if (t->request->idle_timeout > 0)
        multi_check_idle_at(t->multi, next_idle_check(t, t->last_activity));
    if (!open_ends(t))
        transfer_complete(t, CURLE_FAILED_INIT);
}

/* Spare transfers. */

/* In a forked child, libcurl's handle belongs to the parent. */
static void destroy(struct transfer *t, bool forked) {
    if (!forked) {
        curl.easy_cleanup(t->easy);
        curl.slist_free_all(t->headers);
    }
    request_release(t->known);
    free(t);
}

void transfer_free_spares(struct multi *multi) {
    while (!link_alone(&multi->spare)) {
        struct link *link = multi->spare.next;
        link_remove(link);
        destroy(link_owner(link, struct transfer, active), false);
    }
    multi->spares = 0;
}

static struct transfer *make(struct multi *multi) {
    struct transfer *t = calloc(1, sizeof *t);
    CURL *easy = t ? curl.easy_init() : NULL;
    if (!easy) {
        free(t);
        return NULL;
    }
    t->easy = easy;
    t->multi = multi;
    link_init(&t->active);
    return t;
}

/* Takes a spare transfer, if possible one that knows the request; the last one
 * was used last. */
static struct transfer *take(struct multi *multi,
                             const struct request *request) {
    struct link *link = multi->spare.previous;
    while (link != &multi->spare &&
           link_owner(link, struct transfer, active)->known != request)
        link = link->previous;
    if (link == &multi->spare)
        link = multi->spare.previous;
    if (link == &multi->spare)
        return make(multi);
    link_remove(link);
    multi->spares--;
    return link_owner(link, struct transfer, active);
}

static void give_back(struct transfer *t) {
    struct multi *multi = t->multi;
    const int most = 64;
    bool forked = multi_forked(multi);
    stop(t, forked);
    link_remove(&t->active);
    link_remove(&t->ready);
    sink_free(&t->sink);
    head_free(&t->head);
    request_release(t->request);
    if (forked || multi->closed || multi->spares == most) {
        destroy(t, forked);
    } else {
        link_append(&multi->spare, &t->active);
        multi->spares++;
    }
    multi_release(multi);
}

/* Methods. */

static struct transfer *check_transfer(lua_State *L) {
    struct transfer **slot = luaL_checkudata(L, 1, TRANSFER_TYPE);
    if (!*slot)
        luaL_error(L, "contree: this transfer is closed");
    return *slot;
}

/* All but what a spare transfer keeps. */
static void begin(struct transfer *t, struct request *request) {
    t->request = request_hold(request);
    link_init(&t->ready);
    source_init(&t->source);
    sink_init(&t->sink);
    t->sink.max_body = request->max_body;
    t->sink.high_water = request->high_water;
    t->head = (struct response_head){0};
    t->heads = 0;
    t->status = 0;
    t->done = t->resting = t->has_result = false;
    t->attempts = 0;
    t->timeout = request->timeout;
    t->last_activity = 0;
    t->last_bytes = 0;
    t->error.kind = NULL;
    t->totals = (struct transfer_totals){0};
    *t->error_buffer = '\0';
    t->multi->references++;
}

struct transfer *transfer_push(lua_State *L, struct multi *multi,
                               struct request *request) {
    struct transfer **slot = compat_newuserdata(L, sizeof *slot);
    struct transfer *t = *slot = take(multi, request);
    if (!t)
        luaL_error(L, "not enough memory");
    begin(t, request);
    luaL_setmetatable(L, TRANSFER_TYPE);
    return t;
}

static void resume(struct transfer *t) {
    CURLcode code = unpause(t);
    if (code != CURLE_OK)
        transfer_complete(t, code);
    multi_wake(t->multi);
}

static int transfer_write(lua_State *L) {
    struct transfer *t = check_transfer(L);
    struct source *source = &t->source;
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    lua_Integer from = luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, from >= 1 && (size_t)from <= size + 1, 3, "out of range");
    multi_check(L, t->multi);
    if (!t->done && !is_refused(t) &&
        (source->kind != SOURCE_CHUNKS || source->finished))
        return luaL_error(L, "this transfer takes no chunks%s",
                          source->finished ? " any more" : "");
    source->refused = source_waiting(source) >= SOURCE_HIGH_WATER;
    if (t->done || is_refused(t) || source->refused) {
        lua_pushboolean(L, 0);
        return 1;
    }
    size -= (size_t)from - 1;
    size = size < SOURCE_HIGH_WATER ? size : SOURCE_HIGH_WATER;
    if (!source_write(source, data + from - 1, size))
        return luaL_error(L, "not enough memory");
    if (source->starved && size > 0) {
        source->starved = false;
        resume(t);
    }
    lua_pushinteger(L, from + (lua_Integer)size);
    return 1;
}

static int transfer_finish(lua_State *L) {
    struct transfer *t = check_transfer(L);
    multi_check(L, t->multi);
    if (t->done)
        return 0;
    if (t->source.kind != SOURCE_CHUNKS)
        return luaL_error(L, "this transfer takes no chunks");
    t->source.finished = true;
    if (t->source.starved) {
        t->source.starved = false;
        resume(t);
    }
    return 0;
}

/* After draining: lets the transfer go on if there is room. */
static void drained(struct transfer *t) {
    if (!t->sink.paused || t->done || multi_forked(t->multi) ||
        sink_held(&t->sink) > t->sink.high_water / 2)
        return;
    t->sink.paused = false;
    resume(t);
}

static int transfer_read(lua_State *L) {
    struct transfer *t = check_transfer(L);
    struct bytes *bytes = &t->sink.bytes;
    if (t->sink.kind != SINK_CHUNKS)
        return luaL_error(L, "this transfer has no chunks to read");
    if (bytes->length == 0)
        return compat_nil(L);
    lua_pushlstring(L, bytes->data, bytes->length);
    bytes->length = 0;
    if (t->done)
        bytes_free(bytes);
    drained(t);
    return 1;
}

static int transfer_next_event(lua_State *L) {
    struct transfer *t = check_transfer(L);
    struct transfer_error error = {.kind = NULL};
    if (t->sink.kind != SINK_EVENTS)
        return luaL_error(L, "this transfer has no events");
    if (!t->sink.has_records)
        sse_push(L, &t->sink.sse);
    else if (!records_push(L, &t->sink.records, codec_buffer_at(L, 2),
                           codec_buffer_at(L, 3), &error)) {
        lua_pushnil(L);
        lua_pushstring(L, error.message);
        return 2;
    }
    drained(t);
    return 1;
}

static int transfer_written(lua_State *L) {
    struct transfer **slot = luaL_checkudata(L, 1, TRANSFER_TYPE);
    if (!*slot) /* closed, or collected with what closes it */
        return 0;
    return records_push_written(L, &(*slot)->sink.records);
}

static int transfer_status(lua_State *L) {
    struct transfer *t = check_transfer(L);
    if (t->status == 0)
        return compat_nil(L);
    lua_pushinteger(L, t->status);
    return 1;
}

static int transfer_headers(lua_State *L) {
    struct transfer *t = check_transfer(L);
    if (t->status == 0)
        return compat_nil(L);
    head_push(L, &t->head);
    return 1;
}

static int transfer_header(lua_State *L) {
    struct transfer *t = check_transfer(L);
    const char *name = luaL_checkstring(L, 2), *value = NULL;
    size_t size;
    if (t->status != 0)
        value = head_find(&t->head, name, &size);
    if (!value)
        return compat_nil(L);
    lua_pushlstring(L, value, size);
    return 1;
}

static int transfer_done(lua_State *L) {
    lua_pushboolean(L, check_transfer(L)->done);
    return 1;
}

static void push_error(lua_State *L, const struct transfer *t) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, t->error.kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, t->error.message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, t->totals.code);
    lua_setfield(L, -2, "code");
}

static void set_number(lua_State *L, const char *name, long long value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void push_result(lua_State *L, struct transfer *t) {
    const struct transfer_totals *totals = &t->totals;
    struct bytes *body = &t->sink.bytes;
    measure(t);
    lua_createtable(L, 0, 8);
    if (t->status != 0)
        set_number(L, "status", t->status);
    if (t->sink.as_string) {
        lua_pushlstring(L, body->data ? body->data : "", body->length);
        lua_setfield(L, -2, "body");
    }
    set_number(L, "bytes_sent", totals->bytes_sent);
    set_number(L, "bytes_received", totals->bytes_received);
    lua_pushnumber(L, totals->seconds);
    lua_setfield(L, -2, "seconds");
    set_flag(L, "connected", totals->connected);
    set_flag(L, "sent", totals->sent);
    if (*totals->sha256) {
        lua_pushstring(L, totals->sha256);
        lua_setfield(L, -2, "sha256");
    }
    if (t->error.kind) {
        push_error(L, t);
        lua_setfield(L, -2, "error");
    }
}

/* The table is made once and kept with the userdata, so that the body is not
 * held twice. */
static int transfer_result(lua_State *L) {
    struct transfer *t = check_transfer(L);
    if (!t->done)
        return compat_nil(L);
    if (t->has_result) {
        compat_gettable(L, 1);
        return 1;
    }
    push_result(L, t);
    lua_pushvalue(L, -1);
    compat_settable(L, 1);
    t->has_result = true;
    if (t->sink.as_string)
        bytes_free(&t->sink.bytes);
    return 1;
}

static int transfer_answer(lua_State *L) {
    struct transfer *t = check_transfer(L);
    const struct bytes *body = &t->sink.bytes;
    size_t size;
    if (!t->done || t->error.kind || t->has_result)
        return 0;
    lua_pushinteger(L, t->status);
    if (t->sink.as_string)
        lua_pushlstring(L, body->data ? body->data : "", body->length);
    else
        lua_pushnil(L);
    const char *type = head_find(&t->head, "content-type", &size);
    if (type)
        lua_pushlstring(L, type, size);
    else
        lua_pushnil(L);
    if (*t->totals.sha256)
        lua_pushstring(L, t->totals.sha256);
    else
        lua_pushnil(L);
    return 4;
}

static int transfer_cancel(lua_State *L) {
    struct transfer **slot = luaL_checkudata(L, 1, TRANSFER_TYPE);
    struct transfer *t = *slot;
    if (!t) /* closed */
        return 0;
    records_close(&t->sink.records); /* what waits is not wanted any more */
    if (t->done)
        return 0;
    multi_check(L, t->multi);
    transfer_abort(t, "aborted", "the transfer was cancelled");
    multi_wake(t->multi);
    return 0;
}

static int transfer_gc(lua_State *L) {
    struct transfer **slot = luaL_checkudata(L, 1, TRANSFER_TYPE);
    if (*slot)
        give_back(*slot);
    *slot = NULL;
    return 0;
}

static const luaL_Reg methods[] = {
    {"write", transfer_write},     {"finish", transfer_finish},
    {"read", transfer_read},       {"next_event", transfer_next_event},
    {"written", transfer_written}, {"status", transfer_status},
    {"headers", transfer_headers}, {"header", transfer_header},
    {"done", transfer_done},       {"result", transfer_result},
    {"answer", transfer_answer},   {"cancel", transfer_cancel},
    {"close", transfer_gc},        {NULL, NULL}};

void transfer_register(lua_State *L) {
    compat_newtype(L, TRANSFER_TYPE, methods, transfer_gc);
}
