/* log.c: see log.h. */
#define _GNU_SOURCE
#include "base/log.h"
#include "base/clock.h"
#include "base/fd.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
    /* One write, so that lines of several threads do not mix. Its failure is
     * ignored. */
    int ignored = write_all(STDERR_FILENO, line, length);
    (void)ignored;
    errno = error;
}
