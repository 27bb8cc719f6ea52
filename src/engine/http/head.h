/* head.h: checks of a request's head beyond those of libmicrohttpd, so that no
 * head means one thing to a proxy and another to us (RFC 9112). */
#ifndef CONTREE_HTTP_HEAD_H
#define CONTREE_HTTP_HEAD_H

#include "base/fault.h"
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request_head {
    int64_t length; /* of the body to come; -1: chunked; 0: none */
    bool gzip;      /* the client takes gzip */
};

/* The value for MHD_OPTION_STRICT_FOR_CLIENT. Versions of libmicrohttpd that
 * check too little get 0, and head_read() checks in their place. */
int head_strictness(void);

/* Read the headers. `request_line` is the length of the request line without
 * its end. Fails with 400 for
 * - a header whose name is not a token, or whose value has a control character;
 * - a header that is folded or ends with a lone line feed;
 * - a second Host, Content-Length, Transfer-Encoding or Authorization;
 * - HTTP/1.1 without Host;
 * - a body whose length is ambiguous. */
int head_read(struct MHD_Connection *mhd, size_t request_line,
              const char *version, struct request_head *out, struct fault *f);

#endif
