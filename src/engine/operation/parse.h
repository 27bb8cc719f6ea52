/* parse.h: the bodies of POST /instances and POST .../subprocesses (http-api.md
 * §5.6, §5.7), checked and completed. */
#ifndef CONTREE_OPERATION_PARSE_H
#define CONTREE_OPERATION_PARSE_H

#include "operation/spec.h"

/* Reads a body into `out`; 400 names the field that is wrong. Clear it in any
 * case. */
int run_process_parse(const json_t *body, struct id_range ids,
                      struct run_process *out, struct fault *f);
int run_parse(const json_t *body, struct id_range ids, struct run *out,
              struct fault *f);

#endif
