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
void operation_reply(struct request *r, struct operation *op, bool with_result);
/* The same for a stored one, with its result. */
void operation_reply_stored(struct request *r, const char *uuid);
/* Reply to the spawn of a run that has ended: with its OperationResponse, or
 * the `minimal` part of it (http-api.md §4.8). */
void operation_reply_ended(struct request *r, struct operation *op,
                           bool minimal);
void operation_reply_stored_ended(struct request *r, const char *uuid,
                                  bool minimal);
/* Reply with the result of one process: 404 if it was not started. */
void process_reply(struct request *r, struct operation *op, int spid);
void process_reply_stored(struct request *r, const char *uuid, int spid);

#endif
