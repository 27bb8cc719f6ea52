/* client.h: a command asks the engine that serves its data directory. */
#ifndef CONTREE_COMMAND_CLIENT_H
#define CONTREE_COMMAND_CLIENT_H

#include "base/buffer.h"
#include "base/fault.h"
#include "command/options.h"
#include <jansson.h>

/* Post a JSON object to /v1/WHAT and wait for the reply, without a time limit.
 * `body` holds the beginning of the object, to which the data directory is
 * added; it is freed. The engine is asked on --socket if that is given, else on
 * the socket that its lock file names. Returns the object of the reply, which
 * the caller owns. NULL: 409 if no engine is there or it serves another
 * directory, else the status and the error of the reply. */
json_t *local_post(const struct options *o, const char *what,
                   struct buffer *body, struct fault *f);

/* Whether data_open() failed because an engine serves the directory. */
bool local_is_served(const struct engine *e, const struct fault *f);

#endif
