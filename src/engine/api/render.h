/* render.h: an operation as JSON (http-api.md §5.9, §5.10). Its result is
 * folded from the event log: in a worker when there is much to read or write.
 */
#ifndef CONTREE_API_RENDER_H
#define CONTREE_API_RENDER_H

#include "api/api.h"

/* Adds the members of an OperationSummary. */
void operation_write_summary(struct buffer *b, const struct operation_row *o);
/* Replies with the OperationResponse of an active operation; its result so far
 * is included if wanted. */
void operation_reply(struct request *r, int status, struct operation *op,
                     bool with_result);
/* The same for a stored one, with its result. */
void operation_reply_stored(struct request *r, int status, const char *uuid);
/* Replies with the result of one process; 404 when it was not started. */
void process_reply(struct request *r, struct operation *op, int spid);
void process_reply_stored(struct request *r, const char *uuid, int spid);

#endif
