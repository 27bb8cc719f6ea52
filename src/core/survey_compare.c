/* survey_compare.c: compares the files with the index, by what the system says
 * of them first, then, where that does not settle it, by their content. */
#include "beneath.h"
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int survey_parent(struct survey *s, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (!slash)
        return s->root;
    if (s->parent >= 0 && s->parent_path.length == length &&
        memcmp(s->parent_path.data, path, length) == 0)
        return s->parent;
    if (s->parent >= 0)
        close(s->parent);
    s->parent_path.length = 0;
    s->parent = beneath_parent(s->root, path, name);
    if (s->parent >= 0 && !bytes_append(&s->parent_path, path, length))
        s->parent_path.length = 0;
    return s->parent;
}

static bool is_gone(int error) {
    return error == ENOENT || error == ENOTDIR || error == ELOOP ||
           error == EXDEV;
}

static void skip(struct survey_file *f, const char *why) {
    f->state = FILE_SKIPPED;
    f->why = why;
}

static const char *kind_of(mode_t mode) {
    return S_ISSOCK(mode)   ? "it is a socket"
           : S_ISFIFO(mode) ? "it is a FIFO"
                            : "it is a device";
}

static void look(struct survey *s, struct survey_file *f) {
    const char *path = survey_name(s, f), *name;
    int parent = survey_parent(s, path, &name);
    struct stat status;
    f->state = FILE_ADDED;
    if (f->why) {
        skip(f, f->why);
        return;
    }
    if (parent < 0 || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        f->state = FILE_GONE;
        if (!is_gone(errno))
            skip(f, strerror(errno));
        return;
    }
    f->facts = facts_of(&status);
    if (strncmp(name, ".wh.", 4) == 0) {
        skip(f, "a layer cannot hold names that begin with .wh.");
    } else if (S_ISDIR(status.st_mode)) {
        if (!s->walks)
            skip(f, NULL);
    } else if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
        skip(f, kind_of(status.st_mode));
    } else if (S_ISREG(status.st_mode) && status.st_size > s->max_file) {
        skip(f, "it is larger than max_file");
    }
}

/* Whether a path is below a directory that cannot be read. */
static bool is_shut(const struct survey *s, const char *path) {
    for (size_t i = 0; s->closed && i < s->count; i++) {
        const char *name = survey_name(s, &s->files[i]);
        size_t length = s->files[i].why ? strlen(name) : 0;
        if (length > 0 && strncmp(path, name, length) == 0 &&
            path[length] == '/')
            return true;
    }
    return false;
}

static bool remove_record(lua_State *L, struct survey *s) {
    if (s->removed_count == s->removed_room) {
        size_t room = s->removed_room ? 2 * s->removed_room : 64;
        struct survey_removed *removed =
            realloc(s->removed, room * sizeof *removed);
        if (!removed)
            return survey_no_memory(L);
        s->removed = removed;
        s->removed_room = room;
    }
    bool kept = is_shut(s, s->record.path);
    s->kept += kept;
    s->removed[s->removed_count++] =
        (struct survey_removed){.record = s->record, .kept = kept};
    return true;
}

/* Goes on in the old index as far as a path. */
static bool pass_records(lua_State *L, struct survey *s, const char *path) {
    while (s->has_record &&
           (!path || facts_compare(s->record.path, path) < 0)) {
        if (!remove_record(L, s))
            return false;
        s->has_record = index_next(&s->index, &s->record);
    }
    return true;
}

static void match(struct survey *s, struct survey_file *f) {
    const struct facts *old = &s->record.facts;
    bool clean =
        f->state == FILE_ADDED && facts_clean(old, &f->facts, s->index.stamp);
    f->known = true;
    f->old = *old;
    memcpy(f->facts.digest, old->digest, FACTS_DIGEST);
    if (f->state == FILE_SKIPPED) {
        f->facts = *old;
    } else if (clean) {
        f->state = FILE_SAME;
    } else if ((old->mode & S_IFMT) != (f->facts.mode & S_IFMT) ||
               S_ISDIR(old->mode)) {
        f->state = FILE_CHANGED;
    } else {
        f->state = FILE_SUSPECT;
    }
}

/* A directory among the names. */
static bool is_unlisted(const struct survey_file *f) {
    return f->state == FILE_SKIPPED && !f->why;
}

bool survey_compare(lua_State *L, struct survey *s) {
    struct survey_file *f = &s->files[s->at];
    struct stat status;
    if (s->at < s->count) {
        const char *path = survey_name(s, f);
        look(s, f);
        if (!pass_records(L, s, path))
            return false;
        /* Where git lists a file, there may be a directory now. */
        if (f->state != FILE_GONE && !is_unlisted(f) && s->has_record &&
            strcmp(s->record.path, path) == 0) {
            match(s, f);
            s->has_record = index_next(&s->index, &s->record);
        }
        s->at++;
        return true;
    }
    /* Nothing is found in a folder that was removed meanwhile. */
    if (fstat(s->root, &status) < 0 || status.st_nlink == 0) {
        errno = ENOENT;
        return survey_failed(L, "the folder");
    }
    s->phase = DIGEST;
    s->at = 0;
    return pass_records(L, s, NULL);
}

/* ---- contents ---- */

bool survey_open(struct survey *s, const struct survey_file *f) {
    const char *name;
    int parent = survey_parent(s, survey_name(s, f), &name);
    s->fd =
        parent < 0
            ? -1
            : openat(parent, name,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (s->fd < 0)
        return false;
    if (fstat(s->fd, &s->opened) == 0 && S_ISREG(s->opened.st_mode) &&
        s->opened.st_size <= s->max_file) {
        s->left = s->opened.st_size;
        digest_restart(s->digest);
        return true;
    }
    close(s->fd);
    s->fd = -1;
    errno = ENOENT; /* it has become something else: the next survey sees it */
    return false;
}

void survey_shut(struct survey *s, struct survey_file *f) {
    char hex[DIGEST_HEX_SIZE];
    struct facts before = facts_of(&s->opened), after;
    struct stat status;
    digest_finish(s->digest, hex);
    after = fstat(s->fd, &status) == 0 ? facts_of(&status) : before;
    f->torn = f->torn || before.size != after.size ||
              before.changed != after.changed ||
              before.touched != after.touched;
    f->facts = before;
    /* What was packed of a torn file is known to nobody: no digest is that of
     * its content. */
    if (!f->torn)
        facts_digest(f->facts.digest, hex);
    f->digested = !f->torn;
    close(s->fd);
    s->fd = -1;
}

bool survey_link(struct survey *s, struct survey_file *f, char *target,
                 size_t room) {
    char hex[DIGEST_HEX_SIZE];
    const char *name;
    int parent = survey_parent(s, survey_name(s, f), &name);
    ssize_t length =
        parent < 0 ? -1 : readlinkat(parent, name, target, room - 1);
    if (length < 0)
        return false;
    target[length] = '\0';
    digest_restart(s->digest);
    digest_add(s->digest, target, (size_t)length);
    digest_finish(s->digest, hex);
    facts_digest(f->facts.digest, hex);
    f->digested = true;
    return true;
}

static void settle(struct survey *s, struct survey_file *f,
                   const unsigned char *old) {
    bool same = memcmp(old, f->facts.digest, FACTS_DIGEST) == 0 &&
                f->old.mode == f->facts.mode && !f->torn;
    f->state = same ? FILE_SAME : FILE_CHANGED;
    s->at++;
}

/* What cannot be read is skipped, and stays what it was. */
static void give_up(struct survey *s, struct survey_file *f) {
    if (is_gone(errno)) {
        f->state = FILE_SKIPPED;
        f->why = "it has changed meanwhile";
        s->unsettled = true;
    } else {
        skip(f, strerror(errno));
    }
    f->facts = f->old;
    f->facts.touched = FACTS_UNSURE;
    s->at++;
}

static bool digest_part(lua_State *L, struct survey *s, struct survey_file *f) {
    char block[64 * 1024];
    unsigned char old[FACTS_DIGEST];
    ssize_t n;
    do
        n = read(s->fd, block, sizeof block);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return survey_failed(L, survey_name(s, f));
    if (n > 0) {
        digest_add(s->digest, block, (size_t)n);
        s->left -= n;
        f->torn = f->torn || s->left < 0;
        if (s->left >= 0)
            return true;
    }
    f->torn = f->torn || s->left > 0;
    memcpy(old, f->facts.digest, sizeof old);
    survey_shut(s, f);
    settle(s, f, old);
    return true;
}

bool survey_digest(lua_State *L, struct survey *s) {
    struct survey_file *f = &s->files[s->at];
    unsigned char old[FACTS_DIGEST];
    char target[PATH_MAX];
    if (s->at == s->count) {
        s->phase = OVER;
        s->at = 0;
        return true;
    }
    if (s->fd >= 0)
        return digest_part(L, s, f);
    if (f->state != FILE_SUSPECT) {
        s->at++;
        return true;
    }
    memcpy(old, f->facts.digest, sizeof old);
    if (S_ISLNK(f->facts.mode) && survey_link(s, f, target, sizeof target))
        settle(s, f, old);
    else if (!S_ISREG(f->facts.mode) || !survey_open(s, f))
        give_up(s, f);
    return true;
}
