/* signing.h: requests of a run that a function of its client signs. The airlock
 * asks; whoever follows the signing of the run is asked in turn, and answers
 * (http-api.md §4.34). Nothing of it is logged or stored. Loop thread only. */
#ifndef CONTREE_OPERATION_SIGNING_H
#define CONTREE_OPERATION_SIGNING_H

#include "base/buffer.h"
#include "base/fault.h"
#include <jansson.h>
#include <stdint.h>

struct operation;

/* Who is asked; part of a client's stream. */
struct signing_reader {
    /* There is more of `text`, or it is over. */
    void (*news)(struct signing_reader *r);
    struct operation *op; /* NULL: it is over */
    struct buffer text;   /* frames of an event stream, to be taken away */
};
/* Be who is asked, in the place of any other; what waits is asked again. 409:
 * the run has no secret that is signed with. */
int signing_follow(struct operation *op, struct signing_reader *r,
                   struct fault *f);
void signing_unfollow(struct signing_reader *r);
/* Answer what was asked: {"headers": {…}}, or {"refused": true}. 404: it does
 * not wait any more; 422; 429: try again. */
int signing_answer(struct operation *op, int64_t id, const json_t *answer,
                   struct fault *f);

/* For run.c and end.c: a report of the airlock, which may be another one, or
 * NULL; the run has ended; free. */
void signing_take(struct operation *op, const json_t *report);
void signing_end(struct operation *op);
void signing_free(struct operation *op);

#endif
