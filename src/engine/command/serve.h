/* serve.h: contree-engine serve. */
#ifndef CONTREE_COMMAND_SERVE_H
#define CONTREE_COMMAND_SERVE_H

#include "base/fault.h"
#include "command/options.h"

/* Serve until a signal or idleness ends it: 0, or -1 if it could not start. */
int serve(const struct options *o, struct fault *f);

#endif
