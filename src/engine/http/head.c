/* head.c: see head.h. */
#define _GNU_SOURCE
#include "http/head.h"
#include "base/url.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The headers that may come once only. */
enum { HOST, LENGTH, ENCODING, TOKEN, SINGLE };
static const char *const single[SINGLE] = {
    "Host", "Content-Length", "Transfer-Encoding", "Authorization"};

struct scan {
    const char *values[SINGLE]; /* NULL: the header is absent */
    size_t bytes;               /* all header lines with their ends */
    struct fault *f;
    bool refused;
};

/* RFC 9110 §5.6.2. */
static bool is_token(const char *name, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) &&
            (!name[i] || !strchr("!#$%&'*+-.^_`|~", name[i])))
            return false;
    return length > 0;
}

static bool has_control(const char *value, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') ||
            value[i] == 127)
            return true;
    return false;
}

static enum MHD_Result refuse(struct scan *s, const char *why) {
    fault_set(s->f, 400, "%s", why);
    s->refused = true;
    return MHD_NO;
}

static enum MHD_Result see(void *arg, enum MHD_ValueKind kind, const char *name,
                           size_t name_length, const char *value,
                           size_t length) {
    struct scan *s = arg;
    (void)kind;
    if (!is_token(name, name_length))
        return refuse(s, "the name of a header is malformed");
    if (value && has_control(value, length))
        return refuse(s, "a header has a control character in it");
    for (int i = 0; i < SINGLE; i++) {
        if (strcasecmp(name, single[i]) != 0)
            continue;
        if (s->values[i])
            return refuse(s, "Host, Content-Length, Transfer-Encoding and "
                             "Authorization must not come twice");
        s->values[i] = value ? value : "";
    }
    s->bytes += (value ? (size_t)(value - name) + length : name_length + 1) + 2;
    return MHD_YES;
}

int head_strictness(void) {
    int major = 0, minor = 0, patch = 0;
    sscanf(MHD_get_version(), "%d.%d.%d", &major, &minor, &patch);
    return major > 0 || minor > 9 || patch >= 77;
}

/* libmicrohttpd before 0.9.77 cuts a header at a NUL, drops the rest of a
 * folded header, and takes a lone line feed for the end of a line. Its size of
 * the head shows that: if the head has bytes that belong to no header, another
 * parser may have read other headers. */
static bool has_hidden_bytes(struct MHD_Connection *mhd, size_t request_line,
                             const struct scan *s) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return head_strictness() == 0 && info &&
           info->header_size != request_line + 2 + s->bytes + 2;
}

/* The length of the body: -1 if it is chunked, 0 if there is no body. */
static int read_length(const struct scan *s, int64_t *out, struct fault *f) {
    const char *encoding = s->values[ENCODING], *text = s->values[LENGTH];
    *out = encoding ? -1 : 0;
    if (encoding && (text || strcasecmp(encoding, "chunked") != 0))
        return fault_set(
            f, 400,
            "Transfer-Encoding must be chunked, without Content-Length");
    if (text && (!parse_int(text, out) || *out < 0))
        return fault_set(f, 400, "Content-Length is not a number");
    return 0;
}

/* Whether Accept-Encoding names gzip or "*", and not with q=0. */
static bool accepts_gzip(const char *header) {
    while (header && *header) {
        header += strspn(header, " \t,");
        size_t name = strcspn(header, " \t,;"), item = strcspn(header, ",");
        bool named = (name == 4 && strncasecmp(header, "gzip", 4) == 0) ||
                     (name == 1 && *header == '*');
        const char *q = memmem(header, item, "q=", 2);
        if (named)
            return !q || strtod(q + 2, NULL) > 0;
        header += item;
    }
    return false;
}

int head_read(struct MHD_Connection *mhd, size_t request_line,
              const char *version, struct request_head *out, struct fault *f) {
    struct scan s = {.f = f};
    *out = (struct request_head){0};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, see, &s);
    if (s.refused)
        return -1;
    if (has_hidden_bytes(mhd, request_line, &s))
        return fault_set(f, 400,
                         "a header has a NUL, a folded line or a line feed "
                         "without a carriage return in it");
    if (!s.values[HOST] && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)
        return fault_set(f, 400, "HTTP/1.1 requires a Host header");
    out->gzip = accepts_gzip(
        MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Accept-Encoding"));
    return read_length(&s, &out->length, f);
}
