/* plain.h: what an engine leaves out that was started with --plain-api: the
 * extensions of http-api.md, marked (engine) there. Routes of extensions are in
 * tables of their own (routes.h). */
#ifndef CONTREE_API_PLAIN_H
#define CONTREE_API_PLAIN_H

#include "base/fault.h"
#include "base/json.h"
#include "http/http.h"

bool api_is_plain(const struct request *r);
/* A header or a query parameter of an extension; NULL without, and always in a
 * plain engine. */
const char *extension_header(const struct request *r, const char *name);
const char *extension_parameter(const struct request *r, const char *name);
/* In a plain engine, drop the fields of a run's body that only our engine has,
 * as the hosted service ignores what it does not know. 400 for those without
 * which it would be another run: a limit, a user whose number is not there. */
int plain_check_run(const struct request *r, struct fault *f);

#endif
