/* survey.h: what has changed in a folder, in pieces.
 *
 * core.survey{ path =, names = nil, index = nil, ignores = nil, max_file = }
 *     -> survey | nil, message
 *
 * `names` are paths below the folder, each ended by a NUL; without it, all that
 * is there counts. ignores(path, is_directory) is called for each entry then:
 * 0 takes it, 1 leaves it out but not what is below, 2 leaves out both. `index`
 * is that of an earlier survey. No link is followed, and no path leads out of
 * the folder. Regular files, symbolic links and, without `names`, directories
 * are compared; the rest is skipped.
 *
 *   step(seconds)   false: not over yet; true: it is; or nil, message
 *   looked()        how many files have been looked at, and of how many; the
 *                   second is nil while they are being found
 *   counts()        {added =, changed =, removed =}
 *   delta()         list of {path =, change = "added"|"changed"|"removed",
 *                   type =, size =, mode =, sha256 = if known, target = no}
 *   skipped()       list of {path =, why =}
 *   directories()   those of `names` that are directories
 *   pack(skip, keep)
 *                   begins an archive: a layer that brings what has changed.
 *                   skip[path] = true leaves a path out. A directory that is
 *                   gone is removed as a whole unless keep[path] is true
 *   piece(seconds)  bytes of the archive, maybe none; nil: it is complete; or
 *                   nil, message
 *   unsettled()     whether a file changed while it was read
 *   index()         the index, as bytes: what was left out of the archive is in
 *                   it as it was in the old index
 *   close()
 *
 * core.index_read(index, wanted) -> {[path] = {type =, size =, mode =,
 * sha256 =}} of the paths that are keys of `wanted`, or of all. */
#ifndef CONTREE_SURVEY_H
#define CONTREE_SURVEY_H

#include "bytes.h"
#include "digest.h"
#include "facts.h"

#include <dirent.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

int survey_lua_new(lua_State *L);
int survey_lua_index_read(lua_State *L);
void survey_register(lua_State *L);

/* The rest is for the files of the survey alone. */

enum file_state {
    FILE_SAME,
    FILE_SUSPECT, /* its content is compared */
    FILE_ADDED,
    FILE_CHANGED,
    FILE_GONE, /* a name without a file */
    FILE_SKIPPED
};

struct survey_file {
    size_t name;             /* in survey.names */
    struct facts facts, old; /* now, and in the old index */
    enum file_state state;
    bool known;      /* it is in the old index */
    bool digested;   /* facts.digest is that of the content as it is now */
    bool torn;       /* it changed while it was read */
    bool packed;     /* it is in the archive */
    const char *why; /* it is skipped */
};

struct survey_removed {
    struct record record; /* its path lives in the old index */
    bool packed;
    bool kept; /* it is in a directory that cannot be read */
};

struct survey_level {
    DIR *directory;
    size_t path; /* the length of its own in survey.path */
};

enum survey_phase { WALK, SORT, COMPARE, DIGEST, OVER };

struct survey {
    int root;
    enum survey_phase phase;
    bool walks, unsettled;
    off_t max_file;
    int64_t stamp;
    struct bytes names; /* each ended by a NUL */
    struct survey_file *files;
    size_t count, room;
    struct survey_removed *removed; /* of the old index, sorted */
    size_t removed_count, removed_room, kept;
    bool closed; /* some directory cannot be read */
    struct index index;
    struct record record; /* the next one of the old index */
    bool has_record;
    size_t at; /* the position in this phase */
    size_t added, changed;
    /* SORT */
    size_t width;
    struct survey_file *sorted;
    /* WALK */
    struct survey_level *levels;
    size_t depth, level_room;
    struct bytes path;
    /* The directory of the last file. */
    int parent;
    struct bytes parent_path;
    /* The file that is being read. */
    int fd;
    struct digest *digest;
    struct stat opened;
    off_t left;
    /* The archive. */
    struct bytes out;
    size_t packed_removed;
    struct bytes shortened; /* the last whiteout */
    bool packing;
};

/* Each does a part; false with a message on top of the stack. The survey is at
 * stack index 1, and its table holds `ignores`. */
bool survey_walk(lua_State *L, struct survey *s, double limit);
bool survey_sort(lua_State *L, struct survey *s);
bool survey_compare(lua_State *L, struct survey *s);
bool survey_digest(lua_State *L, struct survey *s);
bool survey_pack(lua_State *L, struct survey *s, double limit);

/* Helpers. */
bool survey_add(struct survey *s, const char *name, size_t length);
const char *survey_name(const struct survey *s, const struct survey_file *f);
/* The directory that holds a file, and the last name of it; -1 with errno. */
int survey_parent(struct survey *s, const char *path, const char **name);
/* Opens the file for reading into s->fd, with s->opened; false with errno. */
bool survey_open(struct survey *s, const struct survey_file *f);
/* Ends reading: the digest goes to f, which is torn if it changed meanwhile. */
void survey_shut(struct survey *s, struct survey_file *f);
/* The target of a link into `target`, and its digest; false with errno. */
bool survey_link(struct survey *s, struct survey_file *f, char *target,
                 size_t room);
bool survey_failed(lua_State *L, const char *path);
bool survey_no_memory(lua_State *L);
void survey_end_walk(struct survey *s);

#pragma GCC visibility pop

#endif
