/* uuid.c: see uuid.h. */
#define _GNU_SOURCE
#include "base/uuid.h"
#include "base/clock.h"
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

static void random_bytes(uint8_t *out, size_t length) {
    while (getrandom(out, length, 0) != (ssize_t)length)
        continue; /* interrupted, before the first seeding at boot only */
}

static void uuid_print(uint8_t b[16], int version, char out[UUID_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    b[6] = (uint8_t)((b[6] & 0x0f) | version << 4);
    b[8] = (b[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = 0;
}

void uuid_random(char out[UUID_SIZE]) {
    uint8_t b[16];
    random_bytes(b, sizeof b);
    uuid_print(b, 4, out);
}

void uuid_ordered(char out[UUID_SIZE]) {
    uint8_t b[16];
    random_bytes(b, sizeof b);
    int64_t now = wall_microseconds();
    uint64_t ms = (uint64_t)(now / 1000);
    /* RFC 9562 §6.2 method 3: the fraction of the millisecond goes into the
     * 12 bits after the version, so that ids made within one sort too. */
    unsigned fraction = (unsigned)(now % 1000) * 4096 / 1000;
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    b[6] = (uint8_t)(fraction >> 8);
    b[7] = (uint8_t)fraction;
    uuid_print(b, 7, out);
}

bool uuid_begins(const char *text, char out[UUID_SIZE]) {
    int i = 0;
    for (; text[i] && i < UUID_SIZE - 1; i++) {
        unsigned char c = (unsigned char)text[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !isxdigit(c))
            return false;
        out[i] = (char)tolower(c);
    }
    out[i] = 0;
    return i > 0 && !text[i];
}

bool uuid_parse(const char *text, char out[UUID_SIZE]) {
    char lower[UUID_SIZE];
    if (!text || !uuid_begins(text, lower) || strlen(lower) != UUID_SIZE - 1)
        return false;
    if (out)
        memcpy(out, lower, UUID_SIZE);
    return true;
}
