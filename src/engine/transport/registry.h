/* registry.h: what skopeo fetches, beside import_registry() of import.h. */
#ifndef CONTREE_TRANSPORT_REGISTRY_H
#define CONTREE_TRANSPORT_REGISTRY_H

#include "base/fault.h"
#include "transport/import.h"
#include <stdatomic.h>
#include <stdbool.h>

/* Check that `url` is a reference (reference.h), and that skopeo is installed:
 * 501 with the fix if not. */
int registry_check(const char *url, struct fault *f);

/* A file that `docker save` and its like have written. */
struct saved_archive {
    const char *scheme; /* "docker-archive" or "oci-archive" */
    const char *file;
    const char *name; /* which of its images; NULL: it has one */
};
/* Import an image of such a file. *unreadable: the file may be of another kind.
 */
int registry_import_archive(const struct importer *m,
                            const struct saved_archive *s,
                            const struct import_options *o, struct image *out,
                            bool *unreadable, struct fault *f);

/* A login of a registry; no username means none. */
struct login {
    const char *username, *password;
};

/* Write the image to a registry, as `url` says, with one layer (export.h).
 * Faults as in import_registry(); 400 for a digest. */
int registry_push(const struct importer *m, const struct image *i,
                  const char *url, const struct login *login,
                  const atomic_bool *cancelled, struct fault *f);

#endif
