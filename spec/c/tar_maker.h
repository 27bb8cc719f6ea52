/* tar_maker.h: makes tar archives by hand, so that they can be malformed. */
#ifndef CONTREE_TAR_MAKER_H
#define CONTREE_TAR_MAKER_H

#include "base/buffer.h"
#include "base/fd.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct tar {
    struct buffer b;
};

struct member {
    const char *name, *link, *data;
    char
        type; /* '0' file, '1' hard link, '2' symlink, '3' char, '5' dir, ... */
    unsigned mode, uid;
    long long size; /* the size in the header; 0: that of the data */
};

static inline struct tar tar_begin(void) {
    struct tar t;
    buffer_init(&t.b, 1 << 30);
    return t;
}

static inline void tar_pad(struct tar *t) {
    static const char zeros[512];
    buffer_add(&t->b, zeros, (512 - t->b.length % 512) % 512);
}

static inline void tar_checksum(char *header) {
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum & 0777777);
}

/* Add a ustar header, then the data. */
static inline void tar_raw(struct tar *t, const struct member *m,
                           const void *data, size_t length) {
    char h[513] = "", digits[24];
    size_t name = strlen(m->name);
    memcpy(h, m->name, name > 100 ? 100 : name);
    snprintf(h + 100, 8, "%07o", m->mode ? m->mode & 07777777 : 0644);
    snprintf(h + 108, 8, "%07o", m->uid & 07777777);
    snprintf(h + 116, 8, "%07o", m->uid & 07777777);
    /* Of a size that is too large or negative, the first digits. */
    snprintf(digits, sizeof digits, "%012llo",
             (unsigned long long)(m->size ? m->size : (long long)length));
    memcpy(h + 124, digits, 12);
    snprintf(h + 136, 12, "%011o", 1000000000);
    h[156] = m->type ? m->type : '0';
    if (m->link)
        memcpy(h + 157, m->link, strlen(m->link) > 100 ? 100 : strlen(m->link));
    memcpy(h + 257, "ustar\00000", 8);
    tar_checksum(h);
    buffer_add(&t->b, h, 512);
    buffer_add(&t->b, data, length);
    tar_pad(t);
}

static inline void tar_add(struct tar *t, struct member m) {
    tar_raw(t, &m, m.data ? m.data : "", m.data ? strlen(m.data) : 0);
}

/* Add a pax record "LENGTH KEY=VALUE\n" for the next member. */
static inline void tar_pax(struct tar *t, const char *key, const char *value) {
    size_t rest = strlen(key) + strlen(value) + 3, total = rest + 1;
    char digits[24];
    while ((size_t)snprintf(digits, sizeof digits, "%zu", total) + rest !=
           total)
        total++;
    struct buffer b;
    buffer_init(&b, 1 << 30);
    buffer_addf(&b, "%zu %s=%s\n", total, key, value);
    tar_raw(t, &(struct member){.name = "pax", .type = 'x'}, b.data, b.length);
    buffer_free(&b);
}

/* Return a descriptor of the archive's first `length` bytes. */
static inline int tar_open(const struct tar *t, size_t length) {
    int fd = memfd_create("tar", MFD_CLOEXEC);
    if (write_all(fd, t->b.data, length) < 0)
        perror("memfd");
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static inline int tar_end(struct tar *t) {
    static const char zeros[1024];
    buffer_add(&t->b, zeros, sizeof zeros);
    return tar_open(t, t->b.length);
}

#endif
