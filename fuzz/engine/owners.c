/* owners.c: the names of users and groups are those of the first line with the
 * id in the image's /etc/passwd and /etc/group, whatever these have. */
#define _GNU_SOURCE
#include "view/owners.h"
#include "../input.h"
#include "view/view.h"
#include <fcntl.h>
#include <unistd.h>

enum { IDS = 12 };

static int make_directory(void) {
    int dir = open(fuzz_directory("owners"), O_RDONLY | O_DIRECTORY);
    HOLDS(dir >= 0 && mkdirat(dir, "l", 0755) == 0);
    HOLDS(mkdirat(dir, "l/0", 0755) == 0 && mkdirat(dir, "l/1", 0755) == 0 &&
          mkdirat(dir, "l/1/etc", 0755) == 0);
    return dir;
}

static void write_file(int dir, const char *path, const char *text,
                       size_t size) {
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    HOLDS(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    close(fd);
}

/* Whether the text has the line "NAME:ANYTHING:ID", and what else; a NUL ends
 * a line for its reader. */
static bool names(const char *text, size_t size, const char *name,
                  unsigned id) {
    size_t length = strlen(name);
    for (const char *line = text, *end = text + size; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next : end;
        char copy[4097] = "", *at = copy, *stop;
        memcpy(copy, line, (size_t)(next - line));
        if (strncmp(copy, name, length) == 0 && copy[length] == ':' &&
            (at = strchr(copy + length + 1, ':')) &&
            strtoul(at + 1, &stop, 10) == id && (!*stop || *stop == ':'))
            return true;
        line = next + 1;
    }
    return false;
}

static void check(const char *name, const char *text, size_t size,
                  unsigned id) {
    if (!name)
        return;
    HOLDS(*name && !strpbrk(name, ": \n\t"));
    HOLDS(names(text, size, name, id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int dir = -1; /* made once */
    static const int64_t layers[] = {1};
    struct input in = {data, size};
    struct fault f;
    size_t length;
    if (dir < 0)
        dir = make_directory();
    char *text = input_rest(&in, &length);
    length = length < 4096 ? length : 4096;
    write_file(dir, "l/1/etc/passwd", text, length);
    write_file(dir, "l/1/etc/group", text, length);
    struct view *v = view_open(dir, layers, 1, (struct id_range){0, 65536}, &f);
    HOLDS(v);
    for (unsigned id = 0; id < IDS; id++) {
        check(view_user(v, id), text, length, id);
        check(view_group(v, id), text, length, id);
    }
    view_user(v, UINT32_MAX);
    view_close(v);
    free(text);
    return 0;
}
