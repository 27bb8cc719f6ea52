/* render.h: an operation as JSON (http-api.md §5.9, §5.10). Its result is the
 * one kept in memory, or is folded from the event log, in a worker if there is
 * much to read or write. */
#ifndef CONTREE_API_RENDER_H
#define CONTREE_API_RENDER_H

#include "api/api.h"

/* Add the members of an OperationSummary. */
void operation_write_summary(struct buffer *b, const struct operation_row *o);
/* Reply with the OperationResponse of an active operation, and its result so
 * far if `with_result`. */
void operation_reply(struct request *r, int status, struct operation *op,
                     bool with_result);
/* The same for a stored one, with its result. */
void operation_reply_stored(struct request *r, int status, const char *uuid);
/* Reply with the result of one process: 404 if it was not started. */
void process_reply(struct request *r, struct operation *op, int spid);
void process_reply_stored(struct request *r, const char *uuid, int spid);

#endif
