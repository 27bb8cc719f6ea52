/* dns.c: whatever a sandbox asks its name server, the answer is a
 * message that can be read. */
#include "airlock/dns.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t reply[DNS_ANSWER_MAX];
    struct dns_question q;
    struct address a = {{0}};
    ns_msg m;
    int code;
    if (!dns_read(data, size, &q, &code))
        return 0;
    size_t length = dns_write(&q, code, size % 2 ? &a : NULL, reply);
    if (length > sizeof reply || ns_initparse(reply, (int)length, &m) < 0)
        abort();
    return 0;
}
