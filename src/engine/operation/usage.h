/* usage.h: what a run uses while it goes on. */
#ifndef CONTREE_OPERATION_USAGE_H
#define CONTREE_OPERATION_USAGE_H

#include "base/buffer.h"
#include "sandbox/usage.h"

struct operation;

/* Opens what tells it, for usage_read() in a worker. 425 before the main
 * process runs, 409 after its end. */
int operation_usage(const struct operation *op, struct usage_source *out,
                    struct fault *f);
/* Add it as an object (http-api.md §4.28). */
void usage_write(struct buffer *b, const char *key, const struct usage *u);

#endif
