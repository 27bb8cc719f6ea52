/* prefer.h: the header Prefer (RFC 7240), an extension. */
#ifndef CONTREE_API_PREFER_H
#define CONTREE_API_PREFER_H

#include "http/http.h"
#include <stdbool.h>

struct preferences {
    double wait;  /* seconds; 0: none */
    bool minimal; /* return=minimal */
};
struct preferences preferences_of(struct request *r);

#endif
