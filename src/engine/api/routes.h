/* routes.h: the routes of the REST API (http-api.md §4): a table for each
 * resource, in the file of that name.
 *
 * A new endpoint is a row of its resource's table, or of the table of its
 * extensions: the hosted service lacks these, and so does a plain engine. A new
 * resource is a file with a table, its line here and its line in routes.c. */
#ifndef CONTREE_API_ROUTES_H
#define CONTREE_API_ROUTES_H

#include "http/http.h"

/* Ends with NULL, as each table ends with a NULL method. */
extern const struct route *const api_routes[];
/* Without the extensions: serve --plain-api. */
extern const struct route *const api_plain_routes[];

extern const struct route whoami_routes[];
extern const struct route images_routes[];
extern const struct route layers_routes[];
extern const struct route merge_routes[];
extern const struct route volumes_routes[];
extern const struct route files_routes[];
extern const struct route files_extensions[];
extern const struct route instances_routes[];
extern const struct route operations_routes[];
extern const struct route subprocesses_routes[];
extern const struct route subprocesses_extensions[];
extern const struct route subprocesses_plain[]; /* in place of the extensions */
extern const struct route pause_routes[];
extern const struct route snapshot_routes[];
extern const struct route usage_routes[];
extern const struct route ports_routes[];
extern const struct route watch_routes[];
extern const struct route signing_routes[];
extern const struct route inspect_routes[];
extern const struct route inspect_extensions[];
extern const struct route gc_routes[];
extern const struct route disk_routes[];
extern const struct route transfer_routes[];

#endif
