/* head.h: what the head of a request must be, beyond what libmicrohttpd asks
 * of it: nothing in it may mean one thing to a proxy and another to us (RFC
 * 9112). */
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

/* For MHD_OPTION_STRICT_FOR_CLIENT: what libmicrohttpd cannot refuse itself is
 * refused here, and the other way round. */
int head_strictness(void);

/* Reads what matters of the headers; `request_line` is the length of what came
 * before them, without the end of the line. 400 for a header whose name is no
 * token or whose value has a control character, that is folded or ends with a
 * lone line feed, for a second Host, Content-Length, Transfer-Encoding or
 * Authorization, for no Host in HTTP/1.1, for a body of no clear length. */
int head_read(struct MHD_Connection *mhd, size_t request_line,
              const char *version, struct request_head *out, struct fault *f);

#endif
