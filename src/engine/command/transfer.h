/* transfer.h: contree-engine import and export: alone with the data directory,
 * or by the engine that serves it. */
#ifndef CONTREE_COMMAND_TRANSFER_H
#define CONTREE_COMMAND_TRANSFER_H

#include "command/options.h"
#include "transport/import.h"

/* What is to go in or out. Paths are absolute in an engine that serves, whose
 * standard streams are not the user's: there a FIFO stands for them. */
struct transfer {
    bool out;            /* export */
    const char *operand; /* what to import, or an image's name */
    const char *tag;     /* import; NULL: none */
    const char *output;  /* export: the file of the tar; NULL or -: standard
                          * output */
    const char *oci;     /* export: the directory of the layout; or NULL */
    const atomic_bool *cancelled; /* NULL: never */
};
/* Does it; gives the image's uuid. Blocks. SIGPIPE must be ignored. */
int transfer_run(const struct importer *m, const struct transfer *t,
                 char uuid[UUID_SIZE], struct fault *f);

/* The commands. An import prints the image's uuid. */
int import_command(const struct options *o, struct fault *f);
int export_command(const struct options *o, struct fault *f);

#endif
