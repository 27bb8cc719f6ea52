#include "inflate.h"

#include <stdlib.h>

struct inflater *inflater_new(void) {
    struct inflater *inflater = calloc(1, sizeof *inflater);
    /* 16: expect a gzip header and trailer. */
    if (inflater && inflateInit2(&inflater->stream, 16 + MAX_WBITS) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

void inflater_free(struct inflater *inflater) {
    if (!inflater)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

void inflater_give(struct inflater *inflater, const char *data, size_t size) {
    inflater->stream.next_in = (z_const Bytef *)data;
    inflater->stream.avail_in = (uInt)size;
}

enum inflate_status inflater_take(struct inflater *inflater, char *out,
                                  size_t *size) {
    z_stream *stream = &inflater->stream;
    size_t room = *size;
    int status = Z_OK;
    stream->next_out = (Bytef *)out;
    stream->avail_out = (uInt)room;
    /* Members may follow one another (RFC 1952, 2.2). */
    while (stream->avail_out > 0 && status == Z_OK) {
        if (stream->avail_in > 0)
            inflater->begun = true;
        status = inflate(stream, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            inflater->begun = false;
            status = inflateReset(stream);
            if (stream->avail_in == 0)
                break;
        }
    }
    *size = room - stream->avail_out;
    if (status != Z_OK && status != Z_BUF_ERROR)
        return INFLATE_BROKEN;
    return *size > 0 ? INFLATE_OUTPUT : INFLATE_MORE;
}
