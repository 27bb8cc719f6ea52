/* layout.h: what imports of container images share. */
#ifndef CONTREE_TRANSPORT_LAYOUT_H
#define CONTREE_TRANSPORT_LAYOUT_H

#include "base/fault.h"
#include "transport/import.h"
#include "transport/oci.h"

/* Count the lowest layers that were imported before; *top is the highest of
 * them. */
int import_known(const struct importer *m, const struct oci_image *oci,
                 size_t *count, int64_t *top, struct fault *f);
/* Make an image: share the known layers, and unpack the others from `blobs`
 * (see oci.h). All or nothing. */
int import_oci(const struct importer *m, int blobs, const struct oci_image *oci,
               const struct import_options *o, struct image *out,
               struct fault *f);
/* Make the image of a config again that was imported already, with the tag of
 * `o`. Returns 1 if it was not imported. */
int import_same(const struct importer *m, const char *config,
                const struct import_options *o, struct image *out,
                struct fault *f);

#endif
