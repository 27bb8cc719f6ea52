#include "setup.h"
#include "descriptors.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static void set_long(struct transfer *t, CURLoption option, long value) {
    curl.easy_setopt(t->easy, option, value);
}

/* libcurl copies the text. */
static bool set_text(struct transfer *t, CURLoption option, const char *value) {
    return curl.easy_setopt(t->easy, option, value) != CURLE_OUT_OF_MEMORY;
}

static long milliseconds(double seconds) {
    return (long)ceil(seconds * 1000);
}

static bool has_header(const struct transfer *t, const char *name) {
    size_t size = strlen(name);
    for (const struct curl_slist *h = t->headers; h; h = h->next)
        if (strncasecmp(h->data, name, size) == 0 &&
            (h->data[size] == ':' || h->data[size] == ';'))
            return true;
    return false;
}

static bool add_header(struct transfer *t, const char *line) {
    struct curl_slist *list = curl.slist_append(t->headers, line);
    if (list)
        t->headers = list;
    return list != NULL;
}

/* Options that are the same for every request. */
static void set_constants(struct transfer *t) {
    set_long(t, CURLOPT_NOSIGNAL, 1);
    curl.easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION,
                     descriptors_open_socket);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else the end of a transfer waits for the resolver. */
    set_long(t, CURLOPT_QUICK_EXIT, 1);
#endif
    set_long(t, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_long(t, CURLOPT_HTTP_CONTENT_DECODING, 0);
}

static bool set_way(struct transfer *t) {
    const struct request *request = t->request;
    if (request->ca_file && !set_text(t, CURLOPT_CAINFO, request->ca_file))
        return false;
    if (request->socket_path)
        /* An empty proxy: that of the environment is ignored. */
        return set_text(t, CURLOPT_UNIX_SOCKET_PATH, request->socket_path) &&
               set_text(t, CURLOPT_PROXY, "");
    set_long(t, CURLOPT_TCP_NODELAY, 1);
    set_long(t, CURLOPT_TCP_KEEPALIVE, 1);
    set_long(t, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
    return !request->proxy || set_text(t, CURLOPT_PROXY, request->proxy);
}

static bool set_method(struct transfer *t) {
    const char *method = t->request->method;
    if (strcmp(method, "HEAD") == 0) {
        set_long(t, CURLOPT_NOBODY, 1);
        return true;
    }
    switch (t->source.kind) {
    case SOURCE_NONE:
        return strcmp(method, "GET") == 0 ||
               set_text(t, CURLOPT_CUSTOMREQUEST, method);
    case SOURCE_STRING:
        return strcmp(method, "POST") == 0 ||
               set_text(t, CURLOPT_CUSTOMREQUEST, method);
    case SOURCE_FILE:
    case SOURCE_CHUNKS:
        set_long(t, CURLOPT_UPLOAD, 1);
        return set_text(t, CURLOPT_CUSTOMREQUEST, method);
    }
    return true;
}

static bool set_headers(struct transfer *t) {
    const struct curl_slist *line = t->request->headers;
    for (; line; line = line->next)
        if (!add_header(t, line->data))
            return false;
    /* "Name:" means to libcurl to send no such header. */
    if (t->source.kind == SOURCE_STRING && !has_header(t, "Content-Type") &&
        !add_header(t, "Content-Type:"))
        return false;
    if (t->source.kind != SOURCE_NONE && !has_header(t, "Expect") &&
        !add_header(t, "Expect:"))
        return false;
    curl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return true;
}

/* Sets everything that the request and the kind of the body decide. */
static bool set_all(struct transfer *t) {
    transfer_reset_easy(t);
    set_constants(t);
    if (t->sink.kind != SINK_STRING)
        set_long(t, CURLOPT_BUFFERSIZE, 128 * 1024);
    set_long(t, CURLOPT_CONNECTTIMEOUT_MS,
             milliseconds(t->request->connect_timeout));
    return set_way(t) && set_method(t) && set_headers(t);
}

static void set_body(struct transfer *t) {
    const struct source *source = &t->source;
    bool string = source->kind == SOURCE_STRING;
    if (source->kind == SOURCE_NONE || strcmp(t->request->method, "HEAD") == 0)
        return;
    /* The default of 64 KiB is much slower for large bodies. */
    set_long(t, CURLOPT_UPLOAD_BUFFERSIZE,
             string && source->bytes.length <= 64 * 1024 ? 64 * 1024
                                                         : 1024 * 1024);
    if (!string)
        return;
    curl.easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t)source->bytes.length);
    curl.easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                     source->bytes.data ? source->bytes.data : "");
}

bool setup_transfer(struct transfer *t, const char *url) {
    if (t->known != t->request || t->known_body != t->source.kind ||
        t->sink.kind != SINK_STRING) {
        if (!set_all(t))
            return false;
        t->known = request_hold(t->request);
        t->known_body = t->source.kind;
    }
    set_long(t, CURLOPT_TIMEOUT_MS, milliseconds(t->timeout));
    set_body(t);
    return set_text(t, CURLOPT_URL, url);
}
