/* prefer.c: see prefer.h. */
#include "api/prefer.h"
#include "api/plain.h"
#include "operation/spec.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static double wait_of(const char *text) {
    double seconds = strtod(text, NULL);
    return seconds > RUN_TIMEOUT_MAX ? RUN_TIMEOUT_MAX
           : seconds > 0             ? seconds
                                     : 0;
}

struct preferences preferences_of(struct request *r) {
    static const char minimal[] = "return=minimal";
    struct preferences found = {0};
    const char *p = extension_header(r, "Prefer");
    while (p && *p) {
        p += strspn(p, " \t,;");
        size_t length = strcspn(p, " \t,;");
        if (strncasecmp(p, "wait=", 5) == 0)
            found.wait = wait_of(p + 5);
        else if (length == strlen(minimal) &&
                 strncasecmp(p, minimal, length) == 0)
            found.minimal = true;
        p += length;
    }
    return found;
}
