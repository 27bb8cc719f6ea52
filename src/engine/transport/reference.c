/* reference.c: see reference.h. */
#include "transport/reference.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "docker://"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SMALL "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
enum { TAG_LENGTH = 128 };

static int refuse(struct fault *f, const char *url, const char *why) {
    return fault_set(f, 400, "registry.url \"%.200s\" %s", url, why);
}

/* Parse a host that is an address, as IPv6. False: it is a name. */
static bool host_address(const char *host, struct in6_addr *out) {
    char text[REFERENCE_MAX];
    struct in_addr four;
    bool bracket = *host == '[';
    size_t length = strcspn(host + bracket, bracket ? "]" : ":");
    snprintf(text, sizeof text, "%.*s", (int)length, host + bracket);
    if (bracket)
        return inet_pton(AF_INET6, text, out) == 1;
    if (inet_pton(AF_INET, text, &four) != 1)
        return false;
    *out = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&out->s6_addr[12], &four, 4);
    return true;
}

static bool is_loopback(const char *host) {
    struct in6_addr a;
    size_t name = strlen("localhost");
    if (strncmp(host, "localhost", name) == 0)
        return host[name] == ':' || !host[name];
    if (!host_address(host, &a))
        return false;
    return IN6_IS_ADDR_LOOPBACK(&a) ||
           (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

static bool is_no_place(const char *host) {
    struct in6_addr a;
    if (!host_address(host, &a))
        return false;
    const unsigned char *four = &a.s6_addr[12];
    if (!IN6_IS_ADDR_V4MAPPED(&a))
        return IN6_IS_ADDR_LINKLOCAL(&a) || IN6_IS_ADDR_MULTICAST(&a) ||
               IN6_IS_ADDR_UNSPECIFIED(&a);
    return (four[0] == 169 && four[1] == 254) || four[0] == 0 || four[0] >= 224;
}

static bool is_digest(const char *text) {
    return strncmp(text, "sha256:", 7) == 0 &&
           strlen(text) == DIGEST_SIZE - 1 &&
           strspn(text + 7, "0123456789abcdef") == 64;
}

/* Split what follows the scheme at its host ("" if it has none); return the
 * rest. */
static const char *split_host(const char *rest, char host[REFERENCE_MAX]) {
    size_t length = strcspn(rest, "/");
    snprintf(host, REFERENCE_MAX, "%.*s", (int)length, rest);
    if (rest[length] &&
        (strpbrk(host, ".:[" CAPITALS) || strcmp(host, "localhost") == 0))
        return rest + length + 1;
    *host = 0;
    return rest;
}

static bool is_written_well(const char *rest) {
    for (const char *p = rest; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-/:@[]", *p))
            return false;
    return *rest && strlen(rest) + strlen(SCHEME) < REFERENCE_MAX;
}

/* Skip a part of a repository's name: letters and digits, and between them one
 * of . _ __ or any number of -. NULL: there is none. */
static const char *after_part(const char *p) {
    for (;;) {
        size_t plain = strspn(p, SMALL DIGITS);
        if (plain == 0)
            return NULL;
        p += plain;
        size_t dashes = strspn(p, "-");
        if (*p == '.')
            p++;
        else if (*p == '_')
            p += 1 + (p[1] == '_');
        else if (dashes)
            p += dashes;
        else
            return p;
    }
}

static bool is_path(const char *path) {
    while ((path = after_part(path)) && *path == '/')
        path++;
    return path && !*path;
}

static bool is_tag(const char *tag) {
    size_t length = strlen(tag);
    return length && length <= TAG_LENGTH && *tag != '.' && *tag != '-' &&
           strspn(tag, SMALL CAPITALS DIGITS "_.-") == length;
}

/* End the text at `mark`; return what follows, or NULL without a mark. */
static char *cut(char *mark) {
    if (mark)
        *mark++ = 0;
    return mark;
}

static int fill_reference(const char *url, const char *name, const char *tag,
                          const char *digest, struct reference *out,
                          struct fault *f) {
    bool host = *out->host;
    out->loopback = is_loopback(out->host);
    if (!host)
        snprintf(out->host, sizeof out->host, "docker.io");
    if (digest)
        snprintf(out->digest, sizeof out->digest, "%s", digest);
    const char *more = digest ? digest : tag ? tag : "latest";
    int length = snprintf(out->name, sizeof out->name, SCHEME "%s%s%s",
                          host ? out->host : "", host ? "/" : "", name);
    if (length >= (int)sizeof out->name ||
        snprintf(out->full, sizeof out->full, "%s%s%s", out->name,
                 digest ? "@" : ":", more) >= (int)sizeof out->full)
        return refuse(f, url, "is too long");
    return 0;
}

int reference_parse(const char *url, struct reference *out, struct fault *f) {
    const char *rest = url + strlen(SCHEME);
    *out = (struct reference){.host = ""};
    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0 || !is_written_well(rest))
        return refuse(f, url,
                      "is not docker://HOST/NAME:TAG (what is on this machine "
                      "is imported with: contree-engine import)");
    const char *path = split_host(rest, out->host);
    char name[REFERENCE_MAX];
    snprintf(name, sizeof name, "%s", path);
    char *digest = cut(strchr(name, '@'));
    if (strchr(out->host, '@') || (digest && !is_digest(digest)))
        return refuse(f, url,
                      "has an @ that no sha256 digest follows (sha256: and 64 "
                      "of 0-9 a-f); a login belongs into registry.credentials");
    char *slash = strrchr(name, '/');
    char *tag = cut(strchr(slash ? slash : name, ':'));
    if (tag && !is_tag(tag))
        return refuse(f, url,
                      "has a malformed tag: a tag has up to 128 letters, "
                      "digits, _ . and -, and does not begin with . or -");
    if (!is_path(name))
        return refuse(f, url,
                      "is not docker://HOST/NAME:TAG (a name has a-z 0-9, and "
                      "between them . _ or -; only tags have capitals)");
    if (is_no_place(out->host))
        return refuse(f, url, "leads to an address that no registry has");
    return fill_reference(url, name, tag, digest, out, f);
}
