/* fault.c: see fault.h. */
#define _GNU_SOURCE
#include "base/fault.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of open_scoped(). */
enum { OPEN_ATTEMPTS = 1000 };

int fault_set(struct fault *f, int status, const char *format, ...) {
    if (f) {
        va_list args;
        va_start(args, format);
        f->status = status;
        vsnprintf(f->message, sizeof f->message, format, args);
        va_end(args);
    }
    return -1;
}

static int fault_error(struct fault *f, int status, int error,
                       const char *format, va_list args) {
    char text[128];
    if (f) {
        f->status = error == ENOSPC || error == EDQUOT   ? 507
                    : error == EMFILE || error == ENFILE ? 503
                                                         : status;
        vsnprintf(f->message, sizeof f->message, format, args);
        size_t used = strlen(f->message);
        snprintf(f->message + used, sizeof f->message - used, ": %s%s",
                 strerror_r(error, text, sizeof text),
                 error == EMFILE ? ". " DESCRIPTORS_FIX : "");
    }
    errno = error;
    return -1;
}

int fault_errno(struct fault *f, const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    fault_error(f, 500, error, format, args);
    va_end(args);
    return -1;
}

/* What the system says of a path that somebody else chose. */
static int path_status(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return 404;
    case EACCES:
    case EPERM:
    case EROFS:
        return 403;
    case EISDIR:
    case ELOOP:
    case EINVAL:
    case ENXIO:
    case ENODEV:
        return 422;
    default:
        return 500;
    }
}

int fault_path(struct fault *f, const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    fault_error(f, path_status(error), error, format, args);
    va_end(args);
    return -1;
}

void cleanup_free(void *p) {
    free(*(void **)p);
}

void *steal_pointer(void *p) {
    void *taken = *(void **)p;
    *(void **)p = NULL;
    return taken;
}

void buffer_init(struct buffer *b, size_t maximum) {
    *b = (struct buffer){.maximum = maximum};
}

static bool buffer_fail(struct buffer *b) {
    free(b->data);
    b->data = NULL;
    b->length = b->capacity = 0;
    b->failed = true;
    return false;
}

/* Makes room for `more` bytes and the final NUL. */
static bool buffer_reserve(struct buffer *b, size_t more) {
    if (b->failed || more > b->maximum - b->length)
        return buffer_fail(b);
    size_t need = b->length + more + 1;
    if (need == 0) /* maximum is SIZE_MAX and all of it is asked for */
        return buffer_fail(b);
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity < 128 ? 128 : b->capacity;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    char *data = realloc(b->data, capacity);
    if (!data)
        return buffer_fail(b);
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool buffer_add(struct buffer *b, const void *data, size_t length) {
    if (!buffer_reserve(b, length))
        return false;
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = 0;
    return true;
}

bool buffer_addf(struct buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !buffer_reserve(b, (size_t)length))
        return buffer_fail(b);
    va_start(args, format);
    vsnprintf(b->data + b->length, (size_t)length + 1, format, args);
    va_end(args);
    b->length += (size_t)length;
    return true;
}

char *buffer_take(struct buffer *b) {
    /* An empty buffer gives "", so that NULL means failure only. */
    if (!b->data && !buffer_reserve(b, 0))
        return NULL;
    b->data[b->length] = 0;
    char *data = b->data;
    b->data = NULL;
    b->length = b->capacity = 0;
    return data;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    b->data = NULL;
    b->length = b->capacity = 0;
}

int write_all(int fd, const void *data, size_t length) {
    const char *p = data;
    while (length) {
        ssize_t n = write(fd, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

ssize_t read_all(int fd, void *data, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t n = read(fd, (char *)data + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int open_scoped(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .resolve = resolve};
    int fd = -1;
    errno = EAGAIN;
    for (int i = 0;
         i < OPEN_ATTEMPTS && fd < 0 && (errno == EAGAIN || errno == EINTR);
         i++)
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    return fd;
}

int write_to_file(const char *path, const char *text) {
    int fd CLEANUP(cleanup_close) = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : write_all(fd, text, strlen(text));
}

double monotonic_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t wall_microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void format_time(int64_t microseconds, char out[32]) {
    time_t seconds = (time_t)(microseconds / 1000000);
    int fraction = (int)(microseconds % 1000000);
    if (fraction < 0) {
        seconds--;
        fraction += 1000000;
    }
    struct tm t;
    /* Only years of four digits have a spelling; the clock never leaves
     * them, a damaged row may. */
    if (!gmtime_r(&seconds, &t) || t.tm_year < -1900 || t.tm_year > 8099) {
        memcpy(out, "1970-01-01T00:00:00.000000Z", 28);
        return;
    }
    size_t used = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + used, 32 - used, ".%06dZ", fraction);
}

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

void log_line(const char *format, ...) {
    char line[1024], when[32];
    int error = errno;
    format_time(wall_microseconds(), when);
    size_t used = (size_t)snprintf(line, sizeof line, "%s ", when);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    size_t length = strlen(line);
    /* A name from an image may hold newlines and escape sequences: they must
     * not forge lines nor reach a terminal. */
    for (size_t i = used; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[length++] = '\n';
    /* One write, so that lines of several threads do not mix. A log that
     * cannot be written is nobody's failure. */
    int ignored = write_all(STDERR_FILENO, line, length);
    (void)ignored;
    errno = error;
}
