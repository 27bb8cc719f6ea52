/* active.h: the operation that a request gives orders to. */
#ifndef CONTREE_API_ACTIVE_H
#define CONTREE_API_ACTIVE_H

#include "api/api.h"

/* Find the active operation that the path names first: 404, or 409 if it has
 * ended. */
struct operation *operation_find_active(struct request *r, struct fault *f);

#endif
