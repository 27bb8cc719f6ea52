/* head.h: what the head of a request must be, beyond what libmicrohttpd asks
 * of it: nothing in it may mean one thing to a proxy and another to us (RFC
 * 9112). */
#ifndef CONTREE_HEAD_H
#define CONTREE_HEAD_H

#include "util.h"
#include <microhttpd.h>

struct head {
    int64_t length; /* of the body to come; -1: chunked; 0: none */
    bool gzip;      /* the client takes gzip */
};

/* Reads what matters of the headers. 400 for a header whose name is no token
 * or whose value has a control character, for a second Host, Content-Length or
 * Transfer-Encoding, for no Host in HTTP/1.1, for a body of no clear length. */
int head_read(struct MHD_Connection *mhd, const char *version, struct head *out,
              struct fault *f);

#endif
