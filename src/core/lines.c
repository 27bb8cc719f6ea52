#include "lines.h"
#include "edits.h"
#include "lua_compat.h"

/* ---- hunks ---- */

static void add_line(luaL_Buffer *buffer, char sign,
                     const struct edits_text *text, uint32_t line) {
    static const char open_end[] = "\n\\ No newline at end of file\n";
    uint32_t start = text->start[line], end = text->start[line + 1];
    luaL_addchar(buffer, sign);
    luaL_addlstring(buffer, text->data + start, end - start);
    if (text->data[end - 1] != '\n')
        luaL_addlstring(buffer, open_end, sizeof open_end - 1);
}

static void push_lines(lua_State *L, const struct edits_text *old,
                       const struct edits_text *new,
                       const struct edits_hunk *hunk) {
    uint32_t i = hunk->old, j = hunk->new;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    while (i < hunk->old_end || j < hunk->new_end)
        if (i < hunk->old_end && old->changed[i])
            add_line(&buffer, '-', old, i++);
        else if (j < hunk->new_end && new->changed[j])
            add_line(&buffer, '+', new, j++);
        else
            add_line(&buffer, ' ', old, i++), j++;
    luaL_pushresult(&buffer);
}

static void set_number(lua_State *L, const char *name, uint32_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* Lines are counted from 1; a side without lines is said to be behind the one
 * before it. */
static void push_hunk(lua_State *L, const struct edits_text *old,
                      const struct edits_text *new,
                      const struct edits_hunk *hunk) {
    uint32_t old_count = hunk->old_end - hunk->old;
    uint32_t new_count = hunk->new_end - hunk->new;
    lua_createtable(L, 0, 5);
    set_number(L, "old_start", hunk->old + (old_count > 0));
    set_number(L, "old_count", old_count);
    set_number(L, "new_start", hunk->new + (new_count > 0));
    set_number(L, "new_count", new_count);
    push_lines(L, old, new, hunk);
    lua_setfield(L, -2, "text");
}

/* Widens a hunk by its context; what is around a change is the same in both
 * texts. */
static void add_context(const struct edits_text *old,
                        const struct edits_text *new, struct edits_hunk *hunk,
                        uint32_t context) {
    uint32_t before = hunk->old < hunk->new ? hunk->old : hunk->new;
    uint32_t left = old->count - hunk->old_end;
    uint32_t after = new->count - hunk->new_end;
    if (before > context)
        before = context;
    if (after > left)
        after = left;
    if (after > context)
        after = context;
    hunk->old -= before;
    hunk->new -= before;
    hunk->old_end += after;
    hunk->new_end += after;
}

static void push_hunks(lua_State *L, const struct edits_text *old,
                       const struct edits_text *new, uint32_t context) {
    struct edits_hunk change = {0}, hunk;
    bool more = edits_next(old, new, &change);
    int count = 0;
    lua_newtable(L);
    while (more) {
        hunk = change;
        while ((more = edits_next(old, new, &change)) &&
               change.old - hunk.old_end <= 2 * context) {
            hunk.old_end = change.old_end;
            hunk.new_end = change.new_end;
        }
        add_context(old, new, &hunk, context);
        push_hunk(L, old, new, &hunk);
        lua_rawseti(L, -2, ++count);
    }
}

int lines_lua_diff(lua_State *L) {
    struct edits_text old = {0}, new = {0};
    lua_Integer context;
    size_t room;
    old.data = luaL_checklstring(L, 1, &old.size);
    new.data = luaL_checklstring(L, 2, &new.size);
    context = luaL_checkinteger(L, 3);
    luaL_argcheck(L, context >= 0 && context <= INT32_MAX / 2, 3,
                  "out of range");
    room = edits_room(&old, &new);
    if (room == 0)
        return compat_nil(L);
    edits_find(&old, &new, lua_newuserdata(L, room));
    push_hunks(L, &old, &new, (uint32_t)context);
    return 1;
}
