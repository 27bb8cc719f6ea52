/* policy.h: what may leave a sandbox. The engine checks the rules of a request
 * with this room, and contree-airlock obeys them. Any thread; a policy does not
 * change.
 *
 * A rule is a string, "HOST", "*.HOST", an address or a network, each with
 * ":PORT" or ":FIRST-LAST" on wish, or an object {host, ports, methods, paths,
 * private}. `deny` wins over `allow`. In `allow` a rule without a port is for
 * 80 and 443, in `deny` for all ports. */
#ifndef CONTREE_POLICY_POLICY_H
#define CONTREE_POLICY_POLICY_H

#include "airlock/policy/address.h"
#include "airlock/policy/rules.h"
#include "base/fault.h"
#include <jansson.h>

struct policy;

enum { POLICY_PORTS = 64 /* that all rules of `allow` name together */ };

/* Whether an object `networking` has rules: its run gets an airlock. */
bool policy_is_wanted(const json_t *networking);
/* Reads `allow`, `deny` and `resolve`; other members are the caller's to check.
 * `where` is what stands before their names in errors, "networking.". NULL with
 * 422, for instance "networking.allow[2]: …". Free it with policy_free(). */
struct policy *policy_parse(const json_t *networking, const char *where,
                            struct fault *f);
void policy_free(struct policy *p);

/* Whether a rule of `allow` speaks of requests: those over TLS are read, too.
 */
bool policy_reads_requests(const struct policy *p);

/* The ports that rules of `allow` name, ascending. */
size_t policy_ports(const struct policy *p, const uint16_t **ports);

/* Why something may not leave. */
enum refusal {
    REFUSED_NOT = 0,
    REFUSED_RULE,       /* no rule allows it, or one denies it */
    REFUSED_PRIVATE,    /* the name has a private address */
    REFUSED_UNRESOLVED, /* the name has no address */
    REFUSED_UNREACHABLE,
    REFUSED_SNI,       /* the TLS client names no host, or another one */
    REFUSED_ECH,       /* the TLS client encrypts which host it wants */
    REFUSED_ENCRYPTED, /* only rules on requests allow it, and without a name
                        * TLS hides these */
    REFUSED_PROTOCOL,  /* neither TLS nor HTTP, where it has to be */
    REFUSED_HOST,      /* the HTTP request is for another host */
    REFUSED_METHOD,
    REFUSED_PATH,
    REFUSED_SECRET,      /* a placeholder where its secret does not go */
    REFUSED_SIGN,        /* the function that signs it has failed */
    REFUSED_CERTIFICATE, /* the server's is not valid for its name */
    REFUSED_DISTRUSTED,  /* the client does not trust the airlock's */
    REFUSED_LIMIT,
    REFUSALS
};
/* "rule", "private" … as in events. */
const char *refusal_name(enum refusal r);

/* Where a connection wants to go: a name, or else an address. */
struct target {
    const char *name; /* NULL: `address` */
    struct address address;
    int port;
};

/* Whether any rule allows the name with some port, so that it may be asked
 * for. */
bool policy_knows(const struct policy *p, const char *name);

/* What is to be checked in an allowed connection. */
struct allowance {
    bool read_requests; /* it must be HTTP, and policy_request() decides */
    bool is_private;    /* the name may have private addresses */
};
/* REFUSED_NOT or REFUSED_RULE. */
enum refusal policy_connection(const struct policy *p, const struct target *t,
                               struct allowance *out);
/* Whether a request of an allowed connection may be sent: REFUSED_NOT,
 * REFUSED_METHOD, REFUSED_PATH or REFUSED_RULE. `path` is as the client wrote
 * it, with or without a query. */
enum refusal policy_request(const struct policy *p, const struct target *t,
                            const char *method, const char *path,
                            size_t path_length);

/* Where the name is to be dialled instead of at its own addresses; false: it is
 * not pinned. *port stays when the pin has none. */
bool policy_pin(const struct policy *p, const char *name, struct address *out,
                int *port);
/* Whether a name that has this address may be dialled there: REFUSED_NOT,
 * REFUSED_PRIVATE or REFUSED_RULE. Not for pins. */
enum refusal policy_resolved(const struct policy *p, const struct target *t,
                             const struct address *a);

#endif
