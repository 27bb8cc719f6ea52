/* export.h: images to the outside: a tar archive, an OCI layout. All of it
 * blocks, and SIGPIPE must be ignored. */
#ifndef CONTREE_TRANSPORT_EXPORT_H
#define CONTREE_TRANSPORT_EXPORT_H

#include "base/fault.h"
#include "transport/import.h"

/* The image that a user means: a uuid, a tag, or tag:NAME. */
int export_resolve(struct store *s, const char *reference, struct image *out,
                   struct fault *f);

/* Writes the tree that a run of the image would see to `to`, as a PAX tar:
 * owners as in the sandbox, hard links, holes, capabilities and user.*
 * attributes kept. It can be imported again. */
int export_tar(const struct importer *m, const struct image *i, int to,
               struct fault *f);

/* Makes the OCI layout `dir` of it, which must not exist or be empty: one
 * layer, the image's environment and working directory, its tag as name. 409
 * when there is something; nothing is left behind after a failure. */
int export_oci(const struct importer *m, const struct image *i, const char *dir,
               struct fault *f);

#endif
