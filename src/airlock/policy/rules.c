/* rules.c: see rules.h. */
#define _GNU_SOURCE
#include "airlock/policy/rules.h"
#include "airlock/policy/members.h"
#include "airlock/policy/pattern.h"
#include "base/nearest.h"
#include "base/scope.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE_SIZE = 96, LABEL_MAX = 63, PORT_MAX = 65535 };

/* ---- names ---- */

static bool is_letter_of_name(unsigned char c) {
    return isalnum(c) || c == '-' || c == '_';
}

/* An address in any of the ways in which inet_aton() reads one: the last label
 * is a number, also an octal or hexadecimal one. */
static bool ends_in_number(const char *name) {
    const char *last = strrchr(name, '.');
    last = last ? last + 1 : name;
    if (last[0] == '0' && last[1] == 'x')
        return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
    return last[strspn(last, "0123456789")] == '\0';
}

bool name_normal(const char *given, size_t length, char out[NAME_SIZE]) {
    size_t label = 0;
    if (length > 0 && given[length - 1] == '.')
        length--;
    if (length == 0 || length >= NAME_SIZE)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)given[i];
        if (c == '.' ? label == 0 : !is_letter_of_name(c) || c > 0x7e)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    out[length] = '\0';
    return label > 0 && !ends_in_number(out);
}

/* ---- reading one rule ---- */

struct reader {
    const char *where; /* "networking.allow[2]" */
    const char *text;  /* the host as it was given */
    enum rule_ports otherwise;
    struct rule *rule;
    struct fault *f;
};

static int refuse(struct reader *r, const char *what) {
    return fault_set(r->f, 422, "%s: \"%.120s\" %s", r->where, r->text, what);
}

static bool add_ports(struct rule *rule, long first, long last) {
    if (first < 1 || last > PORT_MAX || first > last ||
        rule->port_count == RANGES_MAX)
        return false;
    rule->ports[rule->port_count++] =
        (struct port_range){(uint16_t)first, (uint16_t)last};
    return true;
}

/* A decimal number of at most five digits, up to one of `ends`. */
static bool read_number(const char **p, const char *ends, long *out) {
    size_t digits = strspn(*p, "0123456789");
    if (digits == 0 || digits > 5 || !strchr(ends, (*p)[digits]))
        return false;
    *out = strtol(*p, NULL, 10);
    *p += digits;
    return true;
}

/* "443" or "8000-8010". */
static bool read_ports(struct rule *rule, const char *p) {
    long first, last;
    if (!read_number(&p, "-", &first))
        return false;
    last = first;
    if (*p == '-' && (p++, !read_number(&p, "", &last)))
        return false;
    return *p == '\0' && add_ports(rule, first, last);
}

static bool has_bits_below(const struct network_range *r) {
    for (unsigned bit = r->prefix; bit < 128; bit++)
        if (r->address.bytes[bit / 8] & 0x80 >> bit % 8)
            return true;
    return false;
}

static int refuse_host_bits(struct reader *r, struct network_range range) {
    char text[ADDRESS_TEXT], what[160];
    for (unsigned bit = range.prefix; bit < 128; bit++)
        range.address.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    bool four = address_is_v4(&range.address);
    snprintf(what, sizeof what,
             "is an address inside a network; did you mean \"%s/%u\"?",
             address_write(&range.address, text),
             range.prefix - (four ? 96 : 0));
    return refuse(r, what);
}

/* An address with an optional "/PREFIX". 0: it is none; 1: done; -1. */
static int read_address(struct reader *r, char *host) {
    struct network_range *range = &r->rule->range;
    char *slash = strstr(host, "://") ? NULL : strchr(host, '/');
    const char *digits = slash ? slash + 1 : "";
    long prefix = 0;
    if (slash)
        *slash = '\0';
    if (!address_parse(host, &range->address))
        return slash ? refuse(r, "is not a network such as 10.1.2.0/24") : 0;
    bool four = address_is_v4(&range->address) && !strchr(host, ':');
    if (address_is_v4(&range->address) && !four)
        return refuse(r, "is an IPv4 address written as IPv6: write it as "
                         "IPv4");
    long most = four ? 32 : 128;
    if (slash && (!read_number(&digits, "", &prefix) || prefix > most))
        return refuse(r, "has no valid length of its prefix after the \"/\"");
    range->prefix = (unsigned)((slash ? prefix : most) + (four ? 96 : 0));
    return has_bits_below(range) ? refuse_host_bits(r, *range) : 1;
}

static bool is_ascii(const char *s) {
    while (*s && !(*s & 0x80))
        s++;
    return *s == '\0';
}

static int read_name(struct reader *r, const char *host) {
    r->rule->below = strncmp(host, "*.", 2) == 0;
    host += r->rule->below ? 2 : 0;
    if (name_normal(host, strlen(host), r->rule->name))
        return 0;
    r->rule->name[0] = '\0';
    if (!is_ascii(host))
        return refuse(r, "has letters beyond ASCII: write the name as DNS has "
                         "it (xn--…)");
    if (strchr(host, '*'))
        return refuse(r, "has a \"*\" that is not the whole first label, as in "
                         "\"*.example.org\"");
    return refuse(r, "is neither a host name, nor an address, nor a network");
}

static int read_host(struct reader *r, char *host) {
    int found = read_address(r, host);
    return found == 0 ? read_name(r, host) : found < 0 ? -1 : 0;
}

/* Cuts "host:ports" or "[address]:ports" in two; *ports is NULL without. */
static int split(struct reader *r, char **host, char **ports) {
    char *colon = strrchr(*host, ':');
    *ports = NULL;
    if (**host == '[') {
        char *end = strchr(*host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return refuse(r, "has no \"]\" after its address");
        *ports = end[1] ? end + 2 : NULL;
        *end = '\0';
        ++*host;
    } else if (colon && strchr(*host, ':') == colon) {
        *ports = colon + 1;
        *colon = '\0';
    }
    return 0;
}

static int read_text(struct reader *r) {
    char *copy CLEANUP(cleanup_free) = strdup(r->text), *host = copy, *ports;
    if (!copy)
        return fault_memory(r->f);
    if (strstr(host, "://"))
        return refuse(r, "is a URL: a rule has a host, and an object as rule "
                         "{host, paths} has paths");
    if (split(r, &host, &ports) < 0 || read_host(r, host) < 0)
        return -1;
    if (!ports)
        return 0;
    if (r->rule->port_count > 0)
        return refuse(r, "has a port, and `ports` beside it: write one of "
                         "them");
    return read_ports(r->rule, ports)
               ? 0
               : refuse(r, "has no valid port: write 1 to 65535, or a range "
                           "such as 8000-8010");
}

static void use_usual_ports(struct reader *r) {
    if (r->rule->port_count > 0)
        return;
    if (r->otherwise == PORTS_ALL) {
        add_ports(r->rule, 1, PORT_MAX);
        return;
    }
    if (r->otherwise == PORTS_OF_WEB)
        add_ports(r->rule, 80, 80);
    add_ports(r->rule, 443, 443);
}

/* ---- rules that are objects ---- */

static int refuse_member(struct reader *r, const char *name, const char *what) {
    return fault_set(r->f, 422, "%s.%s %s", r->where, name, what);
}

static int read_port_value(struct reader *r, const json_t *value) {
    bool right = false;
    if (json_is_integer(value)) {
        json_int_t port = json_integer_value(value);
        right = port >= 1 && port <= PORT_MAX &&
                add_ports(r->rule, (long)port, (long)port);
    } else if (json_is_string(value)) {
        right = read_ports(r->rule, json_string_value(value));
    }
    return right ? 0
                 : refuse_member(r, "ports",
                                 "must be ports from 1 to 65535, or ranges "
                                 "such as \"8000-8010\", at most 16 of them");
}

static int read_port_values(struct reader *r, const json_t *value) {
    const json_t *item;
    size_t i;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_array(value))
        return read_port_value(r, value);
    if (json_array_size(value) == 0)
        return refuse_member(r, "ports", "is empty");
    json_array_foreach(value, i, item) {
        if (read_port_value(r, item) < 0)
            return -1;
    }
    return 0;
}

/* The strings of a member that is one string or several. NULL and *count 0:
 * absent; NULL with *count 1: refused. */
static const char **texts_of(struct reader *r, const char *name,
                             const json_t *value, size_t most, size_t *count) {
    *count = 0;
    if (!value || json_is_null(value))
        return NULL;
    size_t size = json_is_array(value) ? json_array_size(value) : 1;
    const char **texts = calloc(size + 1, sizeof *texts);
    *count = 1;
    if (!texts) {
        fault_memory(r->f);
        return NULL;
    }
    for (size_t i = 0; i < size; i++) {
        const json_t *item =
            json_is_array(value) ? json_array_get(value, i) : value;
        texts[i] = json_string_value(item);
        if (!texts[i] || size > most)
            size = 0;
    }
    if (size == 0) {
        free(texts);
        char what[80];
        snprintf(what, sizeof what, "must be 1 to %zu strings", most);
        refuse_member(r, name, what);
        return NULL;
    }
    *count = size;
    return texts;
}

static const char *const methods[] = {
    "GET",      "HEAD",   "POST",  "PUT",  "DELETE", "PATCH", "OPTIONS",
    "PROPFIND", "REPORT", "MKCOL", "COPY", "MOVE",   "LOCK",  "UNLOCK",
};
enum { METHOD_COUNT = sizeof methods / sizeof *methods };

static int refuse_method(struct reader *r, const char *given) {
    char upper[32] = "", what[160];
    for (size_t i = 0; given[i] && i < sizeof upper - 1; i++)
        upper[i] = (char)toupper((unsigned char)given[i]);
    struct nearest n = nearest_of(upper, methods, METHOD_COUNT);
    snprintf(what, sizeof what,
             "has \"%.40s\", which is not a method it knows%s%s%s", given,
             n.name ? "; did you mean \"" : "", n.name ? n.name : "",
             n.name ? "\"?" : "");
    return refuse_member(r, "methods", what);
}

static bool is_method(const char *name) {
    for (int i = 0; i < METHOD_COUNT; i++)
        if (strcmp(methods[i], name) == 0)
            return true;
    return false;
}

static int read_methods(struct reader *r, const json_t *value) {
    size_t count;
    const char **texts CLEANUP(cleanup_free) =
        texts_of(r, "methods", value, METHODS_MAX, &count);
    if (!texts)
        return count ? -1 : 0;
    r->rule->methods = calloc(count, sizeof *r->rule->methods);
    if (!r->rule->methods)
        return fault_memory(r->f);
    for (size_t i = 0; i < count; i++) {
        if (!is_method(texts[i]))
            return refuse_method(r, texts[i]);
        char *copy = r->rule->methods[i] = strdup(texts[i]);
        if (!copy)
            return fault_memory(r->f);
        r->rule->method_count++;
    }
    return 0;
}

static int read_paths(struct reader *r, const json_t *value) {
    size_t count;
    const char **texts CLEANUP(cleanup_free) =
        texts_of(r, "paths", value, PATHS_MAX, &count);
    if (!texts)
        return count ? -1 : 0;
    r->rule->paths = calloc(count, sizeof(struct path_pattern *));
    if (!r->rule->paths)
        return fault_memory(r->f);
    for (size_t i = 0; i < count; i++) {
        if (texts[i][0] != '/')
            return refuse_member(r, "paths", "must begin with \"/\"");
        struct path_pattern *p = pattern_make(texts[i], r->f);
        if (!p) {
            char why[sizeof r->f->message];
            memcpy(why, r->f->message, sizeof why);
            return fault_set(r->f, r->f->status == 500 ? 500 : 422,
                             "%s.paths: %.300s", r->where, why);
        }
        r->rule->paths[r->rule->path_count++] = p;
    }
    return 0;
}

static int read_object(struct reader *r, const json_t *object) {
    static const char *const names[] = {"host", "ports", "methods", "paths",
                                        "private"};
    const json_t *private = json_object_get(object, "private");
    r->text = json_string_value(json_object_get(object, "host"));
    if (members_check(object, r->where, names, sizeof names / sizeof *names,
                      r->f) < 0)
        return -1;
    if (!r->text)
        return refuse_member(r, "host", "is missing, or not a string");
    if (private && !json_is_null(private) && !json_is_boolean(private))
        return refuse_member(r, "private", "must be true or false");
    r->rule->private = json_is_true(private);
    if (read_port_values(r, json_object_get(object, "ports")) < 0 ||
        read_text(r) < 0 ||
        read_methods(r, json_object_get(object, "methods")) < 0)
        return -1;
    return read_paths(r, json_object_get(object, "paths"));
}

static int read_rule(struct reader *r, const json_t *value) {
    int rc = 0;
    if (json_is_string(value)) {
        r->text = json_string_value(value);
        rc = read_text(r);
    } else if (json_is_object(value)) {
        rc = read_object(r, value);
    } else {
        rc = fault_set(r->f, 422,
                       "%s must be a string such as \"example.org:443\", or an "
                       "object",
                       r->where);
    }
    if (rc == 0)
        use_usual_ports(r);
    return rc;
}

/* ---- lists ---- */

static void clear_rule(struct rule *r) {
    for (size_t i = 0; i < r->method_count; i++)
        free(r->methods[i]);
    for (size_t i = 0; i < r->path_count; i++)
        pattern_free(r->paths[i]);
    free(r->methods);
    free(r->paths);
}

void rules_clear(struct rules *r) {
    for (size_t i = 0; i < r->count; i++)
        clear_rule(&r->list[i]);
    free(r->list);
    *r = (struct rules){0};
}

static int check_list(const json_t *array, const char *where, struct fault *f) {
    if (!json_is_array(array))
        return fault_set(f, 422, "%s must be an array of rules", where);
    if (json_array_size(array) > RULES_MAX)
        return fault_set(f, 422, "%s has more than %d rules", where, RULES_MAX);
    return 0;
}

int rules_parse(struct rules *out, const json_t *array, const char *where,
                enum rule_ports otherwise, struct fault *f) {
    *out = (struct rules){0};
    if (check_list(array, where, f) < 0)
        return -1;
    size_t size = json_array_size(array);
    out->list = calloc(size + 1, sizeof *out->list);
    if (!out->list)
        return fault_memory(f);
    for (size_t i = 0; i < size; i++) {
        char place[WHERE_SIZE];
        snprintf(place, sizeof place, "%s[%zu]", where, i);
        struct reader r = {.where = place,
                           .otherwise = otherwise,
                           .rule = &out->list[i],
                           .f = f};
        out->count++;
        if (read_rule(&r, json_array_get(array, i)) < 0) {
            rules_clear(out);
            return -1;
        }
    }
    return 0;
}

/* ---- matching ---- */

bool rule_has_name(const struct rule *r, const char *name) {
    if (!r->name[0])
        return false;
    if (!r->below)
        return strcmp(r->name, name) == 0;
    size_t mine = strlen(r->name), its = strlen(name);
    return its > mine + 1 && name[its - mine - 1] == '.' &&
           strcmp(name + its - mine, r->name) == 0;
}

bool rule_has_address(const struct rule *r, const struct address *a) {
    return !r->name[0] && range_has(&r->range, a);
}

bool rule_has_port(const struct rule *r, int port) {
    for (size_t i = 0; i < r->port_count; i++)
        if (port >= r->ports[i].first && port <= r->ports[i].last)
            return true;
    return false;
}

bool rule_reads_requests(const struct rule *r) {
    return r->method_count > 0 || r->path_count > 0;
}

bool rule_has_method(const struct rule *r, const char *method) {
    for (size_t i = 0; i < r->method_count; i++)
        if (strcmp(r->methods[i], method) == 0)
            return true;
    return r->method_count == 0;
}

enum path_match rule_has_path(const struct rule *r, const char *path) {
    enum path_match best = r->path_count == 0 ? PATH_MATCHES : PATH_DIFFERS;
    for (size_t i = 0; i < r->path_count && best != PATH_MATCHES; i++) {
        enum path_match m = pattern_match(r->paths[i], path);
        best = m != PATH_DIFFERS ? m : best;
    }
    return best;
}
