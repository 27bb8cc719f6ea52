#include "edits.h"

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

static void find_lines(struct edits_text *text) {
    const char *at = text->data, *end = text->data + text->size;
    for (uint32_t i = 0; i < text->count; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        text->start[i] = (uint32_t)(at - text->data);
        at = newline ? newline + 1 : end;
    }
    text->start[text->count] = (uint32_t)text->size;
}

/* Room for the lines of a text, and how it is laid out. */
static size_t text_room(const struct edits_text *text) {
    return (4 * (size_t)text->count + 1) * sizeof(uint32_t);
}

static void lay_out_text(struct edits_text *text, uint32_t *room,
                         bool *changed) {
    size_t n = text->count;
    text->start = room;
    text->class = room + n + 1;
    text->kept = text->class + n;
    text->compact = text->kept + n;
    text->kept_count = 0;
    text->changed = changed;
    memset(changed, 0, n);
    find_lines(text);
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

static void classify_all(struct table *table, struct edits_text *text,
                         int which) {
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
static void keep_common(const struct table *table, struct edits_text *text) {
    for (uint32_t i = 0; i < text->count; i++) {
        const struct class_entry *entry = &table->entries[text->class[i]];
        text->changed[i] = entry->in[0] == 0 || entry->in[1] == 0;
        if (text->changed[i])
            continue;
        text->kept[text->kept_count] = i;
        text->compact[text->kept_count++] = text->class[i];
    }
}

static size_t slots_for(size_t total) {
    size_t slots = 16;
    while (slots < 2 * total)
        slots *= 2;
    return slots;
}

static void compare_lines(struct edits_text *old, struct edits_text *new,
                          struct class_entry *entries, uint32_t *slots) {
    size_t count = slots_for((size_t)old->count + new->count);
    struct table table = {.entries = entries,
                          .slots = slots,
                          .mask = (uint32_t)(count - 1),
                          .steps = STEPS_MAX};
    memset(slots, 0, count * sizeof *slots);
    classify_all(&table, old, 0);
    classify_all(&table, new, 1);
    keep_common(&table, old);
    keep_common(&table, new);
}

/* ---- Myers ---- */

struct box {
    uint32_t a, a_end, b, b_end;
};

struct edit_search {
    struct edits_text *old, *new;
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
    /* In git's order: among equally short scripts both find the same. */
    for (int32_t i = -d; i <= d; i += 2) {
        int32_t k = side == FRONT ? -i : i;
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

static void mark(struct edits_text *text, uint32_t from, uint32_t to) {
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

/* ---- all of it ---- */

/* The room: entries of the table, its slots, the search, the lines of either
 * text, and their marks, which need no alignment. */
struct rooms {
    size_t entries, slots, search, old, new, marks, all;
};

static struct rooms rooms_of(const struct edits_text *old,
                             const struct edits_text *new) {
    size_t total = (size_t)old->count + new->count;
    struct rooms r = {.entries = 0};
    r.slots = (total + 1) * sizeof(struct class_entry);
    r.search = r.slots + slots_for(total) * sizeof(uint32_t);
    r.old = r.search + sizeof(struct edit_search);
    r.new = r.old + text_room(old);
    r.marks = r.new + text_room(new);
    r.all = r.marks + total + 2;
    return r;
}

size_t edits_room(struct edits_text *old, struct edits_text *new) {
    if (old->size > EDITS_SIZE_MAX || new->size > EDITS_SIZE_MAX)
        return 0;
    old->count = count_lines(old->data, old->size);
    new->count = count_lines(new->data, new->size);
    return rooms_of(old, new).all;
}

void edits_find(struct edits_text *old, struct edits_text *new, void *room) {
    struct rooms r = rooms_of(old, new);
    char *at = room;
    struct edit_search *s = (void *)(at + r.search);
    lay_out_text(old, (void *)(at + r.old), (void *)(at + r.marks));
    lay_out_text(new, (void *)(at + r.new),
                 (void *)(at + r.marks + old->count));
    compare_lines(old, new, (void *)at, (void *)(at + r.slots));
    s->old = old;
    s->new = new;
    s->steps = STEPS_MAX;
    search_box(s, (struct box){0, old->kept_count, 0, new->kept_count});
}

/* ---- settling ---- */

/* A run of changed lines, maybe an empty one between two lines that are not. */
struct group {
    struct edits_text *text;
    uint32_t start, end;
};

static bool is_changed(const struct edits_text *text, uint32_t line) {
    return line < text->count && text->changed[line];
}

static void group_extend(struct group *g) {
    while (is_changed(g->text, g->end))
        g->end++;
}

static bool group_next(struct group *g) {
    if (g->end == g->text->count)
        return false;
    g->start = ++g->end;
    group_extend(g);
    return true;
}

static void group_previous(struct group *g) {
    if (g->start == 0)
        return;
    g->end = --g->start;
    while (g->start > 0 && g->text->changed[g->start - 1])
        g->start--;
}

/* Moves the group by one line, if its edges are equal lines. It grows when it
 * meets another one. */
static bool slide_down(struct group *g) {
    struct edits_text *t = g->text;
    if (g->end == t->count || t->class[g->start] != t->class[g->end])
        return false;
    t->changed[g->start++] = false;
    t->changed[g->end++] = true;
    group_extend(g);
    return true;
}

static bool slide_up(struct group *g) {
    struct edits_text *t = g->text;
    if (g->start == 0 || t->class[g->start - 1] != t->class[g->end - 1])
        return false;
    t->changed[--g->start] = true;
    t->changed[--g->end] = false;
    while (g->start > 0 && t->changed[g->start - 1])
        g->start--;
    return true;
}

/* Slides a group that is not empty; `other` is the group of the other text at
 * the same place. */
static void settle_group(struct group *g, struct group *other) {
    uint32_t size, first;
    bool meets;
    do {
        size = g->end - g->start;
        while (slide_up(g))
            group_previous(other);
        first = g->end;
        meets = other->end > other->start;
        while (slide_down(g)) {
            group_next(other);
            meets = meets || other->end > other->start;
        }
    } while (size != g->end - g->start);
    if (!meets || g->end == first)
        return;
    while (other->end == other->start && slide_up(g))
        group_previous(other);
}

static void settle_text(struct edits_text *text, struct edits_text *with) {
    struct group g = {text, 0, 0}, other = {with, 0, 0};
    group_extend(&g);
    group_extend(&other);
    do {
        if (g.end > g.start)
            settle_group(&g, &other);
    } while (group_next(&g) && group_next(&other));
}

void edits_settle(struct edits_text *old, struct edits_text *new) {
    settle_text(old, new);
    settle_text(new, old);
}

/* ---- hunks ---- */

bool edits_next(const struct edits_text *old, const struct edits_text *new,
                struct edits_hunk *at) {
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
