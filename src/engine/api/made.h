/* made.h: replies that wait for the operation that makes an image. */
#ifndef CONTREE_API_MADE_H
#define CONTREE_API_MADE_H

#include "base/fault.h"
#include <stdbool.h>

struct operation;
struct request;

/* Why no image has come of an operation that a waiter was told of: -1 with the
 * fault; 0 if there is one. `ended` false: `what` took too long in the words of
 * 408, and the operation is cancelled. */
int made_fault(struct operation *op, const char *what, bool ended,
               struct fault *f);

/* Call reply() when the operation has ended, as a success or with a fault. What
 * was cancelled is answered here; `what` took too long in the words of 408. The
 * operation is cancelled when the client goes, who knows no id of it. */
void reply_when_made(struct request *r, struct operation *op, const char *what,
                     void (*reply)(struct request *r, struct operation *op));

#endif
