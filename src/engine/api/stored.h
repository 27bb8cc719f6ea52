/* stored.h: operations that are not active any more, from the database. */
#ifndef CONTREE_API_STORED_H
#define CONTREE_API_STORED_H

#include "api/api.h"
#include "operation/events.h"

/* Whether an operation of that status has not ended. */
bool operation_is_active(const char *status);
/* Read the row, whose strings the caller owns: 404. */
int operation_stored(struct request *r, const char *uuid,
                     struct operation_row *row, struct fault *f);
/* Load the event log of a row. The caller owns the reference; NULL on failure.
 */
struct event_log *operation_stored_log(struct request *r,
                                       const struct operation_row *row,
                                       struct fault *f);

#endif
