/* versions.c: see versions.h. Content, mode, owners and attributes are merged
 * each for itself: one side may edit a file and the other make it executable.
 */
#define _GNU_SOURCE
#include "merge/versions.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "merge/text.h"
#include <stdlib.h>
#include <time.h>

typedef int compare(const struct versions *v, const struct placed *a,
                    const struct placed *b, struct fault *f);

static int same_content(const struct versions *v, const struct placed *a,
                        const struct placed *b, struct fault *f) {
    return placed_same_content(v->dir_fd, v->path, a, b, v->deadline, f);
}

static int same_attributes(const struct versions *v, const struct placed *a,
                           const struct placed *b, struct fault *f) {
    return placed_same_attributes(v->dir_fd, v->path, a, b, f);
}

int versions_same(const struct versions *v, const struct placed *a,
                  const struct placed *b, struct fault *f) {
    if (a->st.st_mode != b->st.st_mode || a->st.st_uid != b->st.st_uid ||
        a->st.st_gid != b->st.st_gid)
        return 0;
    int same = same_content(v, a, b, f);
    return same == 1 ? same_attributes(v, a, b, f) : same;
}

/* Choose the side that alone has a change. Ours, if neither side has one or
 * both have the same. 1: found; 0: both have changed it; -1: fault. */
static int choose(const struct versions *v, compare *same,
                  const struct placed **out, struct fault *f) {
    int result = same(v, v->ours, v->theirs, f);
    *out = v->ours;
    if (result != 0 || !v->base)
        return result;
    result = same(v, v->base, v->theirs, f);
    if (result != 0)
        return result;
    *out = v->theirs;
    return same(v, v->base, v->ours, f);
}

/* The same for a number. */
static bool choose_number(const struct versions *v, unsigned base,
                          unsigned ours, unsigned theirs, unsigned *out) {
    bool same = ours == theirs || (v->base && base == theirs);
    *out = same ? ours : theirs;
    return same || (v->base && base == ours);
}

/* ---- texts ---- */

struct file {
    struct merge_text text;
    char *bytes; /* owned */
};

static bool is_file(const struct placed *p) {
    return p && S_ISREG(p->st.st_mode);
}

/* 1: read; 0: it is too long, or no text; -1: fault. */
static int read_text(const struct versions *v, const struct placed *p,
                     struct file *out, struct fault *f) {
    if (!is_file(p))
        return 1; /* a base that is no file is like an empty one */
    size_t size = (size_t)p->st.st_size;
    if (p->st.st_size > MERGE_TEXT_MAX)
        return 0;
    int fd CLEANUP(cleanup_close) = placed_open(v->dir_fd, p, v->path, 0);
    out->bytes = malloc(size + 1);
    if (!out->bytes)
        return fault_memory(f);
    ssize_t n = fd < 0 ? -1 : read_all(fd, out->bytes, size);
    if (n < 0)
        return fault_errno(f, "reading /%.300s", v->path);
    out->text = (struct merge_text){out->bytes, (size_t)n};
    return merge_is_text(out->text);
}

static int merge_files(const struct versions *v, struct verdict *out,
                       struct fault *f) {
    struct file base = {.text = {"", 0}}, ours = base, theirs = base;
    int result = read_text(v, v->base, &base, f);
    if (result == 1)
        result = read_text(v, v->ours, &ours, f);
    if (result == 1)
        result = read_text(v, v->theirs, &theirs, f);
    if (result == 0)
        out->conflict = "binary";
    if (result == 1) {
        result = merge_texts(base.text, ours.text, theirs.text, &out->text, f);
        out->conflict = result == 0 ? "content" : NULL;
    }
    free(base.bytes);
    free(ours.bytes);
    free(theirs.bytes);
    return result < 0 ? -1 : 0;
}

/* ---- all of it ---- */

static int merge_content(const struct versions *v, struct verdict *out,
                         struct fault *f) {
    int found = choose(v, same_content, &out->content, f);
    if (found != 0)
        return found < 0 ? -1 : 0;
    mode_t type = v->ours->st.st_mode & S_IFMT;
    if (type != (v->theirs->st.st_mode & S_IFMT)) {
        out->conflict = "type";
        return 0;
    }
    if (type != S_IFREG) {
        out->conflict = type == S_IFLNK ? "target" : "type";
        return 0;
    }
    out->content = NULL;
    return merge_files(v, out, f);
}

static int merge_attributes(const struct versions *v, struct verdict *out,
                            struct fault *f) {
    const struct placed *from = out->content ? out->content : v->ours;
    mode_t type = v->ours->st.st_mode & S_IFMT;
    /* Attributes belong to the type: one that changed brings its own. */
    if (type == (v->theirs->st.st_mode & S_IFMT) &&
        (!v->base || type == (v->base->st.st_mode & S_IFMT))) {
        int found = choose(v, same_attributes, &from, f);
        if (found < 0)
            return -1;
        if (!found && !out->conflict)
            out->conflict = "attributes";
    }
    out->like.attributes = *from;
    out->changed = out->changed || from != v->ours;
    return 0;
}

static void merge_numbers(const struct versions *v, struct verdict *out) {
    static const struct stat none;
    const struct stat *b = v->base ? &v->base->st : &none;
    const struct stat *o = &v->ours->st, *t = &v->theirs->st;
    struct stat *st = &out->like.st;
    unsigned mode, uid, gid;
    bool same_mode = choose_number(v, b->st_mode & 07777, o->st_mode & 07777,
                                   t->st_mode & 07777, &mode);
    bool same_owner = choose_number(v, b->st_uid, o->st_uid, t->st_uid, &uid) &
                      choose_number(v, b->st_gid, o->st_gid, t->st_gid, &gid);
    if (!out->conflict && (!same_mode || !same_owner))
        out->conflict = !same_mode ? "mode" : "owner";
    st->st_mode = (st->st_mode & S_IFMT) | mode;
    st->st_uid = uid;
    st->st_gid = gid;
    out->changed = out->changed || mode != (o->st_mode & 07777) ||
                   uid != o->st_uid || gid != o->st_gid;
}

int versions_merge(const struct versions *v, struct verdict *out,
                   struct fault *f) {
    *out = (struct verdict){.content = v->ours};
    buffer_init(&out->text, 3 * (size_t)MERGE_TEXT_MAX + 1);
    if (merge_content(v, out, f) < 0)
        return -1;
    out->changed = out->content != v->ours;
    out->like.st = out->content ? out->content->st : v->ours->st;
    if (!out->content)
        clock_gettime(CLOCK_REALTIME, &out->like.st.st_mtim);
    if (merge_attributes(v, out, f) < 0)
        return -1;
    merge_numbers(v, out);
    return 0;
}
