/* survey_walk.c: finds all files of a folder, and sorts names. */
#define _GNU_SOURCE /* qsort_r */
#include "beneath.h"
#include "clock.h"
#include "lua_compat.h"
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAKE, LEAVE, PRUNE };

static bool enter(lua_State *L, struct survey *s, int fd) {
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        beneath_close(fd);
        return survey_failed(L, s->path.length > 0 ? s->path.data : ".");
    }
    if (s->depth == s->level_room) {
        size_t room = s->level_room ? 2 * s->level_room : 16;
        struct survey_level *levels = realloc(s->levels, room * sizeof *levels);
        if (!levels) {
            closedir(directory);
            return survey_no_memory(L);
        }
        s->levels = levels;
        s->level_room = room;
    }
    s->levels[s->depth++] = (struct survey_level){directory, s->path.length};
    return true;
}

void survey_end_walk(struct survey *s) {
    while (s->depth > 0)
        closedir(s->levels[--s->depth].directory);
    free(s->levels);
    s->levels = NULL;
    s->level_room = 0;
}

/* Makes s->path that of an entry of the innermost directory. */
static bool set_path(struct survey *s, const char *name) {
    s->path.length = s->levels[s->depth - 1].path;
    if (s->path.length > 0 && !bytes_append(&s->path, "/", 1))
        return false;
    if (!bytes_append(&s->path, name, strlen(name) + 1))
        return false;
    s->path.length--;
    return true;
}

static int verdict(lua_State *L, const struct survey *s, bool directory) {
    int answer = TAKE;
    compat_gettable(L, 1);
    lua_getfield(L, -1, "ignores");
    if (!lua_isnil(L, -1)) {
        lua_pushlstring(L, s->path.data, s->path.length);
        lua_pushboolean(L, directory);
        lua_call(L, 2, 1);
        answer = (int)lua_tointeger(L, -1);
    }
    lua_pop(L, 2);
    return answer;
}

static bool is_directory(int parent, const struct dirent *entry) {
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(parent, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

/* Nobody knows what is in a directory that cannot be opened. */
static bool shut_out(lua_State *L, struct survey *s, bool listed) {
    int error = errno;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP)
        return true; /* it has become something else */
    if (!listed && !survey_add(s, s->path.data, s->path.length))
        return survey_no_memory(L);
    s->files[s->count - 1].why = strerror(error);
    s->closed = true;
    return true;
}

static bool visit(lua_State *L, struct survey *s, const struct dirent *entry) {
    int parent = dirfd(s->levels[s->depth - 1].directory), fd, answer;
    bool directory = is_directory(parent, entry);
    if (!set_path(s, entry->d_name))
        return survey_no_memory(L);
    answer = verdict(L, s, directory);
    if (answer == TAKE && !survey_add(s, s->path.data, s->path.length))
        return survey_no_memory(L);
    if (!directory || answer == PRUNE)
        return true;
    fd = openat(parent, entry->d_name,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? shut_out(L, s, answer == TAKE) : enter(L, s, fd);
}

/* Files that are not listed would look removed. */
static bool unreadable(lua_State *L, struct survey *s) {
    size_t length = s->levels[s->depth - 1].path;
    if (length > 0)
        s->path.data[length] = '\0';
    return survey_failed(L, length > 0 ? s->path.data : ".");
}

bool survey_walk(lua_State *L, struct survey *s, double limit) {
    const struct dirent *entry;
    if (s->depth == 0 &&
        !enter(L, s, openat(s->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)))
        return false;
    for (int i = 1; s->depth > 0; i++) {
        errno = 0;
        entry = readdir(s->levels[s->depth - 1].directory);
        if (!entry && errno && errno != ENOENT)
            return unreadable(L, s);
        if (!entry)
            closedir(s->levels[--s->depth].directory);
        else if (strcmp(entry->d_name, ".") != 0 &&
                 strcmp(entry->d_name, "..") != 0 && !visit(L, s, entry))
            return false;
        if (i % 16 == 0 && clock_now() > limit)
            return true;
    }
    survey_end_walk(s);
    s->phase = SORT;
    return true;
}

/* ---- sorting: blocks first, which are merged by two and two ---- */

enum { BLOCK = 512 };

static int by_name(const void *a, const void *b, void *names) {
    const struct survey_file *one = a, *other = b;
    return facts_compare((const char *)names + one->name,
                         (const char *)names + other->name);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void merge(struct survey *s, size_t from) {
    size_t middle = least(from + s->width, s->count);
    size_t end = least(from + 2 * s->width, s->count);
    size_t a = from, b = middle;
    for (size_t to = from; to < end; to++) {
        bool first =
            b == end || (a < middle &&
                         facts_compare(s->names.data + s->files[a].name,
                                       s->names.data + s->files[b].name) <= 0);
        s->sorted[to] = s->files[first ? a++ : b++];
    }
}

static void drop_repeated(struct survey *s) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (kept == 0 || strcmp(survey_name(s, &s->files[kept - 1]),
                                survey_name(s, &s->files[i])) != 0)
            s->files[kept++] = s->files[i];
    s->count = kept;
}

bool survey_sort(lua_State *L, struct survey *s) {
    struct survey_file *swapped;
    if (s->width == 0) {
        size_t size = least(BLOCK, s->count - s->at);
        if (size > 0)
            qsort_r(s->files + s->at, size, sizeof *s->files, by_name,
                    s->names.data);
        s->at += size;
        if (s->at < s->count)
            return true;
        s->width = BLOCK;
        s->at = 0;
        s->sorted = s->count > 0 ? malloc(s->count * sizeof *s->sorted) : NULL;
        return s->sorted || s->count == 0 || survey_no_memory(L);
    }
    if (s->width < s->count) {
        merge(s, s->at);
        s->at = least(s->at + 2 * s->width, s->count);
        if (s->at < s->count)
            return true;
        swapped = s->files;
        s->files = s->sorted;
        s->sorted = swapped;
        s->room = s->count;
        s->width *= 2;
        s->at = 0;
        return true;
    }
    free(s->sorted);
    s->sorted = NULL;
    drop_repeated(s);
    s->phase = COMPARE;
    s->at = 0;
    return true;
}
