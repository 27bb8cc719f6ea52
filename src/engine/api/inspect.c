/* inspect.c: the files of an image (http-api.md §4.19, §4.21, §4.22), and
 * what changed since another one. What reads layers does so in a worker; the
 * archive is in archive.c. */
#define _GNU_SOURCE
#include "api/inspect.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_MAX = 64 << 20,
    /* A grep whose reply grows beyond this says that it is truncated. */
    GREP_BYTES = 32 << 20,
    GREP_TOTAL = 1000,
    GREP_TOTAL_MAX = 1000000,
    GREP_SECONDS = 30,
    GREP_PARAMETERS = 256,
    DIFF_LIMIT = 100000,
    DIFF_LIMIT_MAX = 1000000,
    DIFF_SECONDS = 30
};

/* ---- what all share ---- */

int inspection_use(struct inspection *i, struct engine *e, struct image *image,
                   struct fault *f) {
    int64_t layer = image->layer;
    i->engine = e;
    memcpy(i->image, image->uuid, UUID_SIZE);
    image_clear(image);
    if (!layer)
        return 0;
    if (store_layer_chain(i->engine->store, layer, &i->layers, &i->layer_count,
                          f) < 0)
        return -1;
    i->next = i->engine->inspections;
    if (i->next)
        i->next->link = &i->next;
    i->link = &i->engine->inspections;
    *i->link = i;
    return 0;
}

int inspection_start(struct request *r, struct inspection *i, struct fault *f) {
    struct engine *e = request_engine(r);
    struct image image;
    char uuid[UUID_SIZE];
    const char *path = url_parameter(request_url(r), "path");
    i->request = r;
    if (api_uuid(r, 0, "image", uuid, f) < 0 ||
        store_image_by_uuid(e->store, uuid, &image, f) < 0 ||
        inspection_use(i, e, &image, f) < 0)
        return -1;
    if (path && *path && !(i->path = path_rooted(path, f)))
        return -1;
    return 0;
}

void inspection_clear(struct inspection *i) {
    if (i->link) {
        *i->link = i->next;
        if (i->next)
            i->next->link = i->link;
        i->link = NULL;
    }
    free(i->layers);
    free(i->path);
}

struct view *inspection_view(const struct inspection *i, struct fault *f) {
    return view_open(i->engine->dir_fd, i->layers, i->layer_count,
                     i->engine->ids, f);
}

/* A look that ends in one reply: with JSON or text, or a file. */
struct look {
    struct job job;
    struct inspection at, base;                  /* base: of a diff */
    int (*work)(struct look *l, struct view *v); /* in a worker */
    bool text;                                   /* not JSON */
    struct buffer reply;
    int fd; /* >= 0: the reply */
    int64_t size;
    struct fault fault; /* status 0: none */
    atomic_bool cancelled;
    struct diff_options diff;
    struct grep_options grep;
    const char *strings[3][GREP_PARAMETERS];
    char *copies; /* what grep's strings point into */
};

static void look_free(struct look *l) {
    inspection_clear(&l->at);
    inspection_clear(&l->base);
    buffer_free(&l->reply);
    drop_fd(&l->fd);
    free(l->copies);
    free(l);
}

static void look_work(struct job *j) {
    struct look *l = (struct look *)j;
    struct view *v = inspection_view(&l->at, &l->fault);
    if (v && l->work(l, v) < 0 && !l->fault.status)
        fault_set(&l->fault, 500, "the image cannot be read");
    view_close(v);
}

static void look_done(struct job *j) {
    struct look *l = (struct look *)j;
    struct request *r = l->at.request;
    if (!r) {
        /* The client has gone. */
    } else if (l->fault.status) {
        reply_fault(r, &l->fault);
    } else if (l->fd >= 0) {
        reply_fd(r, "application/octet-stream", steal_fd(&l->fd), l->size);
    } else if (l->text) {
        reply_text(r, "text/plain", &l->reply);
    } else {
        reply_json(r, 200, &l->reply);
    }
    look_free(l);
}

static void on_gone(void *arg) {
    struct look *l = arg;
    l->at.request = NULL;
    l->cancelled = true;
}

/* Prepares a look; NULL after it has replied with why not. */
static struct look *look_new(struct request *r,
                             int (*work)(struct look *, struct view *)) {
    struct look *l = calloc(1, sizeof *l);
    struct fault f;
    if (!l) {
        reply_memory(r);
        return NULL;
    }
    l->fd = -1;
    l->work = work;
    buffer_init(&l->reply, REPLY_MAX);
    if (inspection_start(r, &l->at, &f) == 0)
        return l;
    look_free(l);
    reply_fault(r, &f);
    return NULL;
}

static void look_start(struct look *l) {
    request_on_gone(l->at.request, on_gone, l);
    job_start(&l->at.engine->workers, &l->job, look_work, look_done);
}

static void refuse(struct look *l, const struct fault *f) {
    struct request *r = l->at.request;
    look_free(l);
    reply_fault(r, f);
}

static bool path_given(struct look *l) {
    static const struct fault missing = {400, "path is required"};
    if (l->at.path)
        return true;
    refuse(l, &missing);
    return false;
}

/* ---- list ---- */

struct listing {
    struct view *view;
    struct buffer *out;
};

/* A name if the image has one, else the number (http-api.md §5.13). */
static void add_owner(struct buffer *b, const char *key, const char *name,
                      int64_t id) {
    if (name)
        json_add_string(b, key, name);
    else
        json_add_int(b, key, id);
}

static bool add_item(void *arg, const struct item *i) {
    struct listing *l = arg;
    struct buffer *b = l->out;
    const struct stat *st = &i->st;
    json_open(b, NULL, '{');
    json_add_name(b, "path", i->name);
    json_add_int(b, "size", st->st_size);
    add_owner(b, "owner", view_user(l->view, st->st_uid), st->st_uid);
    add_owner(b, "group", view_group(l->view, st->st_gid), st->st_gid);
    json_add_int(b, "uid", st->st_uid);
    json_add_int(b, "gid", st->st_gid);
    json_add_int(b, "mode", st->st_mode);
    json_add_int(b, "mtime", st->st_mtim.tv_sec);
    json_add_int(b, "nlink", (int64_t)st->st_nlink);
    json_add_bool(b, "is_dir", S_ISDIR(st->st_mode));
    json_add_bool(b, "is_regular", S_ISREG(st->st_mode));
    json_add_bool(b, "is_symlink", S_ISLNK(st->st_mode));
    json_add_bool(b, "is_socket", S_ISSOCK(st->st_mode));
    json_add_bool(b, "is_fifo", S_ISFIFO(st->st_mode));
    json_add_name(b, "symlink_to", i->target);
    json_close(b, '}');
    return !b->failed;
}

static void mode_text(mode_t mode, char out[11]) {
    static const char types[] = "?pc?d?b?-?l?s???", bits[] = "rwxrwxrwx";
    out[0] = types[mode >> 12 & 15];
    for (int i = 0; i < 9; i++)
        out[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
    if (mode & S_ISUID)
        out[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        out[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        out[9] = mode & S_IXOTH ? 't' : 'T';
    out[10] = 0;
}

/* Names are bytes of the image's: what a terminal would obey is not printed. */
static void add_printable(struct buffer *b, const char *text) {
    for (; *text; text++) {
        char c = (unsigned char)*text < ' ' || *text == 127 ? '?' : *text;
        buffer_add(b, &c, 1);
    }
}

static void add_padded(struct buffer *b, const char *name, unsigned id) {
    if (name)
        buffer_addf(b, " %-8s", name);
    else
        buffer_addf(b, " %-8u", id);
}

/* A line as of ls -l. */
static bool add_line(void *arg, const struct item *i) {
    struct listing *l = arg;
    struct buffer *b = l->out;
    const struct stat *st = &i->st;
    struct tm t;
    char mode[11], when[32] = "-";
    mode_text(st->st_mode, mode);
    if (gmtime_r(&st->st_mtim.tv_sec, &t))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &t);
    buffer_addf(b, "%s %3llu", mode, (unsigned long long)st->st_nlink);
    add_padded(b, view_user(l->view, st->st_uid), st->st_uid);
    add_padded(b, view_group(l->view, st->st_gid), st->st_gid);
    buffer_addf(b, " %10lld %s ", (long long)st->st_size, when);
    add_printable(b, i->name);
    if (S_ISLNK(st->st_mode)) {
        buffer_addf(b, " -> ");
        add_printable(b, i->target);
    }
    return buffer_add(b, "\n", 1);
}

static int list_work(struct look *l, struct view *v) {
    struct listing at = {v, &l->reply};
    struct buffer *b = &l->reply;
    if (!l->text) {
        json_open(b, NULL, '{');
        json_add_name(b, "path", l->at.path);
        json_open(b, "files", '[');
    }
    if (inspect_list(v, l->at.path, l->text ? add_line : add_item, &at,
                     &l->fault) < 0)
        return -1;
    if (b->failed)
        return fault_set(&l->fault, 422,
                         "the directory has too many entries to list");
    if (!l->text) {
        json_close(b, ']');
        json_close(b, '}');
    }
    return 0;
}

void inspect_list_get(struct request *r) {
    struct look *l = look_new(r, list_work);
    struct fault f;
    if (!l || !path_given(l))
        return;
    if (url_flag(request_url(r), "text", &l->text, &f) < 0)
        refuse(l, &f);
    else
        look_start(l);
}

/* ---- download ---- */

static int download_work(struct look *l, struct view *v) {
    struct stat st;
    l->fd = inspect_open(v, l->at.path, &st, &l->fault);
    l->size = l->fd < 0 ? 0 : st.st_size;
    return l->fd < 0 ? -1 : 0;
}

void inspect_download(struct request *r) {
    struct look *l = look_new(r, download_work);
    if (l && path_given(l))
        look_start(l);
}

/* ---- grep ---- */

struct matches {
    struct buffer *out;
    bool full;
};

static bool add_match(void *arg, const struct grep_line *m) {
    struct matches *all = arg;
    struct buffer *b = all->out;
    json_open(b, NULL, '{');
    json_add_name(b, "path", m->path);
    json_add_int(b, "line_number", m->number);
    json_add_int(b, "absolute_offset", m->offset);
    json_add_text(b, "line_text", m->text, m->length);
    json_add_int(b, "line_bytes", (int64_t)m->length);
    if (!json_is_utf8(m->text, m->length))
        json_add_base64(b, "line_base64", m->text, m->length);
    json_open(b, "submatches", '[');
    for (size_t i = 0; i < m->submatch_count; i++) {
        const struct grep_submatch *s = &m->submatches[i];
        json_open(b, NULL, '{');
        json_add_text(b, "text", m->text + s->start, s->end - s->start);
        json_add_int(b, "start", (int64_t)s->start);
        json_add_int(b, "end", (int64_t)s->end);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_add_string(b, "type", m->submatch_count ? "match" : "context");
    json_close(b, '}');
    all->full = b->length > GREP_BYTES;
    return !b->failed && !all->full;
}

static int grep_work(struct look *l, struct view *v) {
    struct buffer *b = &l->reply;
    struct matches all = {b, false};
    bool truncated;
    l->grep.deadline.at = monotonic_seconds() + GREP_SECONDS;
    l->grep.deadline.cancelled = &l->cancelled;
    json_open(b, NULL, '{');
    json_add_name(b, "path", l->grep.path_count ? l->grep.paths[0] : "/");
    json_open(b, "patterns", '[');
    for (size_t i = 0; i < l->grep.pattern_count; i++)
        json_add_string(b, NULL, l->grep.patterns[i]);
    json_close(b, ']');
    json_open(b, "matches", '[');
    if (inspect_grep(v, &l->grep, add_match, &all, &truncated, &l->fault) < 0)
        return -1;
    json_close(b, ']');
    json_add_bool(b, "truncated", truncated || all.full);
    json_close(b, '}');
    return 0;
}

enum { PATTERNS, PATHS, GLOBS };

/* Copies the values of a repeated parameter into the look. */
static int copy_values(struct look *l, int slot, const char *name,
                       const char *const **out, size_t *count,
                       struct buffer *copies, struct fault *f) {
    const struct url *u = request_url(l->at.request);
    const char *value;
    size_t at = 0;
    *out = l->strings[slot];
    while ((value = url_next(u, name, &at)) != NULL) {
        char *path CLEANUP(cleanup_free) =
            slot == PATHS ? path_rooted(value, f) : NULL;
        if (slot == PATHS && !path)
            return -1;
        if (*count == GREP_PARAMETERS)
            return fault_set(f, 400, "more than %d of %s", GREP_PARAMETERS,
                             name);
        /* Offsets for now: the buffer may still move. */
        l->strings[slot][(*count)++] = (const char *)copies->length;
        buffer_add(copies, path ? path : value,
                   strlen(path ? path : value) + 1);
    }
    return 0;
}

static int read_strings(struct look *l, struct fault *f) {
    struct grep_options *g = &l->grep;
    struct buffer copies;
    buffer_init(&copies, 1 << 20);
    int result = copy_values(l, PATTERNS, "pattern", &g->patterns,
                             &g->pattern_count, &copies, f) < 0 ||
                         copy_values(l, PATHS, "path", &g->paths,
                                     &g->path_count, &copies, f) < 0 ||
                         copy_values(l, GLOBS, "glob", &g->globs,
                                     &g->glob_count, &copies, f) < 0
                     ? -1
                     : 0;
    l->copies = buffer_take(&copies);
    if (result == 0 && !l->copies)
        return fault_memory(f);
    const size_t counts[] = {g->pattern_count, g->path_count, g->glob_count};
    for (int slot = 0; slot < 3; slot++)
        for (size_t i = 0; i < counts[slot]; i++)
            l->strings[slot][i] = l->copies + (size_t)l->strings[slot][i];
    return result;
}

static int read_case(const struct url *u, enum grep_case *out,
                     struct fault *f) {
    const char *value = url_parameter(u, "case");
    if (!value || strcmp(value, "sensitive") == 0)
        *out = GREP_SENSITIVE;
    else if (strcmp(value, "insensitive") == 0)
        *out = GREP_INSENSITIVE;
    else if (strcmp(value, "smart") == 0)
        *out = GREP_SMART;
    else
        return fault_set(f, 400,
                         "case must be sensitive, insensitive or smart");
    return 0;
}

static int read_grep(struct look *l, struct fault *f) {
    const struct url *u = request_url(l->at.request);
    struct grep_options *g = &l->grep;
    g->max_total = GREP_TOTAL;
    if (read_strings(l, f) < 0 || read_case(u, &g->letter_case, f) < 0 ||
        url_int(u, "max_count", 1, INT32_MAX, &g->max_count, f) < 0 ||
        url_int(u, "max_total", 1, GREP_TOTAL_MAX, &g->max_total, f) < 0 ||
        url_int(u, "before", 0, 1000, &g->before, f) < 0 ||
        url_int(u, "after", 0, 1000, &g->after, f) < 0)
        return -1;
    if (g->pattern_count == 0)
        return fault_set(f, 400, "pattern is required");
    return 0;
}

void inspect_grep_get(struct request *r) {
    struct look *l = look_new(r, grep_work);
    struct fault f;
    if (!l)
        return;
    if (read_grep(l, &f) < 0)
        refuse(l, &f);
    else
        look_start(l);
}

/* ---- diff ---- */

static const char *kind_of(mode_t mode) {
    return S_ISREG(mode)   ? "file"
           : S_ISDIR(mode) ? "directory"
           : S_ISLNK(mode) ? "symlink"
                           : "other";
}

static void add_node(struct buffer *b, const struct stat *st) {
    json_add_string(b, "kind", kind_of(st->st_mode));
    json_add_int(b, "size", st->st_size);
    json_add_int(b, "mode", st->st_mode);
}

static bool add_change(void *arg, const struct change *c) {
    static const char *const words[] = {"added", "changed", "removed"};
    char path[INSPECT_PATH + 1];
    struct buffer *b = arg;
    snprintf(path, sizeof path, "/%s", c->path);
    json_open(b, NULL, '{');
    json_add_name(b, "path", path);
    json_add_string(b, "change", words[c->kind]);
    add_node(b, &c->st);
    if (c->was) {
        json_open(b, "was", '{');
        add_node(b, c->was);
        json_close(b, '}');
    }
    json_close(b, '}');
    return !b->failed;
}

static int diff_work(struct look *l, struct view *v) {
    struct buffer *b = &l->reply;
    bool truncated;
    struct view *base = inspection_view(&l->base, &l->fault);
    if (!base)
        return -1;
    l->diff.deadline.at = monotonic_seconds() + DIFF_SECONDS;
    l->diff.deadline.cancelled = &l->cancelled;
    json_open(b, NULL, '{');
    json_add_string(b, "base", l->base.image);
    json_add_string(b, "image", l->at.image);
    json_open(b, "changes", '[');
    int result =
        inspect_diff(base, v, &l->diff, add_change, b, &truncated, &l->fault);
    view_close(base);
    if (result == 0 && b->failed)
        return fault_set(&l->fault, 422,
                         "there are too many changes to tell; ask with a "
                         "smaller limit");
    json_close(b, ']');
    json_add_bool(b, "truncated", truncated);
    json_close(b, '}');
    return result;
}

/* "/etc/" as "etc". */
static const char *trimmed(char *path) {
    char *end = path + strlen(path);
    while (end > path && end[-1] == '/')
        *--end = 0;
    while (*path == '/')
        path++;
    return path;
}

static int read_diff(struct look *l, struct fault *f) {
    const struct url *u = request_url(l->at.request);
    const char *base = url_parameter(u, "base");
    struct image image;
    l->diff.limit = DIFF_LIMIT;
    l->diff.path = l->at.path ? trimmed(l->at.path) : NULL;
    l->base.engine = l->at.engine;
    if (!base || !*base)
        return fault_set(f, 400, "base is required: a uuid or tag:NAME");
    if (url_int(u, "limit", 1, DIFF_LIMIT_MAX, &l->diff.limit, f) < 0 ||
        store_image_resolve(l->at.engine->store, base, &image, f) < 0)
        return -1;
    return inspection_use(&l->base, l->at.engine, &image, f);
}

void inspect_diff_get(struct request *r) {
    struct look *l = look_new(r, diff_work);
    struct fault f;
    if (!l)
        return;
    if (read_diff(l, &f) < 0)
        refuse(l, &f);
    else
        look_start(l);
}
