/* survey_pack.c: what has changed as a layer: files that are added or changed,
 * and whiteouts for those that are gone. */
#include "clock.h"
#include "lua_compat.h"
#include "survey.h"
#include "tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENOUGH = 256 * 1024, /* bytes of a piece */
    BLOCK = 64 * 1024    /* of a file, between looks at the clock */
};

/* Whether a path is a key of a table that pack() was given. */
static bool is_in(lua_State *L, const char *table, const char *path) {
    bool in = false;
    compat_gettable(L, 1);
    lua_getfield(L, -1, table);
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, path);
        in = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return in;
}

static bool is_wanted(lua_State *L, const char *path) {
    return !is_in(L, "skip", path);
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
    const struct survey_removed *found =
        s->removed_count > 0 ? bsearch(path, s->removed, s->removed_count,
                                       sizeof *s->removed, by_text)
                             : NULL;
    return found && !found->kept;
}

/* Whether something else hides a path that is gone: its directory is gone with
 * it, or has become a file. */
static bool is_hidden(const struct survey *s, char *path) {
    bool hidden = false;
    for (char *slash = strchr(path, '/'); slash && !hidden;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        size_t at = lower_bound(s, path);
        hidden = is_removed(s, path) ||
                 (is_file(s, path) && !S_ISDIR(s->files[at].facts.mode));
        *slash = '/';
    }
    return hidden;
}

static bool is_in_folder(struct survey *s, const char *path,
                         struct stat *status) {
    const char *name;
    int parent = survey_parent(s, path, &name);
    return parent >= 0 &&
           fstatat(parent, name, status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Shortens a path that is gone to that of the uppermost directory that is gone
 * with it. Names that git lists tell nothing of directories. */
static void shorten(lua_State *L, struct survey *s, char *path) {
    struct stat status;
    for (char *slash = strchr(path, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        bool below = (slash[1] = '\0', has_below(s, path));
        slash[0] = '\0';
        if (!below && !is_in(L, "keep", path) &&
            !is_in_folder(s, path, &status))
            return;
        slash[0] = '/';
        slash[1] = s->removed[s->packed_removed].record.path[slash + 1 - path];
    }
}

/* A directory has come where a file is gone. */
static bool add_directory(lua_State *L, struct survey *s, const char *path) {
    struct tar_entry entry = {.name = path, .type = '5', .mode = 0755};
    struct stat status;
    if (is_in_folder(s, path, &status)) {
        entry.mode = status.st_mode & 07777;
        entry.mtime = status.st_mtime;
    }
    return tar_header(&s->out, &entry) || survey_no_memory(L);
}

static bool add_whiteout(lua_State *L, struct survey *s, char *path) {
    static const char mark[] = ".wh.";
    struct tar_entry entry = {.name = path, .type = '0', .mode = 0644};
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    memmove(name + sizeof mark - 1, name, strlen(name) + 1);
    memcpy(name, mark, sizeof mark - 1);
    return tar_header(&s->out, &entry) || survey_no_memory(L);
}

/* `path` is a copy with room for more. */
static bool pack_gone(lua_State *L, struct survey *s, char *path) {
    size_t length = strlen(path);
    if (is_hidden(s, path))
        return true;
    memcpy(path + length, "/", 2);
    bool below = has_below(s, path);
    path[length] = '\0';
    if (below)
        return add_directory(L, s, path);
    shorten(L, s, path);
    length = strlen(path) + 1;
    if (s->shortened.length == length &&
        memcmp(s->shortened.data, path, length) == 0)
        return true;
    s->shortened.length = 0;
    return bytes_append(&s->shortened, path, length) ? add_whiteout(L, s, path)
                                                     : survey_no_memory(L);
}

static bool pack_removed(lua_State *L, struct survey *s) {
    struct survey_removed *removed = &s->removed[s->packed_removed];
    size_t length = strlen(removed->record.path);
    char path[2 * PATH_MAX];
    removed->packed = !removed->kept && is_wanted(L, removed->record.path);
    /* No path of a file system is as long. */
    if (removed->packed && length < sizeof path - 8) {
        memcpy(path, removed->record.path, length + 1);
        if (!pack_gone(L, s, path))
            return false;
    }
    s->packed_removed++;
    return true;
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
