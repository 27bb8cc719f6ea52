/* inflate.c: what zlib compresses comes back, in whatever pieces it goes in and
 * out; a stream that is cut or changed never looks complete unless its sum
 * says so. The first byte: compress the rest, or take it as it is. */
#include "inflate.h"
#include "../input.h"

enum { OUT_MAX = 1 << 20 };

/* Decodes in pieces; returns the last status, and how much came out. */
static enum inflate_status decode(const char *in, size_t size, uint8_t how,
                                  char *out, size_t *length) {
    struct inflater *inflater = inflater_new();
    enum inflate_status status = INFLATE_MORE;
    size_t at = 0;
    HOLDS(inflater);
    *length = 0;
    while (status == INFLATE_OUTPUT || (status == INFLATE_MORE && at < size)) {
        size_t room = how % 7 ? how % 7 * 37u : 4096,
               piece = how % 5 ? how % 5 : size;
        if (status == INFLATE_MORE) {
            piece = piece < size - at ? piece : size - at;
            inflater_give(inflater, in + at, piece);
            at += piece;
        }
        if (room > OUT_MAX - *length)
            break;
        size_t got = room;
        status = inflater_take(inflater, out + *length, &got);
        if (status == INFLATE_OUTPUT) {
            HOLDS(got > 0 && got <= room);
            *length += got;
        }
    }
    if (status == INFLATE_MORE && inflater->begun)
        status = INFLATE_BROKEN;
    inflater_free(inflater);
    return status;
}

static size_t compress_to(char *out, const char *in, size_t size) {
    z_stream z = {0};
    HOLDS(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)size;
    z.next_out = (Bytef *)out;
    z.avail_out = OUT_MAX;
    HOLDS(deflate(&z, Z_FINISH) == Z_STREAM_END);
    size = z.total_out;
    deflateEnd(&z);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char packed[OUT_MAX], one[OUT_MAX], other[OUT_MAX];
    struct input in = {data, size};
    uint8_t how = input_byte(&in);
    size_t length, n, m;
    char *bytes = input_rest(&in, &length);
    if (how & 128) {
        size_t packed_size = compress_to(packed, bytes, length);
        HOLDS(decode(packed, packed_size, how, one, &n) == INFLATE_MORE);
        HOLDS(n == length && memcmp(one, bytes, n) == 0);
        if (length > 0)
            HOLDS(decode(packed, packed_size - 1, how, one, &n) ==
                  INFLATE_BROKEN);
    } else {
        enum inflate_status a = decode(bytes, length, 0, one, &n);
        enum inflate_status b = decode(bytes, length, how, other, &m);
        HOLDS(n == OUT_MAX || m + 4096 > OUT_MAX || n + 4096 > OUT_MAX ||
              (a == b && (a == INFLATE_BROKEN ||
                          (n == m && memcmp(one, other, n) == 0))));
    }
    free(bytes);
    return 0;
}
