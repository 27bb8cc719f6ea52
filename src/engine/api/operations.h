/* operations.h: handlers below /operations/{uuid} that have a file of their
 * own. */
#ifndef CONTREE_API_OPERATIONS_H
#define CONTREE_API_OPERATIONS_H

#include "http/http.h"

void operation_events(struct request *r);

#endif
