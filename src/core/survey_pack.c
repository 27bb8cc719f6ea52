/* survey_pack.c: what has changed as a layer: files that are added or changed,
 * and whiteouts for those that are gone. */
#include "clock.h"
#include "lua_compat.h"
#include "survey.h"
#include "tar.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENOUGH = 256 * 1024, /* bytes of a piece */
    BLOCK = 64 * 1024    /* of a file, between looks at the clock */
};

static bool is_wanted(lua_State *L, const char *path) {
    bool wanted = true;
    compat_gettable(L, 1);
    lua_getfield(L, -1, "skip");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, path);
        wanted = !lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return wanted;
}

/* ---- files ---- */

static bool add(lua_State *L, struct survey *s, const struct survey_file *f,
                char type, const char *target) {
    const struct tar_entry entry = {
        .name = survey_name(s, f),
        .target = target,
        .type = type,
        .mode = f->facts.mode & 07777,
        .size = type == '0' ? s->left : 0,
        .mtime = (time_t)(f->facts.touched / 1000000000),
    };
    return tar_header(&s->out, &entry) || survey_no_memory(L);
}

/* A file that cannot be read any more is left out, and looked at again by the
 * next survey. */
static bool leave_out(struct survey *s, struct survey_file *f) {
    f->state = FILE_SKIPPED;
    f->packed = false;
    f->why = errno == ENOENT || errno == ELOOP || errno == ENOTDIR
                 ? "it has changed meanwhile"
                 : strerror(errno);
    s->unsettled = s->unsettled || errno == ENOENT;
    s->at++;
    return true;
}

static bool begin_file(lua_State *L, struct survey *s, struct survey_file *f) {
    char target[PATH_MAX];
    if (S_ISDIR(f->facts.mode)) {
        s->at++;
        return add(L, s, f, '5', NULL);
    }
    if (S_ISLNK(f->facts.mode)) {
        if (!survey_link(s, f, target, sizeof target))
            return leave_out(s, f);
        s->at++;
        return add(L, s, f, '2', target);
    }
    if (!survey_open(s, f))
        return leave_out(s, f);
    f->facts = facts_of(&s->opened);
    return add(L, s, f, '0', NULL);
}

/* Adds zeros where a file has become shorter than its header says. */
static bool fill(struct survey *s, struct survey_file *f) {
    size_t part = s->left < BLOCK ? (size_t)s->left : BLOCK;
    if (!bytes_reserve(&s->out, part))
        return false;
    memset(s->out.data + s->out.length, 0, part);
    s->out.length += part;
    s->left -= (off_t)part;
    f->torn = true;
    return true;
}

static bool add_part(lua_State *L, struct survey *s, struct survey_file *f) {
    size_t part = s->left < BLOCK ? (size_t)s->left : BLOCK;
    ssize_t n = 0;
    if (part > 0) {
        if (!bytes_reserve(&s->out, part))
            return survey_no_memory(L);
        do
            n = read(s->fd, s->out.data + s->out.length, part);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return survey_failed(L, survey_name(s, f));
        if (n == 0 && !fill(s, f))
            return survey_no_memory(L);
        digest_add(s->digest, s->out.data + s->out.length, (size_t)n);
        s->out.length += (size_t)n;
        s->left -= n;
    }
    if (s->left > 0)
        return true;
    if (!tar_pad(&s->out, s->opened.st_size))
        return survey_no_memory(L);
    survey_shut(s, f);
    s->unsettled = s->unsettled || f->torn;
    s->at++;
    return true;
}

static bool pack_file(lua_State *L, struct survey *s) {
    struct survey_file *f = &s->files[s->at];
    if (s->fd >= 0)
        return add_part(L, s, f);
    if ((f->state == FILE_ADDED || f->state == FILE_CHANGED) &&
        is_wanted(L, survey_name(s, f))) {
        f->packed = true;
        return begin_file(L, s, f);
    }
    f->packed = false;
    s->at++;
    return true;
}

/* ---- whiteouts ---- */

static bool is_there(enum file_state state) {
    return state != FILE_GONE && state != FILE_SKIPPED;
}

/* The first file whose path is not before `path`. */
static size_t lower_bound(const struct survey *s, const char *path) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (facts_compare(survey_name(s, &s->files[middle]), path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_file(const struct survey *s, const char *path) {
    size_t at = lower_bound(s, path);
    return at < s->count && is_there(s->files[at].state) &&
           strcmp(survey_name(s, &s->files[at]), path) == 0;
}

static bool has_below(const struct survey *s, const char *prefix) {
    size_t length = strlen(prefix);
    for (size_t at = lower_bound(s, prefix);
         at < s->count &&
         strncmp(survey_name(s, &s->files[at]), prefix, length) == 0;
         at++)
        if (is_there(s->files[at].state))
            return true;
    return false;
}

static int by_text(const void *key, const void *each) {
    return facts_compare(key,
                         ((const struct survey_removed *)each)->record.path);
}

static bool is_removed(const struct survey *s, const char *path) {
    return bsearch(path, s->removed, s->removed_count, sizeof *s->removed,
                   by_text) != NULL;
}

/* Whether something else hides a path that is gone: its directory is gone with
 * it or has become a file, or it has become a directory. `path` has room for
 * a slash more. */
static bool is_hidden(const struct survey *s, char *path) {
    size_t length = strlen(path);
    bool hidden = false;
    for (char *slash = strchr(path, '/'); slash && !hidden;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        size_t at = lower_bound(s, path);
        hidden = is_removed(s, path) ||
                 (is_file(s, path) && !S_ISDIR(s->files[at].facts.mode));
        *slash = '/';
    }
    if (hidden)
        return true;
    path[length] = '/';
    path[length + 1] = '\0';
    hidden = has_below(s, path);
    path[length] = '\0';
    return hidden;
}

static bool pack_removed(lua_State *L, struct survey *s) {
    static const char mark[] = ".wh.";
    struct survey_removed *removed = &s->removed[s->packed_removed++];
    const char *path = removed->record.path;
    size_t length = strlen(path);
    char name[2 * PATH_MAX];
    struct tar_entry entry = {.name = name, .type = '0', .mode = 0644};
    if (length + sizeof mark + 1 > sizeof name)
        return true; /* no path is as long */
    memcpy(name, path, length + 1);
    removed->packed = is_wanted(L, path);
    if (!removed->packed || is_hidden(s, name))
        return true;
    char *slash = strrchr(name, '/');
    size_t from = slash ? (size_t)(slash - name) + 1 : 0;
    memmove(name + from + sizeof mark - 1, name + from, length - from + 1);
    memcpy(name + from, mark, sizeof mark - 1);
    return tar_header(&s->out, &entry) || survey_no_memory(L);
}

bool survey_pack(lua_State *L, struct survey *s, double limit) {
    bool more = true;
    s->out.length = 0;
    for (int i = 1; more && s->out.length < ENOUGH; i++) {
        if (s->packed_removed < s->removed_count) {
            if (!pack_removed(L, s))
                return false;
        } else if (s->at < s->count) {
            if (!pack_file(L, s))
                return false;
        } else {
            more = false;
        }
        if (more && (i % 64 == 0 || s->fd >= 0) && clock_now() > limit)
            return true;
    }
    if (!more) {
        s->packing = false;
        if (!tar_end(&s->out))
            return survey_no_memory(L);
    }
    return true;
}
