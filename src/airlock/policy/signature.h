/* signature.h: what a function of the client answers to the airlock, which has
 * asked it to sign a request: headers of that request. */
#ifndef CONTREE_POLICY_SIGNATURE_H
#define CONTREE_POLICY_SIGNATURE_H

#include "base/fault.h"
#include <jansson.h>

enum {
    SIGNING_MAX = 32,          /* requests of a sandbox that are asked for */
    SIGNING_MS = 10000,        /* for an answer, or it is refused */
    SIGNING_ASK_MAX = 32 << 10 /* bytes of what is asked, as JSON */
};
enum {
    SIGNATURE_HEADERS_MAX = 32,
    SIGNATURE_VALUE_MAX = 8192, /* bytes of one header's value */
    SIGNATURE_MAX = 16 << 10    /* of all names and values */
};

/* Checks {"headers": {NAME: VALUE}}: the value is a string, or null for a
 * header that is to be left out. Headers that say where a request goes, or
 * where it ends, are not among them. 0, or -1 with 422; the fault has no value.
 */
int signature_check(const json_t *answer, struct fault *f);

#endif
