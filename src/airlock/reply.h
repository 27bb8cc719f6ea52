/* reply.h: what the server of one HTTP/1.1 connection answers, with the values
 * of secrets taken out. It is parsed, by http-parser: what frames a body, such
 * as the lines between chunks, may stand in the middle of a value. */
#ifndef CONTREE_AIRLOCK_REPLY_H
#define CONTREE_AIRLOCK_REPLY_H

#include "airlock/policy/secrets.h"
#include "base/buffer.h"

struct reply;

/* `is_head` says of the oldest request without an answer whether that has no
 * body (HEAD), and forgets it. NULL: out of memory. */
struct reply *reply_make(const struct secrets *s, bool (*is_head)(void *arg),
                         void *arg);
void reply_free(struct reply *r);
/* Takes what the server has sent, and adds to `out` what to send to the client.
 * Of a body the end may wait, which may begin a value. Of length 0: the server
 * has hung up. -1: that is no HTTP, or too long. */
int reply_take(struct reply *r, const char *data, size_t length,
               struct buffer *out);

#endif
