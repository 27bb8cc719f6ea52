/* registry.h: whether this machine can import from registries (import.h does).
 */
#ifndef CONTREE_TRANSPORT_REGISTRY_H
#define CONTREE_TRANSPORT_REGISTRY_H

#include "base/fault.h"

/* Check that `url` is a reference (reference.h), and that skopeo is installed:
 * 501 with the fix if not. */
int registry_check(const char *url, struct fault *f);

#endif
