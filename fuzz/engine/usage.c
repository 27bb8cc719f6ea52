/* usage.c: whatever a program in a sandbox calls itself, what the kernel tells
 * of it is found behind that name; and whatever stands in those texts, they are
 * read to their end. The input is a byte (whether the text is the kernel's),
 * numbers, and a name or a text. */
#define _GNU_SOURCE
#include "../input.h"
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_text(void);

/* All files have the text of this input. */
#define open(path, flags) ((void)(path), open_text())
#include "../../src/engine/sandbox/usage.c"
#undef open

static int text_file = -1; /* made once */

static int open_text(void) {
    HOLDS(lseek(text_file, 0, SEEK_SET) == 0);
    return dup(text_file);
}

static void set_text(const char *text, size_t length) {
    if (text_file < 0)
        text_file = memfd_create("text", MFD_CLOEXEC);
    HOLDS(ftruncate(text_file, 0) == 0 &&
          pwrite(text_file, text, length, 0) == (ssize_t)length);
}

static void set_stat(const char *name, const uint32_t n[4]) {
    char text[512];
    int length = snprintf(text, sizeof text,
                          "7 (%.15s) S 1 7 7 0 -1 4194560 1 2 3 4 %u %u %u %u "
                          "20 0 1 0 5 6 7",
                          name, n[0], n[1], n[2], n[3]);
    set_text(text, (size_t)length);
}

/* The kernel writes no newline of a name here. */
static void set_status(char *name, unsigned depth) {
    char text[512];
    for (char *c = name; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    int length =
        snprintf(text, sizeof text, "Name:\t%.15s\nUmask:\t0022\nNSpid:", name);
    for (unsigned i = 0; i < depth; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "\t%u",
                           9 - i);
    length +=
        snprintf(text + length, sizeof text - (size_t)length, "\nNSpgid:\t1\n");
    set_text(text, (size_t)length);
}

static void set_network(const uint32_t n[4]) {
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "Inter-|   Receive\n face |bytes packets\n"
                          "    lo: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n"
                          "  eth0: %u 1 0 0 0 0 0 0 %u 1 0 0 0 0 0 0\n"
                          "  tun0:%u 1 0 0 0 0 0 0 %u 1 0 0 0 0 0 0\n",
                          n[0], n[1], n[2], n[3]);
    set_text(text, (size_t)length);
}

static void check_names(char *name, const uint32_t n[4], char *text) {
    struct usage u = {.cpu_seconds = 0};
    pid_t innermost = 0;
    double ticks = (double)n[0] + n[1] + n[2] + n[3];
    set_stat(name, n);
    double told = cpu_of(7, text, TEXT_MAX) * (double)sysconf(_SC_CLK_TCK);
    HOLDS(fabs(told - ticks) < 0.5);
    unsigned depth = n[0] % 5;
    set_status(name, depth);
    HOLDS(depth_of(7, &innermost, text) == (int)depth);
    HOLDS(depth == 0 || innermost == (pid_t)(10 - depth));
    set_network(n);
    add_network(&u, 7);
    HOLDS(u.received_bytes == (int64_t)n[0] + n[2]);
    HOLDS(u.sent_bytes == (int64_t)n[1] + n[3]);
}

/* The kernel has no numbers of more digits for processes. */
static void cut_numbers(char *bytes, size_t length) {
    for (size_t i = 0, digits = 0; i < length; i++) {
        digits = bytes[i] >= '0' && bytes[i] <= '9' ? digits + 1 : 0;
        if (digits > 12)
            bytes[i] = ' ';
    }
}

static void read_all_of(char *bytes, size_t length, char *text) {
    struct usage u = {.cpu_seconds = 0};
    pid_t innermost = 0;
    cut_numbers(bytes, length);
    set_text(bytes, length);
    HOLDS(cpu_of(7, text, TEXT_MAX) >= 0);
    memory_of(7, text, TEXT_MAX);
    depth_of(7, &innermost, text);
    add_network(&u, 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    char *text = malloc(TEXT_MAX);
    uint32_t n[4];
    size_t length;
    HOLDS(text);
    bool whole = input_byte(&in) & 1;
    for (int i = 0; i < 4; i++)
        n[i] = (uint32_t)input_number(&in, 4);
    if (whole) {
        char *name = input_text(&in, '\0');
        check_names(name, n, text);
        free(name);
    } else {
        char *bytes = input_rest(&in, &length);
        read_all_of(bytes, length < 4096 ? length : 4096, text);
        free(bytes);
    }
    free(text);
    return 0;
}
