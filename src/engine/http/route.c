/* route.c: see route.h. */
#include "http/route.h"
#include <string.h>

/* Whether the segments match the pattern; sets params. */
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

/* Look in one table. If a route matches except for its method, add that to
 * `allow`. */
static bool find_in(const struct route *table, const struct url *u,
                    const char *method, struct route_match *m,
                    struct buffer *allow) {
    const char *const *segments = u->segments + m->prefix_count + 1;
    size_t count = u->segment_count - m->prefix_count - 1;
    for (const struct route *p = table; p->method; p++) {
        if (!pattern_matches(m, p->pattern, segments, count))
            continue;
        if (method_matches(p, method)) {
            m->route = p;
            return true;
        }
        add_method(allow, p->method);
    }
    return false;
}

int route_find(const struct route *const *tables, const struct url *u,
               const char *method, struct route_match *out,
               struct buffer *allow, struct fault *f) {
    size_t v1 = 0;
    while (v1 < u->segment_count && strcmp(u->segments[v1], "v1") != 0)
        v1++;
    out->prefix_count = v1;
    if (v1 == u->segment_count)
        return fault_set(f, 404, "no such route");
    for (; *tables; tables++)
        if (find_in(*tables, u, method, out, allow))
            return 0;
    if (allow->length)
        return fault_set(f, 405, "%s is not allowed here, only %s", method,
                         allow->data);
    return fault_set(f, 404, "no such route");
}
