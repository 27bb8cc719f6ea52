#include "tar.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The header of POSIX; all its fields are text, or zeros. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
    char type, target[100], magic[6], version[2], rest[247];
};

static const char zeros[2 * TAR_BLOCK];

/* Octal digits and a NUL, or base 256 if the number is too large for these. */
static void put_number(char *field, size_t width, uint64_t value) {
    size_t i = width - 1;
    if (value >> 3 * (width - 1) == 0) {
        while (i-- > 0) {
            field[i] = (char)('0' + (value & 7));
            value >>= 3;
        }
        return;
    }
    for (; i > 0; i--) {
        field[i] = (char)(value & 255);
        value >>= 8;
    }
    field[0] = (char)128;
}

/* The field may be filled entirely, without a NUL. */
static void put_text(char *field, size_t width, const char *text) {
    size_t length = strlen(text);
    memcpy(field, text, length < width ? length : width);
}

static void put_sum(struct header *h) {
    const unsigned char *bytes = (const unsigned char *)h;
    unsigned sum = 0;
    memset(h->sum, ' ', sizeof h->sum);
    for (size_t i = 0; i < sizeof *h; i++)
        sum += bytes[i];
    snprintf(h->sum, 7, "%06o", sum);
}

static bool put_header(struct bytes *out, const struct tar_entry *e) {
    struct header h = {.type = e->type};
    _Static_assert(sizeof h == TAR_BLOCK, "a header is one block");
    put_text(h.name, sizeof h.name, e->name);
    put_number(h.mode, sizeof h.mode, e->mode);
    put_number(h.uid, sizeof h.uid, e->uid);
    put_number(h.gid, sizeof h.gid, e->gid);
    put_number(h.size, sizeof h.size, (uint64_t)e->size);
    put_number(h.mtime, sizeof h.mtime, e->mtime > 0 ? (uint64_t)e->mtime : 0);
    put_text(h.target, sizeof h.target, e->target ? e->target : "");
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    put_sum(&h);
    return bytes_append(out, &h, sizeof h);
}

/* A text that is too long for its field comes before the header, as a file. */
static bool put_long(struct bytes *out, const char *text, char type) {
    size_t size = strlen(text) + 1;
    const struct tar_entry e = {
        .name = "././@LongLink", .type = type, .size = (off_t)size};
    return size <= sizeof((struct header *)0)->name + 1 ||
           (put_header(out, &e) && bytes_append(out, text, size) &&
            tar_pad(out, (off_t)size));
}

bool tar_header(struct bytes *out, const struct tar_entry *entry) {
    return put_long(out, entry->name, 'L') &&
           put_long(out, entry->target ? entry->target : "", 'K') &&
           put_header(out, entry);
}

bool tar_pad(struct bytes *out, off_t size) {
    size_t over = (size_t)(size % TAR_BLOCK);
    return over == 0 || bytes_append(out, zeros, TAR_BLOCK - over);
}

bool tar_end(struct bytes *out) {
    return bytes_append(out, zeros, sizeof zeros);
}
