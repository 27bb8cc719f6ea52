/* inspect.h: handlers below /inspect/{uuid} that have a file of their own. */
#ifndef CONTREE_API_INSPECT_H
#define CONTREE_API_INSPECT_H

#include "http/http.h"

void inspect_list_get(struct request *r);
void inspect_archive_get(struct request *r);
void inspect_diff_get(struct request *r);
void inspect_grep_get(struct request *r);

#endif
