/* network_rules.h: what a client says of the network of its run: its rules, and
 * the secrets that it may use and never sees (http-api.md §8.17). */
#ifndef CONTREE_OPERATION_NETWORK_RULES_H
#define CONTREE_OPERATION_NETWORK_RULES_H

#include "base/buffer.h"
#include "base/fault.h"
#include <jansson.h>
#include <stdbool.h>

/* Of a run. */
struct network_rules {
    char *text; /* for its airlock: JSON, has the secrets; NULL: no rules */
    json_t *variables; /* of all its processes, by name; NULL: none */
    bool trusts;       /* the sandbox has to trust the airlock's certificate */
    bool signs;        /* a secret's function signs requests: signing.h */
};

/* Reads the members `networking` and `secrets` of a request. 0, or -1 with
 * 422. */
int network_rules_read(struct network_rules *r, const json_t *networking,
                       const json_t *secrets, bool trace, struct fault *f);
/* Whether what the image or the request has in a variable follows ours, instead
 * of one replacing the other: it has options for more than the network. */
bool network_rules_join(const char *name);
/* Wipes the secrets. */
void network_rules_clear(struct network_rules *r);
/* Adds the members of `networking` that are rules, as they were given. */
void network_rules_write(const struct network_rules *r, struct buffer *b,
                         const json_t *networking);
/* Adds the member `secrets` of a reply: names and hosts, and no value. */
void network_rules_write_secrets(const struct network_rules *r,
                                 struct buffer *b, const json_t *secrets);

#endif
