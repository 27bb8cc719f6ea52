#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void source_init(struct source *source) {
    *source = (struct source){.kind = SOURCE_NONE, .fd = -1, .length = -1};
}

static bool file_open(struct source *source, struct transfer_error *error) {
    struct stat status;
    const char *path = source->path;
    /* Non-blocking: else opening a FIFO waits. */
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &status) < 0)
        return fail(error, "file", "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(error, "file", "%s: not a regular file", path);
    if (source->offset > status.st_size)
        return fail(error, "file", "%s: the offset is past its end", path);
    if (source->length < 0)
        source->length = status.st_size - source->offset;
    if (source->length > status.st_size - source->offset)
        return fail(error, "file", "%s: shorter than the part to send", path);
    return true;
}

bool source_open(struct source *source, struct transfer_error *error) {
    /* libcurl reads a string by itself, so its digest is made at once. */
    if (source->kind == SOURCE_STRING && source->digest)
        digest_add(source->digest, source->bytes.data, source->bytes.length);
    return source->kind != SOURCE_FILE || file_open(source, error);
}

static enum source_status file_read(struct source *source, char *out,
                                    size_t *size,
                                    struct transfer_error *error) {
    off_t left = source->length - source->sent;
    ssize_t n;
    if ((off_t)*size > left)
        *size = (size_t)left;
    if (*size == 0)
        return SOURCE_OK;
    do
        n = pread(source->fd, out, *size, source->offset + source->sent);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        fail(error, "file", "%s: %s", source->path, strerror(errno));
    else if (n == 0)
        fail(error, "file", "%s: became shorter while it was sent",
             source->path);
    if (n <= 0)
        return SOURCE_FAILED;
    source->sent += n;
    *size = (size_t)n;
    return SOURCE_OK;
}

static enum source_status chunks_read(struct source *source, char *out,
                                      size_t *size) {
    size_t waiting = source_waiting(source);
    if (*size > waiting)
        *size = waiting;
    if (waiting == 0) {
        source->starved = !source->finished;
        return source->starved ? SOURCE_STARVED : SOURCE_OK;
    }
    memcpy(out, source->bytes.data + source->start, *size);
    source->start += *size;
    if (source->start == source->bytes.length)
        source->start = source->bytes.length = 0;
    return SOURCE_OK;
}

enum source_status source_read(struct source *source, char *out, size_t *size,
                               struct transfer_error *error) {
    enum source_status status = SOURCE_OK;
    if (source->kind == SOURCE_FILE)
        status = file_read(source, out, size, error);
    else if (source->kind == SOURCE_CHUNKS)
        status = chunks_read(source, out, size);
    else
        *size = 0;
    if (status == SOURCE_OK && source->digest && *size > 0)
        digest_add(source->digest, out, *size);
    return status;
}

bool source_rewind(struct source *source) {
    if (source->kind != SOURCE_FILE)
        return false;
    source->sent = 0;
    if (source->digest)
        digest_restart(source->digest);
    return true;
}

size_t source_waiting(const struct source *source) {
    return source->bytes.length - source->start;
}

bool source_write(struct source *source, const char *data, size_t size) {
    if (source->start > source->bytes.length / 2) {
        bytes_consume(&source->bytes, source->start);
        source->start = 0;
    }
    return bytes_append(&source->bytes, data, size);
}

void source_close(struct source *source) {
    bytes_free(&source->bytes);
    free(source->path);
    if (source->fd >= 0)
        close(source->fd);
    digest_free(source->digest);
    source_init(source);
}
