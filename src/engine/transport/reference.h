/* reference.h: references to images in registries. */
#ifndef CONTREE_TRANSPORT_REFERENCE_H
#define CONTREE_TRANSPORT_REFERENCE_H

#include "base/digest.h"
#include "base/fault.h"
#include <stdbool.h>

enum { REFERENCE_MAX = 512 };

/* docker://HOST[:PORT]/PATH[:TAG][@sha256:...]; without a host it is Docker's
 * registry (http-api.md §8.7). */
struct reference {
    char host[REFERENCE_MAX]; /* with its port, as logins are filed under it */
    char name[REFERENCE_MAX]; /* "docker://HOST/PATH", or without a host */
    char full[REFERENCE_MAX]; /* what to ask for first; a digest beats a tag */
    char digest[DIGEST_SIZE]; /* or "" */
    bool loopback;            /* on this machine: plain HTTP will do */
};

/* 400 for anything else: other transports of skopeo, which read files of this
 * machine; a login in the url; link-local and other addresses where there are
 * no registries but, say, a cloud's metadata. */
int reference_parse(const char *url, struct reference *out, struct fault *f);

#endif
