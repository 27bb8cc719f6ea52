/* skopeo.h: fetching an image from a registry, through the skopeo program. */
#ifndef CONTREE_SKOPEO_H
#define CONTREE_SKOPEO_H

#include "util.h"
#include <stdatomic.h>

struct skopeo_options {
    const char *username, *password; /* NULL or "": the machine's own login, or
                                      * anonymous */
    int64_t max_bytes;               /* of what is fetched */
    double deadline;                 /* monotonic_seconds(); 0: none */
    const atomic_bool *cancelled;    /* may be NULL */
};

/* "docker://HOST/NAME[:TAG]" and what else means the same: "oci://..." too. 400
 * for anything else. `out` holds at least 512 bytes. */
int skopeo_source(const char *url, char out[512], struct fault *f);

/* Fetches `source` (from skopeo_source) as an OCI layout into `dir`/oci. Leaves
 * no process behind, and nothing outside `dir`. The password goes into a file
 * that only we can read and that is gone afterwards, never into an argument.
 * 503 without skopeo, 502 when it fails (with what it says), 408, 409, 413 as
 * in unpack.h. Blocks: worker. */
int skopeo_fetch(int dir, const char *source, const struct skopeo_options *o,
                 struct fault *f);

#endif
