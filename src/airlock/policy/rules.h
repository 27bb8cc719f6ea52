/* rules.h: lists of rules: `networking.allow`, `networking.deny`, and the
 * `hosts` of a secret. */
#ifndef CONTREE_POLICY_RULES_H
#define CONTREE_POLICY_RULES_H

#include "airlock/policy/address.h"
#include "airlock/policy/pattern.h"
#include "base/fault.h"
#include <jansson.h>
#include <stddef.h>

enum {
    NAME_SIZE = 254,  /* of a host name, with the NUL */
    RULES_MAX = 1024, /* in one list */
    RANGES_MAX = 16,  /* of ports in one rule */
    METHODS_MAX = 32, /* in one rule */
    PATHS_MAX = 64    /* in one rule */
};

struct port_range {
    uint16_t first, last;
};

struct rule {
    /* A name, or what follows the "*." of one; "": `range` is meant. */
    char name[NAME_SIZE];
    bool below; /* "*.name" */
    struct network_range range;
    struct port_range ports[RANGES_MAX];
    size_t port_count;
    bool private;
    char **methods; /* none: all */
    size_t method_count;
    struct path_pattern **paths; /* none: all */
    size_t path_count;
};

struct rules {
    struct rule *list;
    size_t count;
};

/* What a rule without a port is for. */
enum rule_ports {
    PORTS_OF_WEB /* 80 and 443 */,
    PORTS_OF_TLS /* 443 */,
    PORTS_ALL
};

/* Reads an array of rules. `where` is what errors call it
 * ("networking.allow"). 0, or -1 with 422; then *out is empty. */
int rules_parse(struct rules *out, const json_t *array, const char *where,
                enum rule_ports otherwise, struct fault *f);
void rules_clear(struct rules *r);

/* Whether it is for this host. A name is in lower case, without a dot at its
 * end. A rule with an address is for no name, and the other way round. */
bool rule_has_name(const struct rule *r, const char *name);
bool rule_has_address(const struct rule *r, const struct address *a);
bool rule_has_port(const struct rule *r, int port);
/* Whether it speaks of requests: it has methods or paths. */
bool rule_reads_requests(const struct rule *r);
bool rule_has_method(const struct rule *r, const char *method);
/* `path` as path_as_read() makes it. */
enum path_match rule_has_path(const struct rule *r, const char *path);

/* Lower case, without the dot at the end. False for what is no host name: an
 * address, an empty label, a letter that names do not have. */
bool name_normal(const char *given, size_t length, char out[NAME_SIZE]);
#endif
