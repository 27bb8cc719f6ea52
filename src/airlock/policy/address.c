/* address.c: see address.h. */
#include "airlock/policy/address.h"
#include <arpa/inet.h>
#include <string.h>

enum { V4_PREFIX = 96 };
static const uint8_t v4_mark[12] = {[10] = 0xff, [11] = 0xff};

static void from_v4(const void *four, struct address *out) {
    memcpy(out->bytes, v4_mark, sizeof v4_mark);
    memcpy(out->bytes + sizeof v4_mark, four, 4);
}

bool address_parse(const char *text, struct address *out) {
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1) {
        from_v4(&four, out);
        return true;
    }
    struct in6_addr six;
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    memcpy(out->bytes, &six, sizeof six);
    return true;
}

bool address_of(const struct sockaddr *sa, struct address *out) {
    if (sa->sa_family == AF_INET)
        from_v4(&((const struct sockaddr_in *)sa)->sin_addr, out);
    else if (sa->sa_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)sa)->sin6_addr,
               sizeof out->bytes);
    else
        return false;
    return true;
}

bool address_is_v4(const struct address *a) {
    return memcmp(a->bytes, v4_mark, sizeof v4_mark) == 0;
}

void address_to_socket(const struct address *a, int port,
                       struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (address_is_v4(a)) {
        struct sockaddr_in *four = (struct sockaddr_in *)out;
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        memcpy(&four->sin_addr, a->bytes + sizeof v4_mark, 4);
        return;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    memcpy(&six->sin6_addr, a->bytes, sizeof a->bytes);
}

const char *address_write(const struct address *a, char out[ADDRESS_TEXT]) {
    if (address_is_v4(a))
        inet_ntop(AF_INET, a->bytes + sizeof v4_mark, out, ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, a->bytes, out, ADDRESS_TEXT);
    return out;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

bool range_has(const struct network_range *r, const struct address *a) {
    return same_bits(r->address.bytes, a->bytes, r->prefix);
}

/* ---- kinds ---- */

struct special {
    const char *address;
    unsigned prefix; /* as people write it */
    enum address_kind kind;
};

/* The first that has an address decides. */
static const struct special specials[] = {
    {"0.0.0.0", 8, ADDRESS_SPECIAL},
    {"10.0.0.0", 8, ADDRESS_PRIVATE},
    /* Alibaba Cloud's metadata service is among the addresses of CGNAT. */
    {"100.100.100.200", 32, ADDRESS_SPECIAL},
    {"100.64.0.0", 10, ADDRESS_PRIVATE},
    {"127.0.0.0", 8, ADDRESS_SPECIAL},
    {"168.63.129.16", 32, ADDRESS_SPECIAL}, /* Azure's host */
    {"169.254.0.0", 16, ADDRESS_SPECIAL},
    {"172.16.0.0", 12, ADDRESS_PRIVATE},
    {"192.0.0.0", 24, ADDRESS_SPECIAL}, /* Oracle's metadata, and others */
    {"192.0.2.0", 24, ADDRESS_SPECIAL},
    {"192.88.99.0", 24, ADDRESS_SPECIAL},
    {"192.168.0.0", 16, ADDRESS_PRIVATE},
    {"198.18.0.0", 15, ADDRESS_SPECIAL},
    {"198.51.100.0", 24, ADDRESS_SPECIAL},
    {"203.0.113.0", 24, ADDRESS_SPECIAL},
    {"224.0.0.0", 4, ADDRESS_SPECIAL},
    {"240.0.0.0", 4, ADDRESS_SPECIAL},
    /* ULA, but the metadata service of AWS. */
    {"fd00:ec2::", 32, ADDRESS_SPECIAL},
    {"fc00::", 7, ADDRESS_PRIVATE},
    {"2001::", 23, ADDRESS_SPECIAL}, /* Teredo, ORCHID and others */
    {"2001:db8::", 32, ADDRESS_SPECIAL},
    {"2002::", 16, ADDRESS_SPECIAL}, /* 6to4 holds an IPv4 address */
    {"3fff::", 20, ADDRESS_SPECIAL},
};

/* What is global unicast today. All other IPv6 is loopback, link-local, NAT64,
 * mapped, multicast, or not assigned. */
static const struct special global_v6 = {"2000::", 3, ADDRESS_PUBLIC};

static void range_of(const struct special *s, struct network_range *out) {
    address_parse(s->address, &out->address);
    out->prefix = s->prefix + (address_is_v4(&out->address) ? V4_PREFIX : 0);
}

/* The range that gives the address its kind. */
static enum address_kind kind_of(const struct address *a,
                                 struct network_range *range) {
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        range_of(&specials[i], range);
        if (range_has(range, a))
            return specials[i].kind;
    }
    range->prefix = 0;
    if (address_is_v4(a))
        return ADDRESS_PUBLIC;
    struct network_range global;
    range_of(&global_v6, &global);
    if (range_has(&global, a))
        return ADDRESS_PUBLIC;
    /* ::/3, or what is written out, is too wide to mean it. */
    range->prefix = 8;
    return ADDRESS_SPECIAL;
}

enum address_kind address_kind(const struct address *a) {
    struct network_range range;
    return kind_of(a, &range);
}

bool range_names(const struct network_range *r, const struct address *a) {
    struct network_range range;
    kind_of(a, &range);
    return range_has(r, a) && r->prefix >= range.prefix;
}
