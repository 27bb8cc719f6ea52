/* pax.c: see pax.h. */
#define _GNU_SOURCE
#include "base/pax.h"
#include "base/fd.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 512
#define MAX_OCTAL 077777777777LL /* of the 11 digits for size and time */
#define MAX_OCTAL_ID 07777777u   /* of 7 for ids */

/* The ustar header, filled with NULs, which also end and pad the fields. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8],
        type, link[100], magic[8], user[32], group[32], major[8], minor[8],
        prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == RECORD, "a header is one record");

void pax_begin(struct pax *p, int fd) {
    p->fd = fd;
    p->used = 0;
}

int pax_flush(struct pax *p) {
    size_t length = p->used;
    p->used = 0;
    return write_all(p->fd, p->block, length);
}

int pax_data(struct pax *p, const void *data, size_t length) {
    if (length > sizeof p->block - p->used && pax_flush(p) < 0)
        return -1;
    if (length >= sizeof p->block)
        return write_all(p->fd, data, length);
    memcpy(p->block + p->used, data, length);
    p->used += length;
    return 0;
}

static int zeros(struct pax *p, size_t length) {
    static const char none[2 * RECORD];
    return pax_data(p, none, length);
}

int pax_pad(struct pax *p, int64_t length) {
    return zeros(p, (size_t)(-length & (RECORD - 1)));
}

int pax_end(struct pax *p) {
    return zeros(p, 2 * RECORD) < 0 ? -1 : pax_flush(p);
}

/* "LENGTH KEY=VALUE\n"; the length counts its own digits. */
static bool add_record(struct buffer *b, const char *key, const void *value,
                       size_t size) {
    size_t rest = strlen(key) + size + 3, total = rest + 1;
    while ((size_t)snprintf(NULL, 0, "%zu", total) + rest != total)
        total++;
    return buffer_addf(b, "%zu %s=", total, key) &&
           buffer_add(b, value, size) && buffer_add(b, "\n", 1);
}

static bool add_text(struct buffer *b, const char *key, const char *value) {
    return add_record(b, key, value, strlen(value));
}

static bool add_number(struct buffer *b, const char *key, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return add_text(b, key, text);
}

bool pax_attribute(struct buffer *attributes, const char *name,
                   const void *value, size_t size) {
    char key[300];
    snprintf(key, sizeof key, "SCHILY.xattr.%s", name);
    return add_record(attributes, key, value, size);
}

static bool is_ascii(const char *s) {
    while (*s)
        if (*s++ & 0x80)
            return false;
    return true;
}

/* Length of the UTF-8 sequence at `s`, or 0. Overlong forms and surrogates
 * pass: read as bytes, they are right. */
static size_t sequence(const unsigned char *s) {
    size_t length = *s < 0x80             ? 1
                    : (*s & 0xe0) == 0xc0 ? 2
                    : (*s & 0xf0) == 0xe0 ? 3
                    : (*s & 0xf8) == 0xf0 ? 4
                                          : 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static bool is_utf8(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        size_t length = sequence(p);
        if (!length)
            return false;
        p += length;
    }
    return true;
}

/* Put a name into its field, or into a record if it is too long or not ASCII.
 */
static bool put_name(struct buffer *b, const char *key, const char *name,
                     char field[100]) {
    size_t length = strlen(name);
    memcpy(field, name, length < 100 ? length : 100);
    return (length <= 100 && is_ascii(name)) || add_text(b, key, name);
}

static bool put_time(struct buffer *b, const struct timespec *t,
                     char field[12]) {
    int64_t seconds = t->tv_sec;
    long nanoseconds = t->tv_nsec;
    char text[48];
    bool fits = seconds >= 0 && seconds <= MAX_OCTAL;
    snprintf(field, 12, "%011llo", fits ? (long long)seconds : 0LL);
    if (fits && nanoseconds == 0)
        return true;
    bool negative = seconds < 0;
    if (negative && nanoseconds) {
        seconds++;
        nanoseconds = 1000000000 - nanoseconds;
    }
    snprintf(text, sizeof text, "%s%llu.%09ld", negative ? "-" : "",
             negative ? -(unsigned long long)seconds
                      : (unsigned long long)seconds,
             nanoseconds);
    return add_text(b, "mtime", text);
}

static bool put_size(struct buffer *b, int64_t size, char field[12]) {
    snprintf(field, 12, "%011llo", size <= MAX_OCTAL ? (long long)size : 0LL);
    return size <= MAX_OCTAL || add_number(b, "size", size);
}

/* Sandboxes may have two billion ids, and a field holds two million. */
static bool put_id(struct buffer *b, const char *key, unsigned id,
                   char field[8]) {
    bool fits = id <= MAX_OCTAL_ID;
    snprintf(field, 8, "%07o", fits ? id : 0);
    return fits || add_number(b, key, id);
}

static void put_owner(struct buffer *b, struct header *h,
                      const struct pax_member *m) {
    put_id(b, "uid", m->st->st_uid, h->uid);
    put_id(b, "gid", m->st->st_gid, h->gid);
    if (m->user && strlen(m->user) < sizeof h->user)
        memcpy(h->user, m->user, strlen(m->user));
    if (m->group && strlen(m->group) < sizeof h->group)
        memcpy(h->group, m->group, strlen(m->group));
}

static char member_type(const struct pax_member *m) {
    if (m->hard_link)
        return '1';
    switch (m->st->st_mode & S_IFMT) {
    case S_IFDIR:
        return '5';
    case S_IFLNK:
        return '2';
    case S_IFIFO:
        return '6';
    default:
        return '0';
    }
}

static int write_header(struct pax *p, struct header *h) {
    unsigned sum = 0;
    memcpy(h->magic, "ustar\00000", sizeof h->magic);
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < sizeof *h; i++)
        sum += ((unsigned char *)h)[i];
    snprintf(h->checksum, sizeof h->checksum, "%06o", sum);
    return pax_data(p, h, sizeof *h);
}

/* Write the records, which go before their member. */
static int write_records(struct pax *p, const struct buffer *b) {
    struct header h = {.name = "PaxHeaders/x", .type = 'x'};
    if (b->failed) {
        errno = ENOMEM;
        return -1;
    }
    if (b->length == 0)
        return 0;
    snprintf(h.mode, sizeof h.mode, "%07o", 0600);
    snprintf(h.uid, sizeof h.uid, "%07o", 0);
    snprintf(h.gid, sizeof h.gid, "%07o", 0);
    snprintf(h.mtime, sizeof h.mtime, "%011o", 0);
    snprintf(h.size, sizeof h.size, "%011llo", (long long)b->length);
    if (write_header(p, &h) < 0 || pax_data(p, b->data, b->length) < 0)
        return -1;
    return pax_pad(p, (int64_t)b->length);
}

/* GNU sparse 1.0: the content begins with the map, padded to whole blocks. */
static int64_t make_map(const struct pax_member *m, struct buffer *map) {
    int64_t data = 0;
    buffer_addf(map, "%zu\n", m->extent_count);
    for (size_t i = 0; i < m->extent_count; i++) {
        const struct pax_extent *x = &m->extents[i];
        buffer_addf(map, "%lld\n%lld\n", (long long)x->begin,
                    (long long)(x->end - x->begin));
        data += x->end - x->begin;
    }
    while (!map->failed && map->length % RECORD)
        buffer_add(map, "", 1);
    return data + (int64_t)map->length;
}

static void add_sparse(struct buffer *b, const struct pax_member *m) {
    add_text(b, "GNU.sparse.major", "1");
    add_text(b, "GNU.sparse.minor", "0");
    add_text(b, "GNU.sparse.name", m->name);
    add_number(b, "GNU.sparse.realsize", m->st->st_size);
}

/* Fill the header and the records; `size` bytes of content follow. */
static int write_front(struct pax *p, const struct pax_member *m, int64_t size,
                       struct buffer *b) {
    struct header h = {.type = member_type(m)};
    char *name CLEANUP(cleanup_free) = NULL;
    const char *link = m->hard_link ? m->hard_link : m->symlink;
    const char *format = m->extent_count ? "GNUSparseFile.0/%s"
                         : h.type == '5' ? "%s/"
                                         : "%s";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (asprintf(&name, format, m->name) < 0)
        return -1;
#pragma GCC diagnostic pop
    if (!is_utf8(name) || (link && !is_utf8(link)))
        add_text(b, "hdrcharset", "BINARY");
    put_name(b, "path", name, h.name);
    if (link)
        put_name(b, "linkpath", link, h.link);
    put_size(b, size, h.size);
    put_time(b, &m->st->st_mtim, h.mtime);
    put_owner(b, &h, m);
    snprintf(h.mode, sizeof h.mode, "%07o", m->st->st_mode & 07777);
    if (m->extent_count)
        add_sparse(b, m);
    if (m->attributes && m->attributes->length)
        buffer_add(b, m->attributes->data, m->attributes->length);
    if (write_records(p, b) < 0)
        return -1;
    return write_header(p, &h);
}

int pax_member(struct pax *p, const struct pax_member *m) {
    struct buffer records CLEANUP(buffer_free), map CLEANUP(buffer_free);
    buffer_init(&records, 64 << 20);
    buffer_init(&map, 16 << 20);
    int64_t size = member_type(m) == '0' ? m->st->st_size : 0;
    if (m->extent_count)
        size = make_map(m, &map);
    if (m->attributes && m->attributes->failed)
        map.failed = true;
    if (map.failed) {
        errno = ENOMEM;
        return -1;
    }
    if (write_front(p, m, size, &records) < 0)
        return -1;
    return map.length ? pax_data(p, map.data, map.length) : 0;
}
