/* fuzz_airlock_hello.c: no hello of a TLS client breaks its reader, and it does
 * not matter in which pieces it comes. */
#include "airlock/hello.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hello_state read_in(struct hello *h, const uint8_t *data,
                                size_t size, size_t piece) {
    enum hello_state state = HELLO_MORE;
    for (size_t at = 0; at < size && state == HELLO_MORE; at += piece)
        state = hello_feed(h, data + at, size - at < piece ? size - at : piece);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hello *whole = hello_make(), *pieces = hello_make();
    if (!whole || !pieces)
        abort();
    enum hello_state a = read_in(whole, data, size, size + 1);
    enum hello_state b = read_in(pieces, data, size, 7);
    if (a == HELLO_READ && b == HELLO_READ &&
        (strcmp(hello_name(whole), hello_name(pieces)) != 0 ||
         hello_is_encrypted(whole) != hello_is_encrypted(pieces)))
        abort();
    hello_free(whole);
    hello_free(pieces);
    return 0;
}
