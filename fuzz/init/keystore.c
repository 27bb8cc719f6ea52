/* keystore.c: whatever an image has for certificates, what Java reads is a
 * whole keystore whose certificates stand in the text as base64. */
#define _GNU_SOURCE
#include "init/keystore.h"
#include "../input.h"
#include <ctype.h>
#include <resolv.h>
#include <sys/mman.h>
#include <unistd.h>

/* The text without blanks, as base64 is read. */
static char *without_blanks(const char *text) {
    char *out = malloc(strlen(text) + 1), *end = out;
    HOLDS(out);
    for (; *text; text++)
        if (!isspace((unsigned char)*text))
            *end++ = *text;
    *end = '\0';
    return out;
}

static void check_text(struct input *in, const char *text) {
    size_t length = input_number(in, 2);
    HOLDS(length == strlen(text) && in->left >= length &&
          memcmp(in->at, text, length) == 0);
    in->at += length;
    in->left -= length;
}

static void check_certificate(struct input *in, const char *text) {
    size_t length = input_number(in, 4);
    char *base64 = malloc(2 * length + 8);
    HOLDS(length > 0 && length <= in->left && base64);
    HOLDS(b64_ntop(in->at, length, base64, 2 * length + 8) > 0);
    HOLDS(strstr(text, base64));
    free(base64);
    in->at += length;
    in->left -= length;
}

static void check_store(struct input *in, const char *text) {
    char alias[16];
    HOLDS(input_number(in, 4) == 0xfeedfeed && input_number(in, 4) == 2);
    uint64_t count = input_number(in, 4);
    for (uint64_t i = 0; i < count; i++) {
        HOLDS(in->left > 0 && input_number(in, 4) == 2);
        snprintf(alias, sizeof alias, "%u", (unsigned)i);
        check_text(in, alias);
        HOLDS(input_number(in, 8) == 0);
        check_text(in, "X.509");
        check_certificate(in, text);
    }
    HOLDS(in->left == 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int out = -1; /* made once */
    static char made[1 << 16];
    struct input in = {data, size};
    char *pem = input_text(&in, '\0'), *text = without_blanks(pem);
    if (out < 0)
        out = memfd_create("keystore", MFD_CLOEXEC);
    HOLDS(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
    HOLDS(keystore_write(out, pem, strlen(pem)) == 0);
    ssize_t got = pread(out, made, sizeof made, 0);
    HOLDS(got > 0 && got < (ssize_t)sizeof made);
    check_store(&(struct input){(uint8_t *)made, (size_t)got}, text);
    free(pem);
    free(text);
    return 0;
}
