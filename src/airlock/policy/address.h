/* address.h: kinds of IP addresses, and networks ("10.1.2.0/24"). */
#ifndef CONTREE_POLICY_ADDRESS_H
#define CONTREE_POLICY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address without its port. IPv4 is kept as ::ffff:a.b.c.d, so that both
 * families are compared in one way. */
struct address {
    uint8_t bytes[16];
};

/* `prefix` counts bits of the 16 bytes: 96 more than the number that people
 * write for IPv4. */
struct network_range {
    struct address address;
    unsigned prefix;
};

/* What an address is for (the registries of special-purpose addresses of
 * RFC 6890). */
enum address_kind {
    ADDRESS_PUBLIC,
    ADDRESS_PRIVATE, /* RFC 1918, RFC 4193, and CGNAT */
    ADDRESS_SPECIAL, /* loopback, link-local (with the metadata services of
                        clouds), multicast, mapped, translated, reserved … */
};

/* Neither changes *out when it returns false. */
bool address_parse(const char *text, struct address *out);
bool address_of(const struct sockaddr *sa, struct address *out);
bool address_is_v4(const struct address *a);
void address_to_socket(const struct address *a, int port,
                       struct sockaddr_storage *out);
enum { ADDRESS_TEXT = INET6_ADDRSTRLEN };
const char *address_write(const struct address *a, char out[ADDRESS_TEXT]);

enum address_kind address_kind(const struct address *a);
bool range_has(const struct network_range *r, const struct address *a);
/* Whether the range is so narrow that it names the address on purpose: all of
 * it is of one kind. 0.0.0.0/0 does not name 127.0.0.1; 127.0.0.0/8 does. */
bool range_names(const struct network_range *r, const struct address *a);

#endif
