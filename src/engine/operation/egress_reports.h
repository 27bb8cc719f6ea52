/* egress_reports.h: the reports of a run's airlock. Each is told in the event
 * log and counted in the result. They come from a process that handles hostile
 * bytes, so they are checked, cut and bounded here. Loop thread only. */
#ifndef CONTREE_OPERATION_EGRESS_REPORTS_H
#define CONTREE_OPERATION_EGRESS_REPORTS_H

#include <jansson.h>

struct operation;

/* Take a report; NULL: the airlock is lost (sandbox.h: reported()). */
void egress_report(struct operation *op, const json_t *report);
/* Tell the counts that the log lacks, because there were too many. Called when
 * the sandbox is gone. */
void egress_end(struct operation *op);
void egress_free(struct operation *op);

#endif
