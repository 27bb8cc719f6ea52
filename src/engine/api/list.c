/* list.c: GET /inspect/{uuid}/list (http-api.md §4.21): a directory of an
 * image, as JSON or in the form of ls -l. */
#define _GNU_SOURCE
#include "api/inspect.h"
#include "api/inspection.h"
#include "view/owners.h"
#include "view/walk.h"
#include <time.h>

struct directory_listing {
    struct view *view;
    struct buffer *out;
};

/* Add the name of a user or group, or the number if the image names none
 * (http-api.md §5.13). */
static void add_owner(struct buffer *b, const char *key, const char *name,
                      int64_t id) {
    if (name)
        json_add_string(b, key, name);
    else
        json_add_int(b, key, id);
}

static bool add_item(void *arg, const struct item *i) {
    struct directory_listing *d = arg;
    struct buffer *b = d->out;
    const struct stat *st = &i->st;
    json_open(b, NULL, '{');
    json_add_name(b, "path", i->name);
    json_add_int(b, "size", st->st_size);
    add_owner(b, "owner", view_user(d->view, st->st_uid), st->st_uid);
    add_owner(b, "group", view_group(d->view, st->st_gid), st->st_gid);
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

/* Replace control characters: the image chooses the names, and a terminal would
 * obey them. */
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

/* Add a line in the form of ls -l. */
static bool add_line(void *arg, const struct item *i) {
    struct directory_listing *d = arg;
    struct buffer *b = d->out;
    const struct stat *st = &i->st;
    struct tm t;
    char mode[11], when[32] = "-";
    mode_text(st->st_mode, mode);
    if (gmtime_r(&st->st_mtim.tv_sec, &t))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &t);
    buffer_addf(b, "%s %3llu", mode, (unsigned long long)st->st_nlink);
    add_padded(b, view_user(d->view, st->st_uid), st->st_uid);
    add_padded(b, view_group(d->view, st->st_gid), st->st_gid);
    buffer_addf(b, " %10lld %s ", (long long)st->st_size, when);
    add_printable(b, i->name);
    if (S_ISLNK(st->st_mode)) {
        buffer_addf(b, " -> ");
        add_printable(b, i->target);
    }
    return buffer_add(b, "\n", 1);
}

static int list_work(struct inspect_job *i, struct view *v) {
    struct directory_listing at = {v, &i->reply};
    struct buffer *b = &i->reply;
    if (!i->text) {
        json_open(b, NULL, '{');
        json_add_name(b, "path", i->at.path);
        json_open(b, "files", '[');
    }
    if (inspect_list(v, i->at.path, i->text ? add_line : add_item, &at,
                     &i->fault) < 0)
        return -1;
    if (b->failed)
        return fault_set(&i->fault, 422,
                         "the directory has too many entries to list");
    if (!i->text) {
        json_close(b, ']');
        json_close(b, '}');
    }
    return 0;
}

void inspect_list_get(struct request *r) {
    struct inspect_job *i = inspect_job_new(r, sizeof *i, list_work);
    struct fault f;
    if (!i || !inspect_job_has_path(i))
        return;
    if (url_flag(request_url(r), "text", &i->text, &f) < 0)
        inspect_job_refuse(i, &f);
    else
        inspect_job_start(i);
}
