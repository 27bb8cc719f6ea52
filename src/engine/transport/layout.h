/* layout.h: what imports of container images share. */
#ifndef CONTREE_TRANSPORT_LAYOUT_H
#define CONTREE_TRANSPORT_LAYOUT_H

#include "base/fault.h"
#include "transport/import.h"
#include "transport/oci.h"

/* How many of its lowest layers are here, and the layer that they end in. */
int import_known(const struct importer *m, const struct oci_image *oci,
                 size_t *count, int64_t *top, struct fault *f);
/* Makes an image of it: layers that are known are shared, the others unpacked
 * from `blobs` (see oci.h), all or nothing. */
int import_oci(const struct importer *m, int blobs, const struct oci_image *oci,
               const struct import_options *o, struct image *out,
               struct fault *f);
/* The image of a config that was imported before, with the tag that is asked
 * for: 0; 1 when there is none. */
int import_same(const struct importer *m, const char *config,
                const struct import_options *o, struct image *out,
                struct fault *f);

#endif
