/* inflate.h: decodes gzip bodies as they come in.
 *
 * libcurl's own decoder accepts a stream that ends too early (checked with
 * 7.88), and a truncated result must never look complete. */
#ifndef CONTREE_INFLATE_H
#define CONTREE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

#pragma GCC visibility push(hidden)

struct inflater {
    z_stream stream;
    bool begun; /* in a gzip member: its trailer is still to come */
};

enum inflate_status { INFLATE_OUTPUT, INFLATE_MORE, INFLATE_BROKEN };

/* NULL when there is no memory; free with inflater_free(), which takes
 * NULL. */
struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater);
/* Gives it the next compressed bytes: at first, and after INFLATE_MORE. They
 * must stay valid until it asks for more again. */
void inflater_give(struct inflater *inflater, const char *data, size_t size);
/* Decodes into `out`, *size bytes large. INFLATE_OUTPUT: *size bytes were
 * written, there may be more. INFLATE_MORE: the given bytes are used up.
 * INFLATE_BROKEN: the bytes are not valid gzip. */
enum inflate_status inflater_take(struct inflater *inflater, char *out,
                                  size_t *size);

#pragma GCC visibility pop

#endif
