#define _GNU_SOURCE
#include "init/keystore.h"

#include <endian.h>
#include <errno.h>
#include <resolv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* JKS: a header, entries, and a digest that only a password proves. It is the
 * one format that all Javas read without one and that needs no cryptography. */
enum { MAGIC = 0xfeedfeed, VERSION = 2, TRUSTED = 2, DIGEST_BYTES = 20 };
static const char begin[] = "-----BEGIN CERTIFICATE-----";
static const char end[] = "-----END CERTIFICATE-----";
static const char type[] = "X.509";

struct writer {
    unsigned char *data;
    size_t length, room;
    uint32_t count;
};

static void add(struct writer *w, const void *data, size_t length) {
    if (length <= w->room - w->length) {
        memcpy(w->data + w->length, data, length);
        w->length += length;
    }
}

static void add_number(struct writer *w, uint32_t number) {
    number = htobe32(number);
    add(w, &number, sizeof number);
}

static void add_text(struct writer *w, const char *text) {
    uint16_t length = htobe16((uint16_t)strlen(text));
    add(w, &length, sizeof length);
    add(w, text, strlen(text));
}

/* The certificate whose base64 is `text`. */
static void add_entry(struct writer *w, const char *text,
                      unsigned char *certificate, size_t room) {
    char alias[16];
    int length = b64_pton(text, certificate, room);
    if (length <= 0)
        return;
    snprintf(alias, sizeof alias, "%u", w->count++);
    add_number(w, TRUSTED);
    add_text(w, alias);
    add_number(w, 0); /* when it was made: two halves */
    add_number(w, 0);
    add_text(w, type);
    add_number(w, (uint32_t)length);
    add(w, certificate, (size_t)length);
}

static void add_all(struct writer *w, char *pem, unsigned char *certificate,
                    size_t room) {
    char *from, *to;
    while ((from = strstr(pem, begin)) && (to = strstr(from, end))) {
        *to = '\0';
        add_entry(w, from + sizeof begin - 1, certificate, room);
        pem = to + 1;
    }
}

static int write_all(int fd, const unsigned char *data, size_t length) {
    while (length > 0) {
        ssize_t done = write(fd, data, length);
        if (done < 0 && errno != EINTR)
            return -1;
        data += done > 0 ? done : 0;
        length -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

int keystore_write(int fd, char *pem, size_t length) {
    static const unsigned char digest[DIGEST_BYTES];
    enum { HEADER = 12 };
    /* What an entry has beside the certificate is shorter than the lines around
     * its base64; so is all of them than the text. */
    struct writer w = {.room = length + HEADER + DIGEST_BYTES};
    unsigned char *certificate = malloc(length + 1);
    int rc = -1;
    w.data = malloc(w.room);
    if (certificate && w.data) {
        add_number(&w, MAGIC);
        add_number(&w, VERSION);
        add_number(&w, 0); /* their number is known at the end */
        add_all(&w, pem, certificate, length);
        uint32_t count = htobe32(w.count);
        memcpy(w.data + HEADER - sizeof count, &count, sizeof count);
        add(&w, digest, sizeof digest);
        rc = write_all(fd, w.data, w.length);
    }
    free(certificate);
    free(w.data);
    return rc;
}
