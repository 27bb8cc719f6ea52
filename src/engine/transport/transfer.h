/* transfer.h: does what contree-engine import and export ask for, in the
 * command itself or in the engine that serves. */
#ifndef CONTREE_TRANSPORT_TRANSFER_H
#define CONTREE_TRANSPORT_TRANSFER_H

#include "base/fault.h"
#include "base/uuid.h"
#include "transport/import.h"
#include "transport/registry.h"
#include <stdatomic.h>
#include <stdbool.h>

/* One import or export. An engine that serves gets absolute paths, and a FIFO
 * for the user's standard input or output. */
struct image_transfer {
    bool out;                     /* export */
    const char *operand;          /* source to import, or image to export */
    const char *tag;              /* import; NULL: none */
    const char *output;           /* export: file; NULL or -: standard output */
    const char *oci;              /* export: directory of the layout, or NULL */
    const char *registry;         /* export: docker://..., or NULL */
    struct login login;           /* of the registry */
    const atomic_bool *cancelled; /* NULL: never */
};
/* Do it, and return the uuid of the image. Blocks. SIGPIPE must be ignored. */
int transfer_run(const struct importer *m, const struct image_transfer *t,
                 char uuid[UUID_SIZE], struct fault *f);
/* Whether an export to `output` goes to standard output. */
bool transfer_is_stdout(const char *output);

#endif
