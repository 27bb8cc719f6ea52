/* route.c: see route.h. */
#include "http/route.h"
#include <string.h>

/* Whether the segments after v1 are the pattern's; fills params. */
static bool pattern_matches(struct route_match *m, const char *pattern,
                            const char *const *segments, size_t count) {
    size_t params = 0, i = 0;
    while (*pattern) {
        size_t length = strcspn(pattern, "/");
        if (i == count)
            return false;
        if (length == 1 && *pattern == '*')
            m->params[params++] = segments[i];
        else if (strlen(segments[i]) != length ||
                 memcmp(segments[i], pattern, length) != 0)
            return false;
        i++;
        pattern += length + (pattern[length] == '/');
    }
    return i == count;
}

static bool method_matches(const struct route *route, const char *method) {
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void add_method(struct buffer *allow, const char *method) {
    buffer_addf(allow, "%s%s", allow->length ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        buffer_addf(allow, ", HEAD");
}

int route_find(const struct route *routes, const struct url *u,
               const char *method, struct route_match *out,
               struct buffer *allow, struct fault *f) {
    size_t v1 = 0;
    while (v1 < u->segment_count && strcmp(u->segments[v1], "v1") != 0)
        v1++;
    out->prefix_count = v1;
    if (v1 == u->segment_count)
        return fault_set(f, 404, "no such route");
    for (const struct route *p = routes; p->method; p++) {
        if (!pattern_matches(out, p->pattern, u->segments + v1 + 1,
                             u->segment_count - v1 - 1))
            continue;
        if (method_matches(p, method)) {
            out->route = p;
            return 0;
        }
        add_method(allow, p->method);
    }
    if (allow->length)
        return fault_set(f, 405, "%s is not allowed here, only %s", method,
                         allow->data);
    return fault_set(f, 404, "no such route");
}
