/* input.h: takes the input of a fuzzer apart, and checks. */
#ifndef CONTREE_FUZZ_INPUT_H
#define CONTREE_FUZZ_INPUT_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold. Replays have no sanitizer that would say where. */
#define HOLDS(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,  \
                    #condition);                                               \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next byte; 0 at the end. */
static inline uint8_t input_byte(struct input *in) {
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

/* A number of so many bytes. */
static inline uint64_t input_number(struct input *in, int bytes) {
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | input_byte(in);
    return value;
}

/* What is left, without a NUL behind it. The caller frees it, and so a
 * sanitizer sees what is read beyond it. */
static inline char *input_rest(struct input *in, size_t *size) {
    char *bytes = malloc(in->left ? in->left : 1);
    HOLDS(bytes);
    *size = in->left;
    if (in->left)
        memcpy(bytes, in->at, in->left);
    *in = (struct input){NULL, 0};
    return bytes;
}

/* The text up to `mark`, a NUL or the end. The caller frees it. */
static inline char *input_text(struct input *in, char mark) {
    size_t length = 0;
    while (length < in->left && in->at[length] &&
           in->at[length] != (uint8_t)mark)
        length++;
    char *text = malloc(length + 1);
    HOLDS(text);
    if (length)
        memcpy(text, in->at, length);
    text[length] = '\0';
    in->at = length < in->left ? in->at + length + 1 : NULL;
    in->left -= length < in->left ? length + 1 : length;
    return text;
}

/* Makes the checksums of the headers of a tar archive right, so that headers
 * that were changed are looked at. */
static inline void mend_checksums(char *bytes, size_t size) {
    enum { BLOCK = 512, CHECKSUM = 148, CHECKSUM_END = 156, MAGIC = 257 };
    for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
        unsigned sum = 8 * ' ';
        char text[8];
        if (memcmp(bytes + at + MAGIC, "ustar", 5) != 0)
            continue;
        for (size_t i = 0; i < BLOCK; i++)
            if (i < CHECKSUM || i >= CHECKSUM_END)
                sum += (unsigned char)bytes[at + i];
        snprintf(text, sizeof text, "%06o", sum & 0777777);
        memcpy(bytes + at + CHECKSUM, text, 7);
    }
}

static inline int open_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int count = 0;
    HOLDS(d);
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* A directory of the fuzzer's own, which is made once. It stays; each name is
 * used again. */
static inline const char *fuzz_directory(const char *name) {
    static char path[300]; /* for the whole run */
    const char *base = getenv("TMPDIR");
    if (!*path) {
        snprintf(path, sizeof path, "%.200s/contree-fuzz-%s.XXXXXX",
                 base ? base : "/tmp", name);
        HOLDS(mkdtemp(path));
    }
    return path;
}

#endif
