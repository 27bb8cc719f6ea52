/* members.c: see members.h. */
#include "airlock/policy/members.h"
#include "base/nearest.h"
#include <stdio.h>
#include <string.h>

static int refuse(const char *name, const char *where, const char *const *names,
                  size_t count, struct fault *f) {
    char all[128];
    size_t at = 0;
    for (size_t i = 0; i < count && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "",
                               names[i]);
    return fault_set(f, 422, "%s has no member \"%.60s\" (%s)", where, name,
                     all);
}

int members_check(const json_t *object, const char *where,
                  const char *const *names, size_t count, struct fault *f) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        struct nearest n = nearest_of(name, names, count);
        if (!n.name)
            return refuse(name, where, names, count, f);
        if (strcmp(n.name, name) != 0)
            return fault_set(f, 422,
                             "%s has no member \"%.60s\"; did you mean "
                             "\"%s\"?",
                             where, name, n.name);
    }
    return 0;
}
