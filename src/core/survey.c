#include "survey.h"
#include "beneath.h"
#include "clock.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SURVEY_TYPE "contree.survey"

bool survey_failed(lua_State *L, const char *path) {
    lua_pushfstring(L, "%s: %s", path, strerror(errno));
    return false;
}

bool survey_no_memory(lua_State *L) {
    lua_pushliteral(L, "not enough memory");
    return false;
}

const char *survey_name(const struct survey *s, const struct survey_file *f) {
    return s->names.data + f->name;
}

bool survey_add(struct survey *s, const char *name, size_t length) {
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        struct survey_file *files = realloc(s->files, room * sizeof *files);
        if (!files)
            return false;
        s->files = files;
        s->room = room;
    }
    s->files[s->count] = (struct survey_file){.name = s->names.length};
    if (!bytes_append(&s->names, name, length) ||
        !bytes_append(&s->names, "", 1))
        return false;
    s->count++;
    return true;
}

static struct survey *check_survey(lua_State *L) {
    return luaL_checkudata(L, 1, SURVEY_TYPE);
}

static int survey_gc(lua_State *L) {
    struct survey *s = check_survey(L);
    survey_end_walk(s);
    beneath_close(s->root);
    beneath_close(s->parent);
    beneath_close(s->fd);
    s->root = s->parent = s->fd = -1;
    digest_free(s->digest);
    s->digest = NULL;
    bytes_free(&s->names);
    bytes_free(&s->path);
    bytes_free(&s->parent_path);
    bytes_free(&s->shortened);
    bytes_free(&s->out);
    free(s->files);
    free(s->sorted);
    free(s->removed);
    s->files = s->sorted = NULL;
    s->removed = NULL;
    s->count = s->removed_count = 0;
    s->packing = false;
    s->phase = OVER;
    return 0;
}

/* ---- beginning ---- */

/* Adds the names of a list that a NUL ends each; false without memory. Git
 * ends the names of directories with a slash. */
static bool add_names(struct survey *s, const char *names, size_t size) {
    const char *end = names + size;
    while (names < end) {
        size_t length = strlen(names), kept = length;
        while (kept > 0 && names[kept - 1] == '/')
            kept--;
        if (kept > 0 && !survey_add(s, names, kept))
            return false;
        names += length + 1;
    }
    return true;
}

static int refuse(lua_State *L, const char *path, const char *why) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, why);
    return 2;
}

static const char *field(lua_State *L, const char *name, size_t *size) {
    const char *text = (lua_getfield(L, 1, name), lua_tolstring(L, -1, size));
    lua_pop(L, 1); /* the table at 1 keeps it */
    return text;
}

/* The options stay in the table of the survey, with all that they hold. */
static struct survey *push_survey(lua_State *L) {
    struct survey *s = compat_newuserdata(L, sizeof *s);
    *s = (struct survey){.root = -1, .parent = -1, .fd = -1, .phase = WALK};
    luaL_setmetatable(L, SURVEY_TYPE);
    lua_pushvalue(L, 1);
    compat_settable(L, -2);
    if (!digest_available() || !(s->digest = digest_new()))
        luaL_error(L,
                   "contree: %s (OpenSSL), which computes SHA-256, cannot "
                   "be loaded",
                   digest_library);
    s->stamp = facts_now();
    return s;
}

int survey_lua_new(lua_State *L) {
    size_t names_size = 0, index_size = 0, size;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const char *path = field(L, "path", &size);
    const char *names = field(L, "names", &names_size);
    const char *index = field(L, "index", &index_size);
    lua_getfield(L, 1, "max_file");
    lua_Number most = luaL_optnumber(L, -1, (lua_Number)((int64_t)1 << 40));
    luaL_argcheck(L, path != NULL, 1, "must have a path");
    struct survey *s = push_survey(L);
    s->max_file = (off_t)most;
    s->walks = names == NULL;
    s->phase = s->walks ? WALK : SORT;
    if (!index_open(&s->index, index ? index : "", index_size))
        return refuse(L, path, "the index is damaged");
    s->has_record = index_next(&s->index, &s->record);
    s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root < 0)
        return refuse(L, path, strerror(errno));
    if (names && !add_names(s, names, names_size))
        return refuse(L, path, "not enough memory");
    return 1;
}

/* ---- surveying ---- */

static bool do_part(lua_State *L, struct survey *s, double limit) {
    switch (s->phase) {
    case WALK:
        return survey_walk(L, s, limit);
    case SORT:
        return survey_sort(L, s);
    case COMPARE:
        return survey_compare(L, s);
    case DIGEST:
        return survey_digest(L, s);
    default:
        return true;
    }
}

static int survey_step(lua_State *L) {
    struct survey *s = check_survey(L);
    double limit = clock_now() + luaL_checknumber(L, 2);
    for (int i = 1; s->phase != OVER; i++) {
        if (!do_part(L, s, limit)) {
            lua_pushnil(L);
            lua_insert(L, -2);
            return 2;
        }
        if ((i % 64 == 0 || s->fd >= 0 || s->phase == SORT) &&
            clock_now() > limit)
            break;
    }
    lua_pushboolean(L, s->phase == OVER);
    return 1;
}

/* ---- telling ---- */

static void set_count(lua_State *L, const char *name, size_t count) {
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

static int survey_looked(lua_State *L) {
    const struct survey *s = check_survey(L);
    bool walks = s->phase == WALK, compares = s->phase == COMPARE;
    lua_pushinteger(L, (lua_Integer)(walks || s->phase > COMPARE ? s->count
                                     : compares                  ? s->at
                                                                 : 0));
    if (walks)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)s->count);
    return 2;
}

static int survey_counts(lua_State *L) {
    const struct survey *s = check_survey(L);
    size_t added = 0, changed = 0, refreshed = 0;
    for (size_t i = 0; i < s->count; i++) {
        added += s->files[i].state == FILE_ADDED;
        changed += s->files[i].state == FILE_CHANGED;
        refreshed += s->files[i].state == FILE_SAME && s->files[i].digested;
    }
    lua_createtable(L, 0, 4);
    set_count(L, "added", added);
    set_count(L, "changed", changed);
    set_count(L, "refreshed", refreshed);
    set_count(L, "removed", s->removed_count - s->kept);
    return 1;
}

static const char *type_of(uint32_t mode) {
    return S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "link" : "file";
}

static void push_facts(lua_State *L, const struct facts *facts, bool digest) {
    char hex[2 * FACTS_DIGEST + 1];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type_of(facts->mode));
    lua_setfield(L, -2, "type");
    lua_pushnumber(L, (lua_Number)facts->size);
    lua_setfield(L, -2, "size");
    set_count(L, "mode", facts->mode & 07777);
    if (digest) {
        facts_hex(hex, facts->digest);
        lua_pushstring(L, hex);
        lua_setfield(L, -2, "sha256");
    }
}

static void name_change(lua_State *L, const char *path, const char *change) {
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, change);
    lua_setfield(L, -2, "change");
}

static int survey_delta(lua_State *L) {
    const struct survey *s = check_survey(L);
    int n = 0;
    lua_newtable(L);
    for (size_t i = 0; i < s->count; i++) {
        const struct survey_file *f = &s->files[i];
        if (f->state != FILE_ADDED && f->state != FILE_CHANGED)
            continue;
        push_facts(L, &f->facts, f->digested);
        name_change(L, survey_name(s, f),
                    f->state == FILE_ADDED ? "added" : "changed");
        lua_rawseti(L, -2, ++n);
    }
    for (size_t i = 0; i < s->removed_count; i++) {
        if (s->removed[i].kept)
            continue;
        lua_createtable(L, 0, 2);
        name_change(L, s->removed[i].record.path, "removed");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int survey_skipped(lua_State *L) {
    const struct survey *s = check_survey(L);
    int n = 0;
    lua_newtable(L);
    for (size_t i = 0; i < s->count; i++) {
        const struct survey_file *f = &s->files[i];
        if (f->state != FILE_SKIPPED || !f->why)
            continue;
        lua_createtable(L, 0, 2);
        lua_pushstring(L, survey_name(s, f));
        lua_setfield(L, -2, "path");
        lua_pushstring(L, f->why);
        lua_setfield(L, -2, "why");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int survey_directories(lua_State *L) {
    const struct survey *s = check_survey(L);
    int n = 0;
    lua_newtable(L);
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].state != FILE_SKIPPED || s->files[i].why ||
            !S_ISDIR(s->files[i].facts.mode))
            continue;
        lua_pushstring(L, survey_name(s, &s->files[i]));
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* ---- packing ---- */

static int survey_begin_pack(lua_State *L) {
    struct survey *s = check_survey(L);
    lua_settop(L, 3);
    if (s->phase != OVER || s->root < 0)
        return luaL_error(L, "this survey is not over");
    compat_gettable(L, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "skip");
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "keep");
    s->shortened.length = 0;
    beneath_close(s->fd);
    s->fd = -1;
    s->at = s->packed_removed = 0;
    s->packing = true;
    return 0;
}

static int survey_piece(lua_State *L) {
    struct survey *s = check_survey(L);
    double limit = clock_now() + luaL_checknumber(L, 2);
    if (!s->packing)
        return compat_nil(L);
    if (survey_pack(L, s, limit)) {
        lua_pushlstring(L, s->out.data ? s->out.data : "", s->out.length);
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int survey_unsettled(lua_State *L) {
    lua_pushboolean(L, check_survey(L)->unsettled);
    return 1;
}

/* A file that was torn is looked at again: it is never clean. A new file that
 * was not packed is not in the index. */
static bool add_record(struct bytes *out, const struct survey *s,
                       const struct survey_file *f) {
    bool differs = f->state == FILE_ADDED || f->state == FILE_CHANGED ||
                   f->state == FILE_SKIPPED;
    struct facts facts = differs && !f->packed ? f->old : f->facts;
    if (f->state == FILE_GONE || (differs && !f->packed && !f->known))
        return true;
    if (f->torn)
        facts.touched = FACTS_UNSURE;
    return index_add(out, &facts, survey_name(s, f));
}

/* Adds what is gone but was not packed, as far as a path. */
static bool add_removed(struct bytes *out, const struct survey *s, size_t *at,
                        const char *path) {
    for (; *at < s->removed_count; ++*at) {
        const struct survey_removed *removed = &s->removed[*at];
        if (path && facts_compare(removed->record.path, path) > 0)
            return true;
        if (!removed->packed &&
            !index_add(out, &removed->record.facts, removed->record.path))
            return false;
    }
    return true;
}

static int survey_index(lua_State *L) {
    struct survey *s = check_survey(L);
    size_t removed = 0;
    bool done;
    s->out.length = 0;
    done = index_begin(&s->out, s->stamp);
    for (size_t i = 0; done && i < s->count; i++)
        done =
            add_removed(&s->out, s, &removed, survey_name(s, &s->files[i])) &&
            add_record(&s->out, s, &s->files[i]);
    if (!done || !add_removed(&s->out, s, &removed, NULL))
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, s->out.data, s->out.length);
    return 1;
}

int survey_lua_index_read(lua_State *L) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    struct index index;
    struct record record;
    bool all = lua_isnoneornil(L, 2);
    lua_newtable(L);
    if (!index_open(&index, data, size))
        return 1;
    while (index_next(&index, &record)) {
        if (!all) {
            lua_getfield(L, 2, record.path);
            bool wanted = lua_toboolean(L, -1);
            lua_pop(L, 1);
            if (!wanted)
                continue;
        }
        push_facts(L, &record.facts, true);
        lua_setfield(L, -2, record.path);
    }
    return 1;
}

void survey_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", survey_step},
                                       {"looked", survey_looked},
                                       {"counts", survey_counts},
                                       {"delta", survey_delta},
                                       {"skipped", survey_skipped},
                                       {"directories", survey_directories},
                                       {"pack", survey_begin_pack},
                                       {"piece", survey_piece},
                                       {"unsettled", survey_unsettled},
                                       {"index", survey_index},
                                       {"close", survey_gc},
                                       {NULL, NULL}};
    compat_newtype(L, SURVEY_TYPE, methods, survey_gc);
}
