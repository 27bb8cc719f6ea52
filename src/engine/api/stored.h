/* stored.h: what the database has of an operation that is not active any more.
 */
#ifndef CONTREE_API_STORED_H
#define CONTREE_API_STORED_H

#include "api/api.h"
#include "operation/events.h"

/* Whether an operation of that status has not ended. */
bool operation_is_active(const char *status);
/* Reads the row, whose strings the caller owns. 404. */
int operation_stored(struct request *r, const char *uuid,
                     struct operation_row *row, struct fault *f);
/* Loads the event log of that row; a reference of the caller's, or NULL. */
struct event_log *operation_stored_log(struct request *r,
                                       const struct operation_row *row,
                                       struct fault *f);

#endif
