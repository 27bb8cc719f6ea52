/* export.h: writes an image as a tar archive or an OCI layout. All of it
 * blocks, and SIGPIPE must be ignored. */
#ifndef CONTREE_TRANSPORT_EXPORT_H
#define CONTREE_TRANSPORT_EXPORT_H

#include "base/fault.h"
#include "transport/import.h"

/* Find the image that a user names by uuid, by tag, or as tag:NAME. */
int export_resolve(struct store *s, const char *reference, struct image *out,
                   struct fault *f);

/* Write the tree that a run of the image would see to `to`, as a PAX tar that
 * can be imported again. Owners are those in the sandbox; hard links, holes,
 * capabilities and user.* attributes are kept. */
int export_tar(const struct importer *m, const struct image *i, int to,
               struct fault *f);

/* Make the OCI layout `dir`: one layer, the environment and working directory
 * of the image, its tag as name. 409 unless `dir` is empty or does not exist. A
 * failure leaves nothing behind. */
int export_oci(const struct importer *m, const struct image *i, const char *dir,
               struct fault *f);

#endif
