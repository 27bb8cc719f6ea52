#include "lines.h"
#include "lua_compat.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    /* Edits to search from either side of a box; then the box is cut where the
     * search has come furthest. */
    EDITS_MAX = 256,
    /* Steps of the whole search, some 0.2 seconds; then the remaining lines
     * count as changed. */
    STEPS_MAX = 1 << 24,
    NONE = -(1 << 30)
};

/* One of the two texts. */
struct text {
    const char *data;
    uint32_t *start;   /* where each line begins, and the end */
    uint32_t *class;   /* of each line; equal lines are of one class */
    bool *changed;     /* of each line */
    uint32_t *kept;    /* the lines that may be common */
    uint32_t *compact; /* their classes */
    uint32_t count, kept_count;
};

/* ---- lines ---- */

static uint32_t count_lines(const char *data, size_t size) {
    uint32_t count = 0;
    const char *end = data + size;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        data = newline ? newline + 1 : end;
        count++;
    }
    return count;
}

static void find_lines(struct text *text, size_t size) {
    const char *at = text->data, *end = text->data + size;
    for (uint32_t i = 0; i < text->count; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        text->start[i] = (uint32_t)(at - text->data);
        at = newline ? newline + 1 : end;
    }
    text->start[text->count] = (uint32_t)size;
}

/* Pushes a userdata with the lines of the text. */
static struct text push_text(lua_State *L, const char *data, size_t size) {
    struct text text = {.data = data, .count = count_lines(data, size)};
    size_t n = text.count;
    uint32_t *room = lua_newuserdata(L, (4 * n + 1) * sizeof *room + n + 1);
    text.start = room;
    text.class = room + n + 1;
    text.kept = text.class + n;
    text.compact = text.kept + n;
    text.changed = (bool *)(text.compact + n);
    memset(text.changed, 0, n);
    find_lines(&text, size);
    return text;
}

/* ---- classes ---- */

/* The first line of a class. */
struct class_entry {
    const char *data;
    uint32_t size;
    uint32_t hash;
    uint32_t in[2]; /* how often it is in either text */
};

struct table {
    struct class_entry *entries; /* by class, from 1 on */
    uint32_t *slots;
    uint32_t mask, count;
    long steps;
};

static uint32_t hash_of(const char *data, uint32_t size) {
    uint64_t hash = 14695981039346656037u;
    for (uint32_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)data[i]) * 1099511628211u;
    return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t new_class(struct table *table, struct class_entry entry) {
    table->entries[++table->count] = entry;
    return table->count;
}

/* The class of a line. After too many probes, as when lines were made to
 * collide, a new class for this line alone. */
static uint32_t classify(struct table *table, const char *data, uint32_t size) {
    struct class_entry line = {data, size, hash_of(data, size), {0, 0}};
    uint32_t at = line.hash & table->mask;
    for (; table->slots[at] != 0; at = (at + 1) & table->mask) {
        const struct class_entry *known = &table->entries[table->slots[at]];
        if (known->hash == line.hash && known->size == size &&
            memcmp(known->data, data, size) == 0)
            return table->slots[at];
        if (table->steps-- < 0)
            return new_class(table, line);
    }
    return table->slots[at] = new_class(table, line);
}

static void classify_all(struct table *table, struct text *text, int which) {
    for (uint32_t i = 0; i < text->count; i++) {
        uint32_t start = text->start[i];
        uint32_t class =
            classify(table, text->data + start, text->start[i + 1] - start);
        text->class[i] = class;
        table->entries[class].in[which]++;
    }
}

/* Lines that only one of the texts has are changed in any case: leave them out
 * of the search. */
static void keep_common(const struct table *table, struct text *text) {
    for (uint32_t i = 0; i < text->count; i++) {
        const struct class_entry *entry = &table->entries[text->class[i]];
        text->changed[i] = entry->in[0] == 0 || entry->in[1] == 0;
        if (text->changed[i])
            continue;
        text->kept[text->kept_count] = i;
        text->compact[text->kept_count++] = text->class[i];
    }
}

static void compare_lines(lua_State *L, struct text *old, struct text *new) {
    size_t total = (size_t)old->count + new->count, slots = 16;
    struct table table = {.steps = STEPS_MAX};
    while (slots < 2 * total)
        slots *= 2;
    table.entries = lua_newuserdata(L, (total + 1) * sizeof *table.entries);
    table.slots = lua_newuserdata(L, slots * sizeof *table.slots);
    memset(table.slots, 0, slots * sizeof *table.slots);
    table.mask = (uint32_t)(slots - 1);
    classify_all(&table, old, 0);
    classify_all(&table, new, 1);
    keep_common(&table, old);
    keep_common(&table, new);
    lua_pop(L, 2);
}

/* ---- Myers ---- */

struct box {
    uint32_t a, a_end, b, b_end;
};

struct edit_search {
    struct text *old, *new;
    struct box box;
    int32_t n, m; /* its sides */
    long steps;
    /* The furthest x on each diagonal (k = x - y), from the front and from the
     * back of the box; diagonal 0 is in the middle of the array. */
    int32_t reach[2][2 * EDITS_MAX + 3];
};

enum { FRONT, BACK };

static int32_t *reach_of(struct edit_search *s, int side) {
    return s->reach[side] + EDITS_MAX + 1;
}

/* The furthest x on diagonal k that is one edit away from its neighbours; NONE
 * when that is outside the box. */
static int32_t one_edit(const struct edit_search *s, const int32_t *reach,
                        int32_t k) {
    int32_t right = reach[k - 1] + 1, down = reach[k + 1];
    if (right > s->n)
        right = NONE;
    if (down - k > s->m)
        down = NONE;
    if (down > right)
        right = down;
    return right < 0 ? NONE : right;
}

/* Goes on from x, along equal lines. */
static int32_t slide(struct edit_search *s, int side, int32_t x, int32_t k) {
    const uint32_t *a = s->old->compact + s->box.a;
    const uint32_t *b = s->new->compact + s->box.b;
    int32_t y = x - k;
    if (side == FRONT)
        for (; x < s->n && y < s->m && a[x] == b[y]; x++, y++)
            s->steps--;
    else
        for (; x < s->n && y < s->m && a[s->n - 1 - x] == b[s->m - 1 - y];
             x++, y++)
            s->steps--;
    return x;
}

/* Extends the search from one side to d edits. True: it has met the other one,
 * at *x, *y. */
static bool advance(struct edit_search *s, int side, int32_t d, int32_t *x,
                    int32_t *y) {
    int32_t *reach = reach_of(s, side), *other = reach_of(s, !side);
    int32_t delta = s->n - s->m, edges = side == FRONT ? d - 1 : d;
    bool may_meet = (delta % 2 != 0) == (side == FRONT);
    reach[-d - 1] = NONE;
    reach[d + 1] = d == 0 ? 0 : NONE;
    for (int32_t k = -d; k <= d; k += 2) {
        int32_t at = one_edit(s, reach, k), opposite = delta - k;
        s->steps--;
        if (at >= 0)
            at = slide(s, side, at, k);
        reach[k] = at;
        if (!may_meet || at < 0 || opposite < -edges || opposite > edges ||
            other[opposite] < 0 || at + other[opposite] < s->n)
            continue;
        *x = side == FRONT ? at : s->n - at;
        *y = side == FRONT ? at - k : s->m - (at - k);
        return true;
    }
    return false;
}

/* The point where the search from the front has come furthest after d edits. */
static void furthest(struct edit_search *s, int32_t d, int32_t *x, int32_t *y) {
    const int32_t *reach = reach_of(s, FRONT);
    *x = *y = 0;
    for (int32_t k = -d; k <= d; k += 2)
        if (reach[k] >= 0 && 2 * reach[k] - k > *x + *y) {
            *x = reach[k];
            *y = reach[k] - k;
        }
}

/* Finds a point on a short path through the box, where the box is cut in two.
 */
static void find_cut(struct edit_search *s, int32_t *x, int32_t *y) {
    for (int32_t d = 0; d <= EDITS_MAX; d++)
        if (advance(s, FRONT, d, x, y) || advance(s, BACK, d, x, y))
            return;
    furthest(s, EDITS_MAX, x, y);
}

static void trim(const struct edit_search *s, struct box *box) {
    const uint32_t *a = s->old->compact, *b = s->new->compact;
    while (box->a < box->a_end && box->b < box->b_end && a[box->a] == b[box->b])
        box->a++, box->b++;
    while (box->a < box->a_end && box->b < box->b_end &&
           a[box->a_end - 1] == b[box->b_end - 1])
        box->a_end--, box->b_end--;
}

static void mark(struct text *text, uint32_t from, uint32_t to) {
    for (; from < to; from++)
        text->changed[text->kept[from]] = true;
}

static uint32_t size_of(const struct box *box) {
    return box->a_end - box->a + (box->b_end - box->b);
}

/* Marks the changed lines of a box. The loop goes on with the larger part of a
 * cut box, so the depth of the recursion is logarithmic. */
static void search_box(struct edit_search *s, struct box box) {
    for (;;) {
        struct box half[2];
        int32_t x, y, larger;

        trim(s, &box);
        if (box.a == box.a_end || box.b == box.b_end || s->steps < 0)
            break;
        s->box = box;
        s->n = (int32_t)(box.a_end - box.a);
        s->m = (int32_t)(box.b_end - box.b);
        find_cut(s, &x, &y);
        half[0] = half[1] = box;
        half[0].a_end = half[1].a = box.a + (uint32_t)x;
        half[0].b_end = half[1].b = box.b + (uint32_t)y;
        larger = size_of(&half[1]) > size_of(&half[0]);
        search_box(s, half[!larger]);
        box = half[larger];
    }
    mark(s->old, box.a, box.a_end);
    mark(s->new, box.b, box.b_end);
}

static void find_changes(lua_State *L, struct text *old, struct text *new) {
    struct edit_search *s = lua_newuserdata(L, sizeof *s);
    s->old = old;
    s->new = new;
    s->steps = STEPS_MAX;
    search_box(s, (struct box){0, old->kept_count, 0, new->kept_count});
    lua_pop(L, 1);
}

/* ---- hunks ---- */

/* The lines of either text from one place to another. */
struct hunk {
    uint32_t old, old_end, new, new_end;
};

static bool is_changed(const struct text *text, uint32_t line) {
    return line < text->count && text->changed[line];
}

/* Moves on to the next change; false when there is none. */
static bool next_change(const struct text *old, const struct text *new,
                        struct hunk *at) {
    uint32_t i = at->old_end, j = at->new_end;
    while (i < old->count && !is_changed(old, i) && !is_changed(new, j))
        i++, j++;
    at->old = i;
    at->new = j;
    while (is_changed(old, i))
        i++;
    while (is_changed(new, j))
        j++;
    at->old_end = i;
    at->new_end = j;
    return i > at->old || j > at->new;
}

static void add_line(luaL_Buffer *buffer, char sign, const struct text *text,
                     uint32_t line) {
    static const char open_end[] = "\n\\ No newline at end of file\n";
    uint32_t start = text->start[line], end = text->start[line + 1];
    luaL_addchar(buffer, sign);
    luaL_addlstring(buffer, text->data + start, end - start);
    if (text->data[end - 1] != '\n')
        luaL_addlstring(buffer, open_end, sizeof open_end - 1);
}

static void push_lines(lua_State *L, const struct text *old,
                       const struct text *new, const struct hunk *hunk) {
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
static void push_hunk(lua_State *L, const struct text *old,
                      const struct text *new, const struct hunk *hunk) {
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
static void add_context(const struct text *old, const struct text *new,
                        struct hunk *hunk, uint32_t context) {
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

static void push_hunks(lua_State *L, const struct text *old,
                       const struct text *new, uint32_t context) {
    struct hunk change = {0}, hunk;
    bool more = next_change(old, new, &change);
    int count = 0;
    lua_newtable(L);
    while (more) {
        hunk = change;
        while ((more = next_change(old, new, &change)) &&
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
    size_t old_size, new_size;
    const char *old_data = luaL_checklstring(L, 1, &old_size);
    const char *new_data = luaL_checklstring(L, 2, &new_size);
    lua_Integer context = luaL_checkinteger(L, 3);
    struct text old, new;
    luaL_argcheck(L, context >= 0 && context <= INT32_MAX / 2, 3,
                  "out of range");
    if (old_size > INT32_MAX / 8 || new_size > INT32_MAX / 8)
        return compat_nil(L);
    old = push_text(L, old_data, old_size);
    new = push_text(L, new_data, new_size);
    compare_lines(L, &old, &new);
    find_changes(L, &old, &new);
    push_hunks(L, &old, &new, (uint32_t)context);
    return 1;
}
