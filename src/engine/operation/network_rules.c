/* network_rules.c: see network_rules.h. */
#define _GNU_SOURCE
#include "operation/network_rules.h"
#include "airlock/policy/policy.h"
#include "airlock/policy/secrets.h"
#include "base/dump.h"
#include "base/json.h"
#include "base/nearest.h"
#include "sandbox/sandbox.h"
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 16 << 20 };

static const char *const names[] = {"allow", "deny", "resolve"};
enum { NAMES = sizeof names / sizeof *names };

/* Java has no variable of its own for it. */
#define JAVA_OPTIONS "JAVA_TOOL_OPTIONS"

/* By these programs find the certificates that they trust. */
static const struct {
    const char *name, *value;
} trusting[] = {
    {"SSL_CERT_FILE", TRUST_PATH},       /* OpenSSL, Go, Python */
    {"CURL_CA_BUNDLE", TRUST_PATH},      /* curl */
    {"GIT_SSL_CAINFO", TRUST_PATH},      /* git */
    {"REQUESTS_CA_BUNDLE", TRUST_PATH},  /* Python's requests, pip */
    {"NODE_EXTRA_CA_CERTS", TRUST_PATH}, /* node, npm */
    {"CARGO_HTTP_CAINFO", TRUST_PATH},   /* cargo */
    {"WGETRC", TRUST_WGET},
    {"APT_CONFIG", TRUST_APT},
    {JAVA_OPTIONS, "-Djavax.net.ssl.trustStore=" TRUST_JAVA},
};

/* Members that we do not know mean nothing, as everywhere. But whoever mistypes
 * `allow` would be connected to everything. */
static int check_members(const json_t *networking, struct fault *f) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)networking, name, value) {
        struct nearest n = nearest_of(name, names, NAMES);
        if (n.name && n.edits > 0)
            return fault_set(f, 422,
                             "networking has no member \"%.40s\"; did you mean "
                             "\"%s\"?",
                             name, n.name);
    }
    return 0;
}

static void write_rules(struct buffer *b, const json_t *networking) {
    for (int i = 0; i < NAMES; i++) {
        const json_t *value = json_object_get(networking, names[i]);
        if (value)
            json_add_value(b, names[i], value);
    }
}

void network_rules_write(const struct network_rules *r, struct buffer *b,
                         const json_t *networking) {
    if (r->text)
        write_rules(b, networking);
}

void network_rules_write_secrets(const struct network_rules *r,
                                 struct buffer *b, const json_t *secrets) {
    static const char *const shown[] = {"hosts", "header", "in", "sign",
                                        "digest"};
    const char *name;
    json_t *secret;
    if (!r->text || !json_is_object(secrets))
        return;
    json_open(b, "secrets", '{');
    json_object_foreach((json_t *)secrets, name, secret) {
        json_open(b, name, '{');
        if (json_object_get(secret, "value"))
            json_add_string(b, "value", "<MASKED>");
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
            const json_t *value = json_object_get(secret, shown[i]);
            if (value)
                json_add_value(b, shown[i], value);
        }
        json_close(b, '}');
    }
    json_close(b, '}');
}

/* ---- reading ---- */

/* The form that contree-airlock takes. */
static int write_text(struct network_rules *r, const json_t *networking,
                      const json_t *secrets, const struct secrets *s,
                      bool trace, struct fault *f) {
    struct buffer b;
    buffer_init(&b, TEXT_MAX);
    json_open(&b, NULL, '{');
    write_rules(&b, networking);
    json_add_bool(&b, "trace", trace);
    json_open(&b, "secrets", '{');
    secrets_write(s, &b, secrets);
    json_close(&b, '}');
    json_close(&b, '}');
    json_end(&b);
    r->text = buffer_take(&b);
    return r->text ? 0 : fault_memory(f);
}

static int add_variable(struct network_rules *r, const char *name,
                        const char *value) {
    return json_object_set_new(r->variables, name, json_string(value));
}

static int make_variables(struct network_rules *r, const struct secrets *s,
                          struct fault *f) {
    int rc = (r->variables = json_object()) ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < sizeof trusting / sizeof *trusting; i++)
        rc = add_variable(r, trusting[i].name, trusting[i].value);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = add_variable(r, s->list[i].name, s->list[i].placeholder);
    return rc < 0 ? fault_memory(f) : 0;
}

static int read_all(struct network_rules *r, const json_t *networking,
                    const json_t *secrets, bool trace, struct fault *f) {
    struct secrets s;
    struct policy *policy = policy_parse(networking, "networking.", f);
    if (!policy)
        return -1;
    r->trusts = policy_reads_requests(policy);
    policy_free(policy);
    if (secrets_parse(&s, secrets, "secrets", f) < 0)
        return -1;
    r->trusts = r->trusts || s.count > 0;
    for (size_t i = 0; i < s.count; i++)
        r->signs = r->signs || !s.list[i].value;
    int rc = write_text(r, networking, secrets, &s, trace, f);
    if (rc == 0 && r->trusts)
        rc = make_variables(r, &s, f);
    secrets_clear(&s);
    return rc;
}

int network_rules_read(struct network_rules *r, const json_t *networking,
                       const json_t *secrets, bool trace, struct fault *f) {
    if (json_object_size(secrets) > 0)
        dump_without_memory(); /* their values are in it, here and there */
    if (check_members(networking, f) < 0)
        return -1;
    if (policy_is_wanted(networking))
        return read_all(r, networking, secrets, trace, f);
    if (json_is_null(secrets) || json_object_size(secrets) == 0)
        return 0;
    return fault_set(f, 422,
                     "secrets need networking.allow: rules that say what the "
                     "run may reach");
}

/* Of an option that is there twice, Java takes the last. */
bool network_rules_join(const char *name) {
    return strcmp(name, JAVA_OPTIONS) == 0;
}

void network_rules_clear(struct network_rules *r) {
    if (r->text)
        explicit_bzero(r->text, strlen(r->text));
    free(r->text);
    json_decref(r->variables);
    *r = (struct network_rules){0};
}
