/* registry.h: whether images can be had from registries (import.h has them
 * fetched). */
#ifndef CONTREE_TRANSPORT_REGISTRY_H
#define CONTREE_TRANSPORT_REGISTRY_H

#include "base/fault.h"

/* Whether `url` is a reference (reference.h), and this machine can import at
 * all: 501 with the fix if not. */
int registry_check(const char *url, struct fault *f);

#endif
