/* executing.h: the list of the operations that go on, with what each uses. */
#ifndef CONTREE_API_EXECUTING_H
#define CONTREE_API_EXECUTING_H

#include "api/api.h"

struct executing;

/* NULL: out of memory. */
struct executing *executing_new(struct request *r);
/* Copies what it needs. False: out of memory. */
bool executing_add(struct executing *x, const struct operation *op);
/* Replies to the request when all was read, and frees the list. */
void executing_reply(struct executing *x);

#endif
