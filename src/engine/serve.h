/* serve.h: the commands of contree-engine that use a data directory. */
#ifndef CONTREE_SERVE_H
#define CONTREE_SERVE_H

#include "options.h"

/* Serves until a signal or idleness ends it; 0, or -1 when it could not begin.
 */
int serve(const struct options *o, struct fault *f);
/* Imports an archive and prints the image's uuid. */
int import_file(const struct options *o, struct fault *f);

#endif
