/* input.c: see input.h. */
#define _GNU_SOURCE
#include "unpack/input.h"
#include "unpack/kind.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static la_ssize_t call_reader(struct unpack *u) {
    const struct unpack_options *o = u->o;
    ssize_t n = o->read(o->read_arg, u->block, sizeof u->block, u->f);
    u->stopped = n < 0;
    if (n < 0)
        archive_set_error(u->a, EIO, "stopped");
    return n;
}

/* Keeps the first bytes: they tell what a file is that is no tar. */
static la_ssize_t keep_beginning(struct unpack *u, ssize_t n) {
    size_t room = sizeof u->beginning - u->begun;
    size_t more = (size_t)n < room ? (size_t)n : room;
    memcpy(u->beginning + u->begun, u->block, more);
    u->begun += more;
    return n;
}

/* libarchive's read callback. It polls, so that a slow or hanging peer cannot
 * keep the worker past the deadline. */
static la_ssize_t read_input(struct archive *a, void *arg, const void **data) {
    struct unpack *u = arg;
    struct pollfd p = {.fd = u->input, .events = POLLIN};
    *data = u->block;
    while (!unpack_must_stop(u)) {
        if (u->o->read)
            return call_reader(u);
        int ready = poll(&p, 1, 200);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(u->input, u->block, sizeof u->block);
        if (n >= 0)
            return keep_beginning(u, n);
        if (errno != EINTR && errno != EAGAIN) {
            archive_set_error(a, errno, "reading: %s", strerror(errno));
            return -1;
        }
    }
    archive_set_error(a, ECANCELED, "stopped");
    return -1;
}

/* The format of an archive that gave no entries, or NULL. */
static const char *other_kind(const struct unpack *u) {
    return u->result->entries == 0 ? kind_of_bytes(u->beginning, u->begun)
                                   : NULL;
}

static int refuse_kind(struct unpack *u, const char *kind) {
    return fault_set(u->f, 422, "bad archive: no tar, but %s", kind);
}

int input_fault(struct unpack *u) {
    if (u->stopped)
        return -1;
    const char *why = archive_error_string(u->a);
    const char *kind = other_kind(u);
    if (kind)
        return refuse_kind(u, kind);
    return fault_set(u->f, 422, "bad archive: %.300s",
                     why ? why : "not a tar archive");
}

/* Only filters that libraries decode: for some others libarchive starts
 * programs. */
int input_open(struct unpack *u) {
    if (archive_read_support_filter_gzip(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_xz(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(u->a) != ARCHIVE_OK ||
        archive_read_support_format_tar(u->a) != ARCHIVE_OK)
        return fault_set(u->f, 500, "libarchive lacks a filter: %s",
                         archive_error_string(u->a));
    if (archive_read_open(u->a, u, NULL, read_input, NULL) < ARCHIVE_WARN)
        return input_fault(u);
    return 0;
}

int input_check_kind(struct unpack *u) {
    /* Disks and file systems often begin with zeros, which end a tar. */
    const char *kind = u->begun && !u->beginning[0] ? other_kind(u) : NULL;
    return kind ? refuse_kind(u, kind) : 0;
}
