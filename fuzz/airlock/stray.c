/* stray.c: whatever packet a sandbox sends, what is told of it is its protocol,
 * where it went and its port, and no packet that a socket of ours takes. The
 * input is packets: a byte for the length, then its bytes. */
#define _GNU_SOURCE
#include "../input.h"
#include "airlock/events.h"
#include <stdbool.h>

static void check_told(const struct occurrence *o, enum refusal why);

/* There is no engine to tell. */
#define events_refused(events, occurrence, why)                                \
    ((void)(events), check_told((occurrence), (why)))
#include "../../src/airlock/stray.c"

static const uint8_t *sent; /* the packet that is looked at */
static size_t sent_length;
static const char *known; /* the name whose address is made up */
static struct address known_address;

static void check_told(const struct occurrence *o, enum refusal why) {
    char told[ADDRESS_TEXT], right[ADDRESS_TEXT];
    HOLDS(why == REFUSED_RULE && sent_length >= 20);
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct address a;
    memcpy(&to.sin_addr, sent + 16, 4);
    HOLDS(address_of((struct sockaddr *)&to, &a));
    address_write(&a, right);
    if (o->name) {
        HOLDS(strcmp(o->name, known) == 0);
        HOLDS(strcmp(right, address_write(&known_address, told)) == 0);
    } else {
        HOLDS(strcmp(right, address_write(o->address, told)) == 0);
    }
    if (strcmp(o->protocol, "icmp") == 0) {
        HOLDS(sent[9] == IPPROTO_ICMP && o->port == 0);
        return;
    }
    size_t header = (sent[0] & 15) * 4u;
    HOLDS(header >= 20 && header + 4 <= sent_length);
    HOLDS(o->port == (sent[header + 2] << 8 | sent[header + 3]));
    bool udp = sent[9] == IPPROTO_UDP;
    HOLDS(strcmp(o->protocol, udp ? "udp" : "tcp") == 0);
    HOLDS(udp || (o->port != 53 && o->port != 80 && o->port != 443));
}

static struct policy *make_policy(void) {
    json_t *rules = json_pack("{s:[s]}", "allow", "a.example");
    struct policy *p = policy_parse(rules, "", NULL);
    json_decref(rules);
    HOLDS(p);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct stray s; /* made once */
    struct input in = {data, size};
    if (!s.policy) {
        struct names *names = names_make();
        known = "a.example";
        HOLDS(names && names_address(names, known, &known_address));
        s = (struct stray){.policy = make_policy(), .names = names};
    }
    while (in.left > 0) {
        size_t length = input_byte(&in) % (PACKET_SIZE + 1);
        length = length < in.left ? length : in.left;
        char *exact = malloc(length ? length : 1);
        HOLDS(exact);
        memcpy(exact, in.at, length);
        sent = (uint8_t *)exact;
        sent_length = length;
        look_at(&s, exact, length);
        free(exact);
        in.at += length;
        in.left -= length;
    }
    return 0;
}
