/* transfer.h: an image in or out, by the words of contree-engine import and
 * export: which of the kinds of source it is, and who waits for whom. */
#ifndef CONTREE_TRANSPORT_TRANSFER_H
#define CONTREE_TRANSPORT_TRANSFER_H

#include "base/fault.h"
#include "base/uuid.h"
#include "transport/import.h"
#include <stdatomic.h>
#include <stdbool.h>

/* What is to go in or out. Paths are absolute in an engine that serves, whose
 * standard streams are not the user's: there a FIFO stands for them. */
struct image_transfer {
    bool out;            /* export */
    const char *operand; /* what to import, or an image's name */
    const char *tag;     /* import; NULL: none */
    const char *output;  /* export: the file of the tar; NULL or -: standard
                          * output */
    const char *oci;     /* export: the directory of the layout; or NULL */
    const atomic_bool *cancelled; /* NULL: never */
};
/* Does it; gives the image's uuid. Blocks. SIGPIPE must be ignored. */
int transfer_run(const struct importer *m, const struct image_transfer *t,
                 char uuid[UUID_SIZE], struct fault *f);
/* Whether an export that is to be written there goes to standard output. */
bool transfer_is_stdout(const char *output);

#endif
