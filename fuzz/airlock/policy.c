/* policy.c: rules are accepted or refused with 422. What is accepted is obeyed
 * whatever is asked: `deny` wins, and what no rule allows does not leave. The
 * input is a name, a path and the rules as JSON. */
#include "airlock/policy/policy.h"
#include "../input.h"

/* Whether a target is reached by one list alone. */
static bool is_reached(const json_t *list, const struct target *t) {
    json_t *alone = json_pack("{s:O}", "allow", list);
    struct allowance a;
    struct policy *p = policy_parse(alone, "", NULL);
    bool reached = p && policy_connection(p, t, &a) == REFUSED_NOT;
    policy_free(p);
    json_decref(alone);
    return reached;
}

static void ask(const struct policy *p, const json_t *rules,
                const struct target *t, const char *path) {
    static const char *const methods[] = {"GET", "POST", "get", "X"};
    struct allowance a = {0};
    enum refusal r = policy_connection(p, t, &a);
    HOLDS(r == REFUSED_NOT || r == REFUSED_RULE);
    const json_t *allow = json_object_get(rules, "allow");
    if (r == REFUSED_NOT && json_is_array(allow))
        HOLDS(is_reached(allow, t));
    HOLDS(r == REFUSED_RULE || !t->name || policy_knows(p, t->name));
    HOLDS(r == REFUSED_RULE || !a.read_requests || policy_reads_requests(p));
    for (size_t i = 0; i < 4; i++) {
        enum refusal q = policy_request(p, t, methods[i], path, strlen(path));
        HOLDS(q == REFUSED_NOT || q == REFUSED_METHOD || q == REFUSED_PATH ||
              q == REFUSED_RULE);
    }
    if (t->name) {
        enum refusal q = policy_resolved(p, t, &t->address);
        HOLDS(q == REFUSED_NOT || q == REFUSED_RULE || q == REFUSED_PRIVATE);
    }
}

static void use(const struct policy *p, const json_t *rules, const char *name,
                const char *path) {
    struct target t = {.port = 443};
    char normal[NAME_SIZE];
    const uint16_t *ports;
    size_t count = policy_ports(p, &ports);
    HOLDS(count <= POLICY_PORTS);
    for (size_t i = 1; i < count; i++)
        HOLDS(ports[i - 1] < ports[i]);
    if (count > 0)
        t.port = ports[strlen(path) % count];
    if (address_parse(name, &t.address))
        ask(p, rules, &t, path);
    else
        address_parse("10.1.2.3", &t.address);
    if (name_normal(name, strlen(name), normal)) {
        char again[NAME_SIZE];
        struct address pin;
        HOLDS(name_normal(normal, strlen(normal), again));
        HOLDS(strcmp(normal, again) == 0);
        t.name = normal;
        ask(p, rules, &t, path);
        policy_pin(p, normal, &pin, &t.port);
    }
}

static void check_path(const char *path) {
    char *read = path_as_read(path, strlen(path));
    if (read) {
        HOLDS(!strstr(read, "//") && !strstr(read, "/../") &&
              !strstr(read, "/./") && !strchr(read, '\\'));
        char *again =
            strchr(read, '%') ? NULL : path_as_read(read, strlen(read));
        HOLDS(!again || strcmp(again, read) == 0);
        free(again);
    }
    free(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct fault f = {0};
    char *name = input_text(&in, '\n'), *path = input_text(&in, '\n');
    json_t *rules = json_loadb((const char *)in.at, in.left, 0, NULL);
    check_path(path);
    if (json_is_object(rules)) {
        struct policy *p = policy_parse(rules, "networking.", &f);
        HOLDS(p || f.status == 422);
        if (p)
            use(p, rules, name, path);
        policy_free(p);
        policy_is_wanted(rules);
    }
    json_decref(rules);
    free(name);
    free(path);
    return 0;
}
