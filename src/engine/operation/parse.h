/* parse.h: the bodies of POST /instances and POST .../subprocesses (http-api.md
 * §5.6, §5.7), checked and completed. */
#ifndef CONTREE_OPERATION_PARSE_H
#define CONTREE_OPERATION_PARSE_H

#include "operation/spec.h"

/* Read a body into `out`. 400 names the wrong field. Clear `out` in any case.
 */
int run_process_parse(const json_t *body, struct id_range ids,
                      struct run_process *out, struct fault *f);
int run_parse(const json_t *body, struct id_range ids, struct run *out,
              struct fault *f);

/* Read the members rows and cols; those that are missing stay as they are. */
void terminal_size_read(struct fields *r, int64_t *rows, int64_t *columns);

#endif
