/* url.c: see url.h. */
#define _GNU_SOURCE
#include "base/url.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int hex(char c) {
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

bool percent_decode(char *s, bool plus_is_space) {
    char *out = s;
    for (; *s; s++, out++) {
        *out = plus_is_space && *s == '+' ? ' ' : *s;
        if (*s != '%')
            continue;
        int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);
        if (low < 0 || (high | low) == 0)
            return false;
        *out = (char)(high << 4 | low);
        s += 2;
    }
    *out = 0;
    return true;
}

static int add_segment(struct url *u, char *segment, struct fault *f) {
    if (u->segment_count == URL_SEGMENTS)
        return fault_set(f, 400, "the path has too many segments");
    if (!percent_decode(segment, false))
        return fault_set(f, 400, "the path has a broken percent escape");
    u->segments[u->segment_count++] = segment;
    return 0;
}

static int parse_path(struct url *u, char *path, struct fault *f) {
    char *segment = strsep(&path, "/");
    if (!path || *segment)
        return fault_set(f, 400, "the request target must be a path");
    while ((segment = strsep(&path, "/")) != NULL) {
        u->slash = !*segment && !path;
        if (u->slash)
            break;
        if (add_segment(u, segment, f) < 0)
            return -1;
    }
    return 0;
}

static int parse_parameters(struct url *u, char *query, struct fault *f) {
    char *state = NULL;
    for (char *pair = strtok_r(query, "&", &state); pair;
         pair = strtok_r(NULL, "&", &state)) {
        if (u->parameter_count == URL_PARAMETERS)
            return fault_set(f, 414, "more than %d query parameters",
                             URL_PARAMETERS);
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        else
            value = pair + strlen(pair);
        if (!percent_decode(pair, true) || !percent_decode(value, true))
            return fault_set(f, 400, "the query has a broken percent escape");
        u->parameters[u->parameter_count].name = pair;
        u->parameters[u->parameter_count++].value = value;
    }
    return 0;
}

int url_parse(struct url *u, const char *target, struct fault *f) {
    *u = (struct url){.text = strdup(target)};
    if (!u->text)
        return fault_memory(f);
    if (strlen(target) > URL_BYTES)
        return fault_set(f, 414, "the request target is longer than %d bytes",
                         URL_BYTES);
    for (const char *p = target; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return fault_set(f, 400, "the request target has a space in it");
    char *query = u->text;
    char *path = strsep(&query, "?");
    if (parse_path(u, path, f) < 0)
        return -1;
    return query ? parse_parameters(u, query, f) : 0;
}

void url_clear(struct url *u) {
    free(u->text);
    u->text = NULL;
}

void url_add_segment(struct buffer *b, const char *segment) {
    buffer_add(b, "/", 1);
    for (; *segment; segment++)
        if (isalnum((unsigned char)*segment) || strchr("-._~", *segment))
            buffer_add(b, segment, 1);
        else
            buffer_addf(b, "%%%02X", (unsigned char)*segment);
}

const char *url_next(const struct url *u, const char *name, size_t *at) {
    while (*at < u->parameter_count) {
        size_t i = (*at)++;
        if (strcmp(u->parameters[i].name, name) == 0)
            return u->parameters[i].value;
    }
    return NULL;
}

const char *url_parameter(const struct url *u, const char *name) {
    size_t at = 0;
    return url_next(u, name, &at);
}

char *path_normal(const char *given, struct fault *f) {
    char *out = malloc(strlen(given) + 2);
    size_t used = 0;
    if (!out) {
        fault_memory(f);
        return NULL;
    }
    for (const char *p = given; *p;) {
        size_t length = strcspn(p, "/");
        if (length == 2 && memcmp(p, "..", 2) == 0) {
            free(out);
            fault_set(f, 400, "the path \"%.100s\" must have no \"..\" in it",
                      given);
            return NULL;
        }
        if (length && !(length == 1 && *p == '.')) {
            out[used++] = '/';
            memcpy(out + used, p, length);
            used += length;
        }
        p += length + (p[length] == '/');
    }
    if (!used)
        out[used++] = '/';
    out[used] = 0;
    return out;
}

char *path_rooted(const char *given, struct fault *f) {
    if (*given != '/')
        return path_normal(given, f);
    char *out = strdup(given);
    if (!out)
        fault_memory(f);
    return out;
}

int url_flag(const struct url *u, const char *name, bool *out,
             struct fault *f) {
    const char *value = url_parameter(u, name);
    if (value && *value && strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        return fault_set(f, 400, "%s must be 0 or 1", name);
    *out = value && strcmp(value, "0") != 0;
    return 0;
}

bool parse_int(const char *text, int64_t *out) {
    const char *digits = text + (*text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return false;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0;
}

int url_int(const struct url *u, const char *name, int64_t low, int64_t high,
            int64_t *out, struct fault *f) {
    const char *value = url_parameter(u, name);
    int64_t number;
    if (!value)
        return 0;
    bool valid = parse_int(value, &number);
    if ((!valid || number < low) && high == INT64_MAX)
        return fault_set(f, 400, "%s must be an integer of %lld or more", name,
                         (long long)low);
    if (!valid || number < low || number > high)
        return fault_set(f, 400, "%s must be between %lld and %lld", name,
                         (long long)low, (long long)high);
    *out = number;
    return 0;
}

/* "3600", "1.5", "15m", "2h", "3d", "1w": how long ago, in seconds. */
static bool parse_age(const char *text, double *seconds) {
    static const char units[] = "smhdw";
    static const double factors[] = {1, 60, 3600, 86400, 604800};
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    size_t digits = strspn(text, "0123456789.");
    const char *unit = text[digits] ? strchr(units, text[digits]) : units;
    *seconds = strtod(text, &end);
    if (!unit || end != text + digits || (*end && end[1]))
        return false;
    *seconds *= factors[unit - units];
    return *seconds < 1e12;
}

/* The fraction of a second, of any width, as microseconds. */
static const char *parse_fraction(const char *p, int64_t *microseconds) {
    *microseconds = 0;
    if (*p != '.' && *p != ',')
        return p;
    int64_t unit = 100000;
    for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
        *microseconds += (*p - '0') * unit;
    return p;
}

/* "Z", "+02:00", "-0730", or nothing (UTC); seconds east of Greenwich. A plus
 * that nobody encoded arrives as a space. */
static bool parse_zone(const char *p, int64_t *east) {
    int hours, minutes, used = 0;
    *east = 0;
    if (*p == 0 || strcasecmp(p, "z") == 0)
        return true;
    if (*p != '+' && *p != '-' && *p != ' ')
        return false;
    if (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) < 2 &&
        sscanf(p + 1, "%2d%2d%n", &hours, &minutes, &used) < 2)
        return false;
    if (p[1 + used] || hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
        return false;
    *east = (hours * 60 + minutes) * 60 * (*p == '-' ? -1 : 1);
    return true;
}

static bool parse_instant(const char *text, int64_t *out) {
    struct tm t = {0};
    int64_t fraction, east;
    const char *p = strptime(text, "%Y-%m-%d", &t);
    if (!p)
        return false;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        p = strptime(p + 1, "%H:%M:%S", &t);
        if (!p)
            return false;
    }
    p = parse_fraction(p, &fraction);
    if (!parse_zone(p, &east))
        return false;
    *out = ((int64_t)timegm(&t) - east) * 1000000 + fraction;
    return true;
}

int url_time(const struct url *u, const char *name, int64_t now, int64_t *out,
             struct fault *f) {
    const char *value = url_parameter(u, name);
    double age;
    if (!value)
        return 0;
    if (parse_age(value, &age))
        *out = now - (int64_t)(age * 1e6);
    else if (!parse_instant(value, out))
        return fault_set(f, 400,
                         "%s must be a time (2026-06-08T20:00:00Z), an age "
                         "(15m, 2h, 3d, 1w) or seconds ago",
                         name);
    return 0;
}
