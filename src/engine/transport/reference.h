/* reference.h: references to images in registries. */
#ifndef CONTREE_TRANSPORT_REFERENCE_H
#define CONTREE_TRANSPORT_REFERENCE_H

#include "base/digest.h"
#include "base/fault.h"
#include <stdbool.h>

enum { REFERENCE_MAX = 512 };

/* docker://HOST[:PORT]/PATH[:TAG][@sha256:...]. Without a host it means
 * Docker's registry (http-api.md §8.7). */
struct reference {
    char host[REFERENCE_MAX]; /* with its port, as authfiles name it */
    char name[REFERENCE_MAX]; /* "docker://HOST/PATH", or without a host */
    char full[REFERENCE_MAX]; /* to ask for first; a digest wins over a tag */
    char digest[DIGEST_SIZE]; /* or "" */
    bool loopback;            /* on this machine, so plain HTTP is allowed */
};

/* Parse a reference. 400 for anything else: the other transports of skopeo,
 * which read files of this machine; a login in the url; link-local and other
 * addresses that no registry has but, say, the metadata service of a cloud. */
int reference_parse(const char *url, struct reference *out, struct fault *f);

#endif
