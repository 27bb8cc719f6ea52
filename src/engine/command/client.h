/* client.h: the client of an engine that serves the data directory of a command
 * on the same machine. */
#ifndef CONTREE_COMMAND_CLIENT_H
#define CONTREE_COMMAND_CLIENT_H

#include "base/buffer.h"
#include "base/fault.h"
#include "command/options.h"
#include <jansson.h>

/* Posts a JSON object, to whose open beginning `body` the data directory is
 * added, to /v1/WHAT of the engine that serves it, on --socket if that is
 * given, else where the engine says that it is, and waits for the reply for as
 * long as it takes. The reply's object, the caller's, or NULL: 409 when no
 * engine is there or it serves another directory, else the status and the error
 * of the reply. Frees the body. */
json_t *local_post(const struct options *o, const char *what,
                   struct buffer *body, struct fault *f);

/* data_open() did not get the directory, because an engine serves it. */
bool local_is_served(const struct engine *e, const struct fault *f);

#endif
