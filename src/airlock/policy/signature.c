/* signature.c: see signature.h. */
#include "airlock/policy/signature.h"
#include "airlock/policy/secrets.h"
#include <string.h>
#include <strings.h>

static const char *const fixed[] = {
    /* The airlock has checked these, and the server is to read the same ones.
     */
    "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade",
    "HTTP2-Settings", "TE", "Trailer", "Expect", "Keep-Alive",
    "Proxy-Connection",
    /* By these an answer would have other secrets in a form that is not found.
     */
    "Accept-Encoding", "Range", "If-Range"};

static int check_name(const char *name, struct fault *f) {
    if (!secret_is_header(name))
        return fault_set(f, 422, "headers: \"%.64s\" is no name of a header",
                         name);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcasecmp(name, fixed[i]) == 0)
            return fault_set(f, 422, "headers.%s cannot be changed", name);
    return 0;
}

static int check_header(const char *name, const json_t *value, size_t *total,
                        struct fault *f) {
    const char *text = json_string_value(value);
    size_t length = text ? json_string_length(value) : 0;
    if (check_name(name, f) < 0)
        return -1;
    if (!text && !json_is_null(value))
        return fault_set(f, 422, "headers.%s must be a string or null", name);
    if (length > SIGNATURE_VALUE_MAX)
        return fault_set(f, 422, "headers.%s has more than %d bytes", name,
                         SIGNATURE_VALUE_MAX);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return fault_set(f, 422, "headers.%s has a control character",
                             name);
    *total += strlen(name) + length;
    if (*total > SIGNATURE_MAX)
        return fault_set(f, 422, "headers has more than %d bytes",
                         SIGNATURE_MAX);
    return 0;
}

int signature_check(const json_t *answer, struct fault *f) {
    const json_t *headers = json_object_get(answer, "headers");
    const char *name;
    json_t *value;
    size_t total = 0;
    if (!json_is_object(headers) ||
        json_object_size(headers) > SIGNATURE_HEADERS_MAX)
        return fault_set(f, 422,
                         "headers must be an object of at most %d headers",
                         SIGNATURE_HEADERS_MAX);
    json_object_foreach((json_t *)headers, name, value) {
        if (check_header(name, value, &total, f) < 0)
            return -1;
    }
    return 0;
}
