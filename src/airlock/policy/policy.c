/* policy.c: see policy.h. */
#define _GNU_SOURCE
#include "airlock/policy/policy.h"
#include "base/scope.h"
#include <stdlib.h>
#include <string.h>

enum { PINS_MAX = 1024, WHERE_SIZE = 96 };

struct pin {
    char name[NAME_SIZE];
    struct address address;
    int port; /* 0: the port that was asked for */
};

struct policy {
    struct rules allow, deny;
    struct pin *pins;
    size_t pin_count;
    uint16_t ports[POLICY_PORTS];
    size_t port_count;
};

const char *refusal_name(enum refusal r) {
    static const char *const names[REFUSALS] = {
        [REFUSED_NOT] = "allowed",
        [REFUSED_RULE] = "rule",
        [REFUSED_PRIVATE] = "private",
        [REFUSED_UNRESOLVED] = "unresolved",
        [REFUSED_UNREACHABLE] = "unreachable",
        [REFUSED_SNI] = "sni",
        [REFUSED_ECH] = "ech",
        [REFUSED_ENCRYPTED] = "encrypted",
        [REFUSED_PROTOCOL] = "protocol",
        [REFUSED_HOST] = "host",
        [REFUSED_METHOD] = "method",
        [REFUSED_PATH] = "path",
        [REFUSED_SECRET] = "secret",
        [REFUSED_SIGN] = "sign",
        [REFUSED_CERTIFICATE] = "certificate",
        [REFUSED_DISTRUSTED] = "distrusted",
        [REFUSED_LIMIT] = "limit",
    };
    return names[r];
}

/* ---- reading ---- */

static const json_t *member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

bool policy_is_wanted(const json_t *networking) {
    return member(networking, "allow") || member(networking, "deny") ||
           member(networking, "resolve");
}

static bool has_port(const struct policy *p, int port) {
    for (size_t i = 0; i < p->port_count; i++)
        if (p->ports[i] == port)
            return true;
    return false;
}

static int compare_ports(const void *a, const void *b) {
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int add_port(struct policy *p, int port, const char *where,
                    struct fault *f) {
    if (has_port(p, port))
        return 0;
    if (p->port_count == POLICY_PORTS)
        return fault_set(f, 422,
                         "%sallow names more than %d ports in all: name those "
                         "that are needed",
                         where, POLICY_PORTS);
    p->ports[p->port_count++] = (uint16_t)port;
    return 0;
}

static int collect_ports(struct policy *p, const char *where, struct fault *f) {
    for (size_t i = 0; i < p->allow.count; i++) {
        const struct rule *r = &p->allow.list[i];
        for (size_t k = 0; k < r->port_count; k++)
            for (int port = r->ports[k].first; port <= r->ports[k].last; port++)
                if (add_port(p, port, where, f) < 0)
                    return -1;
    }
    qsort(p->ports, p->port_count, sizeof *p->ports, compare_ports);
    return 0;
}

/* "ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT". */
static bool read_pin(struct pin *pin, const char *text) {
    char address[ADDRESS_TEXT + 3], *end = address;
    if (!text || strlen(text) >= sizeof address)
        return false;
    memcpy(address, text, strlen(text) + 1);
    if (address_parse(address, &pin->address))
        return true;
    char *colon = strrchr(address, ':');
    if (!colon)
        return false;
    long port = strtol(colon + 1, &end, 10);
    if (*end || end - colon > 6 || colon[1] < '0' || colon[1] > '9' ||
        port < 1 || port > UINT16_MAX)
        return false;
    *colon = '\0';
    pin->port = (int)port;
    bool brackets = address[0] == '[' && colon[-1] == ']';
    if (brackets)
        colon[-1] = '\0';
    return address_parse(address + brackets, &pin->address) &&
           brackets == (strchr(address, ':') != NULL);
}

static int add_pin(struct policy *p, const char *name, const json_t *value,
                   const char *where, struct fault *f) {
    struct pin *pin = &p->pins[p->pin_count];
    if (!name_normal(name, strlen(name), pin->name))
        return fault_set(f, 422, "%sresolve: \"%.120s\" is not a host name",
                         where, name);
    if (!read_pin(pin, json_string_value(value)))
        return fault_set(f, 422,
                         "%sresolve[\"%.120s\"] must be \"ADDRESS\" or "
                         "\"ADDRESS:PORT\"",
                         where, name);
    p->pin_count++;
    return 0;
}

static int read_pins(struct policy *p, const json_t *object, const char *where,
                     struct fault *f) {
    const char *name;
    json_t *value;
    if (!object)
        return 0;
    if (!json_is_object(object))
        return fault_set(f, 422,
                         "%sresolve must be an object: names, and the "
                         "address of each",
                         where);
    if (json_object_size(object) > PINS_MAX)
        return fault_set(f, 422, "%sresolve has more than %d names", where,
                         PINS_MAX);
    p->pins = calloc(json_object_size(object) + 1, sizeof *p->pins);
    if (!p->pins)
        return fault_memory(f);
    json_object_foreach((json_t *)object, name, value) {
        if (add_pin(p, name, value, where, f) < 0)
            return -1;
    }
    return 0;
}

static int read_lists(struct policy *p, const json_t *networking,
                      const char *where, struct fault *f) {
    const json_t *allow = member(networking, "allow");
    const json_t *deny = member(networking, "deny");
    char place[WHERE_SIZE];
    if (!allow)
        return fault_set(f, 422,
                         "%s%s needs %sallow: without it there is nothing to "
                         "choose from",
                         where, deny ? "deny" : "resolve", where);
    snprintf(place, sizeof place, "%sallow", where);
    if (rules_parse(&p->allow, allow, place, PORTS_OF_WEB, f) < 0)
        return -1;
    snprintf(place, sizeof place, "%sdeny", where);
    return deny ? rules_parse(&p->deny, deny, place, PORTS_ALL, f) : 0;
}

struct policy *policy_parse(const json_t *networking, const char *where,
                            struct fault *f) {
    struct policy *p = calloc(1, sizeof *p);
    if (!p) {
        fault_memory(f);
        return NULL;
    }
    if (read_lists(p, networking, where, f) == 0 &&
        collect_ports(p, where, f) == 0 &&
        read_pins(p, member(networking, "resolve"), where, f) == 0)
        return p;
    policy_free(p);
    return NULL;
}

void policy_free(struct policy *p) {
    if (!p)
        return;
    rules_clear(&p->allow);
    rules_clear(&p->deny);
    free(p->pins);
    free(p);
}

bool policy_reads_requests(const struct policy *p) {
    for (size_t i = 0; i < p->allow.count; i++)
        if (rule_reads_requests(&p->allow.list[i]))
            return true;
    return false;
}

size_t policy_ports(const struct policy *p, const uint16_t **ports) {
    *ports = p->ports;
    return p->port_count;
}

/* ---- deciding ---- */

static bool rule_has_target(const struct rule *r, const struct target *t) {
    return rule_has_port(r, t->port) &&
           (t->name ? rule_has_name(r, t->name)
                    : rule_has_address(r, &t->address));
}

/* A wide network such as 0.0.0.0/0 is meant for public addresses. */
static bool rule_allows(const struct rule *r, const struct target *t) {
    if (!rule_has_target(r, t))
        return false;
    if (t->name || range_names(&r->range, &t->address))
        return true;
    enum address_kind kind = address_kind(&t->address);
    return kind == ADDRESS_PUBLIC || (kind == ADDRESS_PRIVATE && r->private);
}

/* A rule of `deny` on requests denies no connection. */
static bool denies(const struct policy *p, const struct target *t) {
    for (size_t i = 0; i < p->deny.count; i++)
        if (!rule_reads_requests(&p->deny.list[i]) &&
            rule_has_target(&p->deny.list[i], t))
            return true;
    return false;
}

bool policy_knows(const struct policy *p, const char *name) {
    struct target t = {.name = name};
    for (size_t i = 0; i < p->allow.count; i++) {
        const struct rule *r = &p->allow.list[i];
        if (!rule_has_name(r, name))
            continue;
        for (size_t k = 0; k < r->port_count; k++)
            for (t.port = r->ports[k].first; t.port <= r->ports[k].last;
                 t.port++)
                if (!denies(p, &t))
                    return true;
    }
    return false;
}

enum refusal policy_connection(const struct policy *p, const struct target *t,
                               struct allowance *out) {
    bool allowed = false, freely = false;
    *out = (struct allowance){0};
    for (size_t i = 0; i < p->allow.count; i++) {
        const struct rule *r = &p->allow.list[i];
        if (!rule_allows(r, t))
            continue;
        allowed = true;
        freely = freely || !rule_reads_requests(r);
        out->is_private = out->is_private || r->private;
    }
    if (!allowed || denies(p, t))
        return REFUSED_RULE;
    out->read_requests = !freely;
    for (size_t i = 0; i < p->deny.count; i++)
        if (rule_reads_requests(&p->deny.list[i]) &&
            rule_has_target(&p->deny.list[i], t))
            out->read_requests = true;
    return REFUSED_NOT;
}

/* An unclear path (NULL) is one that no rule on paths allows, and that each
 * denies. */
static enum path_match has_path(const struct rule *r, const char *path) {
    if (r->path_count == 0)
        return PATH_MATCHES;
    return path ? rule_has_path(r, path) : PATH_UNKNOWN;
}

enum refusal policy_request(const struct policy *p, const struct target *t,
                            const char *method, const char *path,
                            size_t path_length) {
    char *clear CLEANUP(cleanup_free) = path_as_read(path, path_length);
    enum refusal why = REFUSED_RULE;
    for (size_t i = 0; i < p->deny.count; i++) {
        const struct rule *r = &p->deny.list[i];
        if (rule_has_target(r, t) && rule_has_method(r, method) &&
            has_path(r, clear) != PATH_DIFFERS)
            return r->path_count > 0     ? REFUSED_PATH
                   : r->method_count > 0 ? REFUSED_METHOD
                                         : REFUSED_RULE;
    }
    for (size_t i = 0; i < p->allow.count; i++) {
        const struct rule *r = &p->allow.list[i];
        if (!rule_allows(r, t))
            continue;
        if (!rule_has_method(r, method))
            why = why == REFUSED_PATH ? why : REFUSED_METHOD;
        else if (has_path(r, clear) == PATH_MATCHES)
            return REFUSED_NOT;
        else
            why = REFUSED_PATH;
    }
    return why;
}

bool policy_pin(const struct policy *p, const char *name, struct address *out,
                int *port) {
    for (size_t i = 0; i < p->pin_count; i++)
        if (strcmp(p->pins[i].name, name) == 0) {
            *out = p->pins[i].address;
            *port = p->pins[i].port ? p->pins[i].port : *port;
            return true;
        }
    return false;
}

static bool allows_there(const struct policy *p, const struct target *there) {
    for (size_t i = 0; i < p->allow.count; i++)
        if (rule_allows(&p->allow.list[i], there))
            return true;
    return false;
}

enum refusal policy_resolved(const struct policy *p, const struct target *t,
                             const struct address *a) {
    struct target there = {.address = *a, .port = t->port};
    struct allowance allowance;
    enum address_kind kind = address_kind(a);
    if (denies(p, &there))
        return REFUSED_RULE;
    if (kind == ADDRESS_PUBLIC || allows_there(p, &there))
        return REFUSED_NOT;
    if (policy_connection(p, t, &allowance) != REFUSED_NOT)
        return REFUSED_RULE;
    return kind == ADDRESS_PRIVATE && allowance.is_private ? REFUSED_NOT
                                                           : REFUSED_PRIVATE;
}
